// What a terminal would show of one line of output: escape sequences, carriage returns, backspaces and erasing
// resolved into runs of text with one style each.
//
// A line is resolved by itself; only the style in force at its beginning comes from the lines before it. Sequences
// that move to other lines are for screen.js; those that mean something else (titles, modes) are left out. Control
// characters become visible symbols, as do those that turn the direction of the text around. Pure: no DOM.

import { PLAIN, SYMBOL, linked, parameters, same, styled } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/** @typedef {{ text: string, style: Style }} Run */
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
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const JOINS = /[\p{M}\u200d\ufe0f\u{1f3fb}-\u{1f3ff}]/u;
const STRING_END = /\x07|\x1b\\|\x9c/;
/** The longest escape sequence that is believed to be one. */
const MOST_SEQUENCE = 4096;
/** Columns of a line that is rewritten; a cursor does not go beyond it. */
const MOST_COLUMNS = 65536;

/**
 * Resolve one line.
 * @param {string} text the line without its newline
 * @param {Style} [opening] the style in force at its beginning
 * @returns {{ runs: Run[], closing: Style }}
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
  if (!text.includes('\x1b')) return opening;
  let style = opening;
  for (const match of text.matchAll(/\x1b(?:\[([0-9;:]*)m|\]8;([^\x07\x1b]{0,4000})(?:\x07|\x1b\\))/g)) {
    style = match[2] === undefined ? styled(style, match[1] ?? '') : linked(style, match[2]);
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

/** A line whose columns can be written again. */
export class Columns {
  /** @param {Style} style */
  constructor(style) {
    this.style = style;
    this.at = 0;
    /** @type {string[]} */
    this.signs = [];
    /** @type {Style[]} */
    this.styles = [];
  }

  /** @param {string} text */
  write(text) {
    for (const sign of text) {
      if (sign === '\t') this.at = Math.min(MOST_COLUMNS, (Math.floor(this.at / 8) + 1) * 8);
      else if (sign > '\u02ff' && JOINS.test(sign) && this.at > 0) this.join(sign);
      else this.put(sign, this.style);
    }
  }

  /** @param {string} text */
  symbol(text) {
    const style = { ...this.style, flags: this.style.flags | SYMBOL };
    for (const sign of text) this.put(sign, style);
  }

  /** @param {string} sign */
  join(sign) {
    const at = this.signs[this.at - 1] === '' ? this.at - 2 : this.at - 1;
    const held = this.signs[at] ?? ' ';
    if (held.length < 32) this.signs[at] = held + sign;
  }

  /** @param {string} sign @param {Style} style */
  put(sign, style) {
    if (this.at >= MOST_COLUMNS) return;
    this.fill();
    // writing over the second half of a wide sign leaves a blank where its first half was
    if (this.signs[this.at] === '' && this.at > 0) this.signs[this.at - 1] = ' ';
    this.signs[this.at] = sign;
    this.styles[this.at++] = style;
    if (sign > '\u10ff' && WIDE.test(sign)) {
      this.signs[this.at] = '';
      this.styles[this.at++] = style;
    }
    if (this.signs[this.at] === '') this.signs[this.at] = ' ';
  }

  copy() {
    const other = new Columns(this.style);
    return Object.assign(other, { at: this.at, signs: [...this.signs], styles: [...this.styles] });
  }

  fill() {
    while (this.signs.length < this.at) {
      this.signs.push(' ');
      this.styles.push(PLAIN);
    }
  }

  /** @param {string} final the letter of the sequence, or '\r' or '\b' @param {number} count @param {string} [given] */
  move(final, count, given = '') {
    if (final === '\r') this.at = 0;
    else if (final === '\b' || final === 'D') this.at = Math.max(0, this.at - count);
    else if (final === 'C') this.at = Math.min(MOST_COLUMNS, this.at + count);
    else if (final === 'G' || final === '`') this.at = Math.min(MOST_COLUMNS, count - 1);
    else if (final === 'P') this.cut(this.at, count);
    else if (final === '@') this.insert(count);
    else if (final === 'X') this.blank(this.at, Math.min(this.signs.length, this.at + count));
    else if (final === 'K') this.erase(Number.parseInt(given, 10) || 0);
  }

  /** @param {number} mode 0 from here to the end, 1 up to here, 2 all */
  erase(mode) {
    if (mode === 1) this.blank(0, Math.min(this.signs.length, this.at + 1));
    else this.cut(mode === 2 ? 0 : this.at, Infinity);
  }

  /** @param {number} from @param {number} count */
  cut(from, count) {
    this.signs.splice(from, count);
    this.styles.splice(from, count);
  }

  /** @param {number} count */
  insert(count) {
    if (this.at >= this.signs.length) return;
    const blanks = Math.min(count, MOST_COLUMNS - this.signs.length);
    for (let i = 0; i < blanks; i++) {
      this.signs.splice(this.at, 0, ' ');
      this.styles.splice(this.at, 0, PLAIN);
    }
  }

  /** @param {number} from @param {number} to */
  blank(from, to) {
    for (let i = from; i < to; i++) {
      this.signs[i] = ' ';
      this.styles[i] = PLAIN;
    }
  }

  /** @returns {Run[]} */
  runs() {
    /** @type {Run[]} */
    const runs = [];
    this.signs.forEach((sign, i) => {
      const style = this.styles[i] ?? PLAIN;
      const last = runs.at(-1);
      if (last && same(last.style, style)) last.text += sign;
      else runs.push({ text: sign, style });
    });
    return runs;
  }

  /** The line as text that resolves to it and leaves the cursor and the style as they are. @param {Style} opening */
  encoded(opening) {
    const text = this.drawn(opening, this.style);
    return `${text}\r${this.at ? `\x1b[${this.at}C` : ''}`;
  }

  /** The same without the cursor. @param {Style} [opening] @param {Style} [closing] */
  drawn(opening = PLAIN, closing = PLAIN) {
    let text = '';
    let style = opening;
    const turn = (/** @type {Style} */ next) => {
      if (next.link !== style.link) text += `\x1b]8;;${next.link ?? ''}\x07`;
      if (!same({ ...next, link: style.link }, style)) text += `\x1b[${parameters(next) ? '0;' : ''}${parameters(next)}m`;
      style = next;
    };
    for (const run of this.runs()) {
      turn({ ...run.style, flags: run.style.flags & ~SYMBOL });
      text += run.text;
    }
    turn(closing);
    return text;
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
  if (final === 'm' && /^[0-9;:]*$/.test(given)) screen.style = styled(screen.style, given);
  else if (/^[0-9;]*$/.test(given)) screen.move(final, Math.max(1, Number.parseInt(given, 10) || 1), given);
}
