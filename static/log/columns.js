// A line whose columns can be written again: what carriage returns, backspaces and erasing do, with signs that take two
// columns or none. It can be told again as text that resolves to the same. Pure.

import { DEFAULT, ON, PLAIN, SYMBOL, TRUE_COLOUR } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/** @typedef {import('./ansi.js').Run} Run */

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const JOINS = /[\p{M}\u200d\ufe0f\u{1f3fb}-\u{1f3ff}]/u;
/** Columns of a line that is rewritten; a cursor does not go beyond it. */
const MOST_COLUMNS = 65536;

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
 * The parameters of an SGR sequence that sets this style from the default; '' for the default itself.
 * @param {Style} style
 */
export function parameters(style) {
  const codes = [];
  for (const [code, flag] of Object.entries(ON)) if (style.flags & flag && code !== '21') codes.push(code);
  if (style.ink !== DEFAULT) codes.push(`38;${colourCodes(style.ink)}`);
  if (style.ground !== DEFAULT) codes.push(`48;${colourCodes(style.ground)}`);
  return codes.join(';');
}

/** @param {number} colour */
function colourCodes(colour) {
  if (colour < TRUE_COLOUR) return `5;${colour}`;
  return `2;${(colour >> 16) & 255};${(colour >> 8) & 255};${colour & 255}`;
}

/** @param {Style} a @param {Style} b */
export function same(a, b) {
  return a === b || (a.flags === b.flags && a.ink === b.ink && a.ground === b.ground && a.link === b.link);
}
