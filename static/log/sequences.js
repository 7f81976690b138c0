// What a terminal would show of one line of output: escape sequences, carriage returns, backspaces and erasing
// resolved into runs of text with one style each.
//
// A line is resolved by itself; only the style in force at its beginning comes from the lines before it. Sequences
// that move to other lines are for screen.js; those that mean something else (titles, modes) are left out. Control
// characters become visible symbols, as do those that turn the direction of the text around. Pure: no DOM.

import { Columns, same } from './columns.js';
import { PLAIN, SYMBOL, made, styled } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/** @typedef {import('./ansi.js').Run} Run */
/**
 * What escape sequences act upon.
 * @typedef {object} Writable
 * @property {Style} style
 * @property {(text: string) => void} write
 * @property {(text: string) => void} symbol  a control character, made visible
 * @property {(final: string, count: number, given: string) => void} move  `final`: the letter that ends the sequence
 */

/** What is not simply shown. */
export const SPECIAL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/;
// what needs a cursor: a line without any of these is only ever appended to
const MOVES = /[\r\b]|\x1b\[[0-9;]*[CDGKPX@`]/;
/** Escape sequences that reach beyond their line. */
export const REACHES = /\x1b(?:\[[0-9;]*[ABEFHJLMfsu]|[78DEM])/;
const STRING_END = /\x07|\x1b\\|\x9c/;
/** The longest escape sequence that is believed to be one. */
const MOST_SEQUENCE = 4096;
const MOST_ADDRESS = 2083;

/**
 * Resolve one line.
 * @param {string} text the line without its newline
 * @param {Style} [opening] the style in force at its beginning
 * @returns {import('./ansi.js').Resolved}
 */
export function resolved(text, opening = PLAIN) {
  if (!SPECIAL.test(text)) return { runs: text ? [{ text, style: opening }] : [], closing: opening };
  const screen = MOVES.test(text) ? new Columns(opening) : new Tape(opening);
  read(text, screen);
  return { runs: screen.runs(), closing: screen.style };
}

/**
 * The style in force after a line; much cheaper than resolving it.
 * @param {string} text @param {Style} opening
 */
export function closing(text, opening) {
  let style = opening;
  for (const [, parameters, link] of text.matchAll(/\x1b(?:\[([0-9;:]*)m|\]8;([^\x07\x1b]{0,4000})(?:\x07|\x1b\\))/g)) {
    style = link === undefined ? styled(style, plainer(parameters ?? '')) : linked(style, link);
  }
  return style;
}

/**
 * A short text that resolves to the same as a long one that was rewritten many times, and goes on the same way.
 * @param {string} text @param {Style} opening
 */
export function compacted(text, opening) {
  if (!MOVES.test(text)) return text;
  const screen = new Columns(opening);
  read(text, screen);
  return screen.encoded(opening);
}

/**
 * The plain characters that a line shows.
 * @param {string} text
 */
export function shown(text) {
  return resolved(text).runs.map((run) => run.text).join('');
}

/** A line that only grows. */
class Tape {
  /** @param {Style} style */
  constructor(style) {
    this.style = style;
    /** @type {Run[]} */
    this.done = [];
  }

  /** @param {string} text */
  write(text) {
    const last = this.done.at(-1);
    if (last && same(last.style, this.style)) last.text += text;
    else this.done.push({ text, style: this.style });
  }

  /** @param {string} text */
  symbol(text) {
    this.done.push({ text, style: { ...this.style, flags: this.style.flags | SYMBOL } });
  }

  move() {}

  runs() {
    return this.done;
  }
}

/**
 * Go through a text without line ends and tell the screen what it says.
 * @param {string} text @param {Writable} screen
 */
export function read(text, screen) {
  const special = new RegExp(SPECIAL.source, 'g');
  /** @type {Reading} */
  const reading = { text, screen, endless: false };
  let at = 0;
  while (at < text.length) {
    special.lastIndex = at;
    const found = special.exec(text)?.index ?? text.length;
    if (found > at) screen.write(text.slice(at, found));
    if (found === text.length) return;
    at = text[found] === '\x1b' ? sequence(reading, found) : found + single(text, found, screen);
  }
}

/** @typedef {{ text: string, screen: Writable, endless: boolean }} Reading  `endless`: no string ends in the rest of it */

/**
 * One character that is not simply shown; how many code units it takes.
 * @param {string} text @param {number} at @param {Writable} screen
 */
function single(text, at, screen) {
  const code = text.charCodeAt(at);
  if (code === 13 || code === 8) screen.move(code === 13 ? '\r' : '\b', 1, '');
  else if (code >= 0xd800 && code <= 0xdfff) {
    const point = text.codePointAt(at) ?? 0;
    if (point > 0xffff) {
      screen.write(String.fromCodePoint(point));
      return 2;
    }
    screen.write('\ufffd');
  } else screen.symbol(symbolOf(code));
  return 1;
}

/** @param {number} code */
export function symbolOf(code) {
  if (code < 32) return String.fromCharCode(0x2400 + code);
  if (code === 127) return '\u2421';
  return `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
}

/**
 * An escape sequence; where it ends. One that does not end is shown, so that it cannot hide what follows.
 * @param {Reading} reading @param {number} at of the ESC
 */
function sequence(reading, at) {
  const { text, screen } = reading;
  const kind = text[at + 1] ?? '';
  if (kind === '[') {
    const match = /^[0-?]*[ -/]*[@-~]/.exec(text.slice(at + 2, at + 2 + 256));
    if (match) {
      control(match[0], screen);
      return at + 2 + match[0].length;
    }
  } else if (kind !== '' && ']PX^_'.includes(kind)) {
    const match = reading.endless ? null : STRING_END.exec(text.slice(at + 2, at + 2 + MOST_SEQUENCE));
    if (match) {
      const body = text.slice(at + 2, at + 2 + match.index);
      if (kind === ']' && body.startsWith('8;')) screen.style = linked(screen.style, body.slice(2));
      return at + 2 + match.index + match[0].length;
    }
    reading.endless ||= text.length <= at + 2 + MOST_SEQUENCE || !STRING_END.test(text.slice(at + 2));
  } else {
    const match = /^[ -/]*[0-~]/.exec(text.slice(at + 1, at + 9));
    if (match) {
      if (match[0].length === 1) screen.move(`\x1b${match[0]}`, 1, '');
      return at + 1 + match[0].length;
    }
  }
  screen.symbol('\u241b');
  return at + 1;
}

/**
 * @param {string} body of a control sequence, its final letter included
 * @param {Writable} screen
 */
function control(body, screen) {
  const final = body.at(-1) ?? '';
  const given = body.slice(0, -1);
  if (final === 'm' && /^[0-9;:]*$/.test(given)) screen.style = styled(screen.style, plainer(given));
  else if (/^[0-9;]*$/.test(given)) screen.move(final, Math.max(1, Number.parseInt(given, 10) || 1), given);
}

/** Without what only colons can say: colour spaces, kinds of underlining. @param {string} parameters */
function plainer(parameters) {
  return parameters.replace(/([34]8:2):\d*:(?=\d+:\d+:\d+)/g, '$1:').replace(/(^|;)4:(\d)/g, (_, before, kind) => before + (kind === '0' ? '24' : '4'));
}

/**
 * The style after an OSC 8 sequence.
 * @param {Style} style the one before
 * @param {string} body what stands between `ESC ] 8 ;` and its end: parameters, a semicolon and an address
 */
function linked({ flags, ink, ground }, body) {
  return made(flags, ink, ground, address(body.slice(body.indexOf(';') + 1)));
}

/** The address if it leads to a web page and nowhere else. @param {string} text */
function address(text) {
  if (!text || text.length > MOST_ADDRESS || !/^https?:\/\/[\x21-\x7e]+$/i.test(text)) return undefined;
  return URL.canParse(text) ? text : undefined;
}
