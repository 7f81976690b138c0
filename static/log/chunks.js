// The lines of a run that are held here: a cache of aligned pieces of 500 lines, bounded in characters, and the line
// that has not ended yet. What is not held can be asked for again, so the oldest used piece may always go. Pure.

import { closing, compacted } from './ansi.js';
import { PLAIN } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/**
 * @typedef {object} Line
 * @property {string} text  without its newline, at most MOST_STORED characters of it
 * @property {Style} opening  the style in force at its beginning
 * @property {number} cut  how long the whole line is, in characters or bytes; 0 if `text` is all of it
 */
/** @typedef {{ lines: (Line | undefined)[], size: number }} Chunk */

export const CHUNK = 500;
/** Of one line no more is held; the rest is read when somebody asks for it. */
export const MOST_STORED = 16_384;
/** A line that is rewritten again and again is made short when it has become this long. */
const COMPACT_FROM = 4096;
/** At two bytes a character this is 8 MB. */
const MOST_CHARACTERS = 4_000_000;
/** What a line costs besides its characters. */
const LINE_COST = 24;

export class Lines {
  /** @param {number} [most] characters held at most */
  constructor(most = MOST_CHARACTERS) {
    this.most = most;
    /** @type {Map<number, Chunk>}  by number of the piece, the one used last at the end */
    this.chunks = new Map();
    this.size = 0;
    /** @type {Line & { line: number }} the line that has not ended yet */
    this.tail = { line: 1, text: '', opening: PLAIN, cut: 0 };
  }

  clear() {
    this.chunks.clear();
    this.size = 0;
    this.skipTo(1);
  }

  /**
   * A line that has ended.
   * @param {number} line
   * @returns {Line | undefined}
   */
  get(line) {
    return this.chunks.get(pieceOf(line))?.lines[(line - 1) % CHUNK];
  }

  /** Say that the lines around are being looked at. @param {number} line */
  touch(line) {
    const piece = pieceOf(line);
    const chunk = this.chunks.get(piece);
    if (!chunk) return;
    this.chunks.delete(piece);
    this.chunks.set(piece, chunk);
  }

  /**
   * Hold a line that has ended.
   * @param {number} number
   * @param {string} text @param {Style} opening
   * @param {number} [whole] how long it is if `text` is only its beginning
   */
  put(number, text, opening, whole = 0) {
    const piece = pieceOf(number);
    let chunk = this.chunks.get(piece);
    if (!chunk) {
      chunk = { lines: [], size: 0 };
      this.chunks.set(piece, chunk);
    }
    const line = kept(text, opening, whole);
    const before = chunk.lines[(number - 1) % CHUNK];
    const grown = line.text.length - (before ? before.text.length : -LINE_COST);
    chunk.lines[(number - 1) % CHUNK] = line;
    chunk.size += grown;
    this.size += grown;
    if (this.size > this.most) this.forget(piece);
  }

  /** The style in force after a line that is held. @param {number} number */
  closingOf(number) {
    const line = this.get(number);
    return line ? closing(line.text, line.opening) : PLAIN;
  }

  /**
   * Text that follows what is held of the line that has not ended.
   * @param {string} text any number of lines
   */
  append(text) {
    let from = 0;
    for (;;) {
      const to = text.indexOf('\n', from);
      if (to < 0) break;
      this.extend(text.slice(from, to));
      const { line, text: whole, opening, cut } = this.tail;
      this.put(line, whole, opening, cut);
      this.tail = { line: line + 1, text: '', opening: closing(whole, opening), cut: 0 };
      from = to + 1;
    }
    if (from < text.length) this.extend(text.slice(from));
  }

  /**
   * Go on at another line: what was held of the line that had not ended is given up.
   * @param {number} line
   */
  skipTo(line) {
    this.tail = { line, text: '', opening: PLAIN, cut: 0 };
  }

  /** The line that had not ended will not be continued; its number goes on. @param {number} line */
  breakOff(line) {
    const { line: number, text, opening, cut } = this.tail;
    if (line === number) return;
    if (text) this.put(number, text, opening, cut);
    this.skipTo(line);
  }

  /** @param {string} text without a newline */
  extend(text) {
    const tail = this.tail;
    if (tail.cut) {
      tail.cut += text.length;
      return;
    }
    let whole = tail.text + text;
    if (whole.length > COMPACT_FROM && text.includes('\r')) whole = compacted(whole, tail.opening);
    const line = kept(whole, tail.opening, 0);
    this.tail = { line: tail.line, ...line };
  }

  /** @param {number} piece that must stay */
  forget(piece) {
    for (const [index, chunk] of this.chunks) {
      if (this.size <= this.most) return;
      if (index === piece) continue;
      this.chunks.delete(index);
      this.size -= chunk.size;
    }
  }
}

/** @param {number} line */
export function pieceOf(line) {
  return Math.floor((line - 1) / CHUNK);
}

/**
 * @param {string} text @param {Style} opening @param {number} whole
 * @returns {Line}
 */
function kept(text, opening, whole) {
  if (text.length > COMPACT_FROM) text = compacted(text, opening);
  if (text.length <= MOST_STORED) return { text, opening, cut: whole };
  return { text: text.slice(0, MOST_STORED), opening, cut: Math.max(whole, text.length) };
}
