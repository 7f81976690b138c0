// A text that follows itself, line by line, on its way to the shelf of lines: it holds the line that has not ended, and,
// while a program writes rows again, the screen on which it does. Pure.

import { closing, compacted, screenFor } from './ansi.js';
import { PLAIN } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/** @typedef {import('./chunks.js').Line} Line */
/** @typedef {import('./screen.js').Screen} Screen */

/** Of one line no more is held; the rest is read when somebody asks for it. */
export const MOST_STORED = 16_384;
/** A line that is rewritten again and again is made short when it has become this long. */
const COMPACT_FROM = 4096;
/** So much is kept as it came, to be read again when the lines before it come. */
const MOST_RAW = 262_144;
/** An escape sequence that begins earlier in a line than this is not completed by what comes. */
const SEQUENCE = 64;

export class Strand {
  /**
   * @param {import('./chunks.js').Lines} shelf
   * @param {number} from the line it begins with
   * @param {Style} [opening] the style in force there
   * @param {Screen | null} [screen] where the line before it left the cursor, if that was in a row written again
   */
  constructor(shelf, from, opening = PLAIN, screen = null) {
    this.shelf = shelf;
    this.from = from;
    this.opening = opening;
    /** @type {Line & { line: number }} the line that has not ended yet */
    this.tail = { line: from, text: '', opening, cut: 0 };
    /** @type {Screen | null} while rows above are written again, up to the next new row */
    this.screen = screen?.copy(shelf) ?? null;
    /** @type {string | null} all of it, while it is short */
    this.raw = '';
    /** It has written, or wanted to write, into rows before its first line. */
    this.reaches = screen !== null;
    /** The last line that it may say to be absorbed. */
    this.until = Infinity;
    /** The rows that it wanted to write into were not held. */
    this.clipped = false;
    if (screen) shelf.absorb(from);
  }

  /** @param {string} text any number of lines */
  append(text) {
    if (this.raw !== null) this.raw = this.raw.length + text.length > MOST_RAW ? null : this.raw + text;
    const escapes = this.screen !== null || text.includes('\x1b') || this.tail.text.includes('\x1b');
    let from = 0;
    for (;;) {
      const to = text.indexOf('\n', from);
      if (to < 0) break;
      this.extend(text.slice(from, to), escapes);
      this.newline();
      from = to + 1;
    }
    if (from < text.length) this.extend(text.slice(from), escapes);
    if (this.screen) this.flush(this.screen);
  }

  /** The line that had not ended will not be continued; its number goes on. @param {number} line */
  breakOff(line) {
    if (this.screen) this.flush(this.screen);
    this.screen = null;
    const { line: number, text, opening, cut } = this.tail;
    if (line === number) return;
    if (text) this.shelf.put(number, text, opening, cut);
    this.tail = { line, text: '', opening: PLAIN, cut: 0 };
    this.raw = null;
  }

  /** @param {string} text without a newline @param {boolean} escapes whether there may be any */
  extend(text, escapes) {
    const { tail } = this;
    const Screen = escapes && !this.screen && !tail.cut && screenFor(tail.text.slice(-SEQUENCE) + text);
    if (this.screen) this.screen.feed(text);
    else if (tail.cut) tail.cut += text.length;
    else if (Screen) {
      this.screen = new Screen(this.shelf, tail.line, tail.opening);
      this.screen.feed(tail.text + text);
    } else {
      let whole = tail.text + text;
      if (whole.length > COMPACT_FROM && text.includes('\r')) whole = compacted(whole, tail.opening);
      this.tail = { line: tail.line, ...kept(whole, tail.opening, 0) };
    }
  }

  newline() {
    const { screen, tail } = this;
    if (!screen) {
      this.shelf.put(tail.line, tail.text, tail.opening, tail.cut);
      this.tail = { line: tail.line + 1, text: '', opening: closing(tail.text, tail.opening), cut: 0 };
    } else if (screen.newline()) {
      this.flush(screen);
      this.screen = null;
      this.tail = { line: screen.line, text: '', opening: screen.style, cut: 0 };
    } else if (screen.line <= this.until) this.shelf.absorb(screen.line);
  }

  /** No more will come. */
  finish() {
    if (this.screen) this.flush(this.screen);
  }

  /** Put the rows that have changed where they are looked for. @param {Screen} screen */
  flush(screen) {
    this.clipped ||= screen.clipped;
    this.reaches ||= screen.clipped;
    if (this.tail.line !== screen.line) this.tail = { line: screen.line, text: '', opening: PLAIN, cut: 0 };
    for (const { line, columns } of screen.taken()) {
      const text = columns.drawn();
      if (line < this.from) this.reaches = true;
      if (line < screen.line) this.shelf.put(line, text, PLAIN);
      else this.tail = { line, ...kept(text, PLAIN, 0) };
    }
  }
}

/**
 * @param {string} text @param {Style} opening @param {number} whole
 * @returns {Line}
 */
export function kept(text, opening, whole) {
  if (text.length > COMPACT_FROM) text = compacted(text, opening);
  if (text.length <= MOST_STORED) return { text, opening, cut: whole };
  return { text: text.slice(0, MOST_STORED), opening, cut: Math.max(whole, text.length) };
}
