// A text that follows itself, line by line, on its way to the shelf of lines: it holds the line that has not ended. What
// writes rows again is for rewriting.js, which takes its place when terminal.js has come. Pure.

import { closing, terminal } from './ansi.js';
import { PLAIN } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/** @typedef {import('./chunks.js').Line} Line */

/** Of one line no more is held; the rest is read when somebody asks for it. */
export const MOST_STORED = 16_384;
/** A line that is rewritten again and again is made short when it has become this long. */
const COMPACT_FROM = 4096;
/** So much is kept as it came, to be read again when the lines before it come. */
const MOST_RAW = 262_144;

export class Strand {
  /** It has written, or wanted to write, into rows before its first line. */
  reaches = false;
  /** The rows that it wanted to write into were not held. */
  clipped = false;
  /** @type {string | null} all of it, while it is short */
  raw = '';

  /**
   * @param {import('./chunks.js').Lines} shelf
   * @param {number} from the line it begins with
   * @param {Style} opening the style in force there
   */
  constructor(shelf, from, opening) {
    this.shelf = shelf;
    this.from = from;
    this.opening = opening;
    /** The line that has not ended yet. */
    this.tail = tailOf(from, '', opening);
  }

  /** @param {string} text any number of lines */
  append(text) {
    if (this.raw !== null) this.raw = this.raw.length + text.length > MOST_RAW ? null : this.raw + text;
    text.split('\n').forEach((part, index) => {
      if (index) this.newline();
      this.extend(part);
    });
  }

  /** @param {string} text without a newline */
  extend(text) {
    const { tail } = this;
    if (tail.cut) tail.cut += text.length;
    else this.tail = tailOf(tail.line, tail.text + text, tail.opening);
  }

  newline() {
    const { line, text, opening, cut } = this.tail;
    this.shelf.put(line, text, opening, cut);
    this.tail = tailOf(line + 1, '', closing(text, opening));
  }

  /** The line that had not ended will not be continued; its number goes on. @param {number} line */
  breakOff(line) {
    const { line: number, text, opening, cut } = this.tail;
    if (line === number) return;
    if (text) this.shelf.put(number, text, opening, cut);
    this.tail = tailOf(line, '', PLAIN);
    this.raw = null;
  }
}

/** @param {number} line @param {string} text @param {Style} opening @returns {Line & { line: number }} */
export function tailOf(line, text, opening) {
  return { line, ...kept(text, opening, 0) };
}

/**
 * @param {string} text @param {Style} opening @param {number} whole
 * @returns {Line}
 */
export function kept(text, opening, whole) {
  if (terminal && text.length > COMPACT_FROM) text = terminal.compacted(text, opening);
  return { text: text.slice(0, MOST_STORED), opening, cut: text.length > MOST_STORED ? Math.max(whole, text.length) : whole };
}
