// How it stands with the connection, in words. Pure.

import { number, size } from './places.js';

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
