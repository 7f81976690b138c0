// What the log says in words: how a run ended, what a gap is, how it stands with the connection. Pure.

import { number, plural, size } from './places.js';

/** @typedef {Record<string, any>} Message */

/** @type {Record<string, string>} */
const HOW = {
  SUCCESS: 'Succeeded',
  FAILURE: 'Failed',
  RETRY: 'To be tried again',
  IGNORED: 'Ended, ignored',
  REJECTED: 'Rejected',
  REVOKED: 'Cancelled',
  KILLED: 'Killed',
  LOST: 'Lost',
};

/** @type {Record<string, string>} */
const WHY = {
  trimmed: 'no longer kept',
  dropped: 'missing: the worker had to give them up',
  lost: 'lost from the store',
  skipped: 'left out',
  deleted: 'deleted',
  archived: 'in an archive that this server does not have',
};

/** How a run ended: 'ok', 'bad' or 'neutral'. @param {string} how */
export function toneOf(how) {
  if (how === 'SUCCESS') return 'ok';
  return how === 'FAILURE' || how === 'KILLED' || how === 'LOST' ? 'bad' : 'neutral';
}

/**
 * A run's fate in a few words.
 * @param {string} how @param {Message | null} [detail]
 */
export function fate(how, detail) {
  const parts = [HOW[how] ?? how];
  if (detail?.signal) parts[0] += ` by ${detail.signal}`;
  if (detail?.limit_s) parts.push(`time limit of ${detail.limit_s} s`);
  if (typeof detail?.exit_code === 'number') parts.push(`exit code ${detail.exit_code}`);
  if (detail?.exception && how !== 'SUCCESS') parts.push(firstLine(String(detail.exception)));
  else if (detail?.reason) parts.push(firstLine(String(detail.reason)));
  if (typeof detail?.retry_in_s === 'number') parts.push(`again in ${Math.round(detail.retry_in_s)} s`);
  return parts.join(' · ');
}

/** @param {string} text */
function firstLine(text) {
  const line = text.split('\n', 1)[0] ?? '';
  return line.length > 160 ? `${line.slice(0, 160)}…` : line;
}

/** @param {import('./rows.js').Gap} gap */
export function gapText(gap) {
  const lines = gap.to.line - gap.from.line;
  const bytes = size(gap.to.byte - gap.from.byte);
  const what = lines > 0 ? `${plural(lines, 'line')} (${bytes})` : bytes;
  return `${what} ${lines === 1 ? 'is' : 'are'} ${WHY[gap.reason] ?? WHY.lost}`;
}

/** @param {import('./feed.js').Feed} feed */
export function endText(feed) {
  const { how = '', detail = null, bytes = 0 } = feed.ending ?? {};
  const parts = [fate(how, detail), bytes ? size(bytes) : 'no output'];
  if (feed.journal.verified === true) parts.push('checksum matches');
  if (feed.journal.verified === false) parts.push('checksum does not match');
  return parts.join(' · ');
}

/**
 * @param {import('./feed.js').Feed} feed
 * @param {import('./client.js').Client} client
 * @returns {[string, string]} a word for styles, and the text
 */
export function linkText(feed, client) {
  if (feed.state === 'refused') return ['refused', feed.refusal];
  if (client.link === 'reconnecting') return ['reconnecting', `reconnecting from line ${number(feed.end.line)}`];
  if (client.link === 'refused') return ['refused', 'your login is over: log in again'];
  if (client.link === 'connecting') return ['connecting', 'connecting'];
  if (feed.state === 'ended') return ['ended', 'ended'];
  if (client.store === 'unreachable') return ['unreachable', 'store unreachable'];
  if (feed.state === 'waiting') return ['waiting', feed.task ? 'waiting for it to begin' : 'waiting to hear of this task'];
  if (feed.behind) return ['behind', `live, ${size(feed.behind)} behind`];
  return ['live', 'live'];
}
