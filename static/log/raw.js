// A line as the task wrote it: escape codes and all other control characters as symbols, nothing acted upon. Pure.

import { SPECIAL, symbolOf } from './sequences.js';
import { PLAIN, SYMBOL } from './style.js';

/** @param {string} text @returns {import('./ansi.js').Run[]} */
export function written(text) {
  const runs = [];
  for (const part of text.split(new RegExp(`(${SPECIAL.source})`, 'u'))) {
    if (SPECIAL.test(part) && part.length === 1) runs.push({ text: symbolOf(part.charCodeAt(0)), style: { ...PLAIN, flags: SYMBOL } });
    else if (part) runs.push({ text: part, style: PLAIN });
  }
  return runs;
}
