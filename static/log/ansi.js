// What a line of output shows: runs of text with one style each. Most logs are plain or coloured, and that is all that is
// known here; everything else (carriage returns, cursor movements, links, control characters) is known by terminal.js, which comes
// with the tools, and output that holds any of it waits for that. Pure: no DOM.

import { PLAIN, styled } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/** @typedef {{ text: string, style: Style }} Run */
/** @typedef {{ runs: Run[], closing: Style }} Resolved  `closing`: the style in force after it */
/** @typedef {typeof import('./terminal.js').parts} Terminal */

/** Whatever is neither plain nor a colour, and what has only begun. */
const BEYOND = /[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\x1b(?!\[[0-9;]*m)/g;

/** @type {Terminal | null} what knows the rest, once it has come */
export let terminal = null;

/** @param {Terminal} come */
export function equip(come) {
  terminal = come;
}

/** Whether a text can be shown as it should without what has not come yet. @param {string} text */
export function ready(text) {
  return terminal !== null || text.search(BEYOND) < 0;
}

/**
 * Resolve one line.
 * @param {string} text the line without its newline
 * @param {Style} [opening] the style in force at its beginning
 * @returns {Resolved}
 */
export function resolved(text, opening = PLAIN) {
  if (terminal) return terminal.resolved(text, opening);
  /** @type {Run[]} */
  const runs = [];
  let style = opening;
  // what is between the parentheses is part of what comes back: every other one are the parameters of a colour
  text.replace(BEYOND, '\ufffd').split(/\x1b\[([0-9;]*)m/).forEach((part, index) => {
    if (index % 2) style = styled(style, part);
    else if (part) runs.push({ text: part, style });
  });
  return { runs, closing: style };
}

/**
 * The style in force after a line.
 * @param {string} text @param {Style} opening
 */
export function closing(text, opening) {
  if (!text.includes('\x1b')) return opening;
  return terminal ? terminal.closing(text, opening) : resolved(text, opening).closing;
}

/** The style that the parameters of a sequence set, '' for none. @param {unknown} sgr @returns {Style} */
export function opened(sgr) {
  return sgr ? closing(`\x1b[${sgr}m`, PLAIN) : PLAIN;
}
