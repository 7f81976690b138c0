// What the log says in words: how a run ended, what a gap is, when a line was printed, how long something took. Pure.

import { plural, size } from './places.js';

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
function toneOf(how) {
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

/** What the last row says, and how it is to look. @param {import('./feed.js').Feed} feed */
export function endOf(feed) {
  const { how = '', detail = null, bytes = 0 } = feed.ending ?? {};
  const parts = [fate(how, detail), bytes ? size(bytes) : 'no output'];
  if (feed.journal.verified === true) parts.push('checksum matches');
  if (feed.journal.verified === false) parts.push('checksum does not match');
  return { text: parts.join(' · '), tone: toneOf(how) };
}

/** @param {number} atMs @returns {string} hours to milliseconds, on this machine's clock */
export function clock(atMs) {
  if (!atMs) return '';
  const at = new Date(atMs);
  return `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** @param {number} ms */
export function duration(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  const two = (/** @type {number} */ value) => String(Math.floor(value)).padStart(2, '0');
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${two((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d ${two((s % 86_400) / 3600)}h`;
}
