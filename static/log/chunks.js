// The lines of a run that are held here: a cache of aligned pieces of 500 lines, bounded in characters, and the text that
// comes now. What is not held can be asked for again (numbered.js), so the oldest used piece may always go. Pure.

import { terminal } from './ansi.js';
import { Strand, kept } from './strand.js';
import { PLAIN } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/**
 * @typedef {object} Line
 * @property {string} text  without its newline, at most MOST_STORED characters of it
 * @property {Style} opening  the style in force at its beginning
 * @property {number} cut  how long the whole line is, in characters or bytes; 0 if `text` is all of it
 */
/**
 * @typedef {object} Chunk
 * @property {(Line | undefined)[]} lines
 * @property {number} size
 * @property {boolean} [reaches]  it writes into rows before its first line
 * @property {boolean} [clipped]  and these were not held
 * @property {{ line: number, screen: import('./screen.js').Screen } | null} [next]  where its end left the cursor, if in a row written again
 */

export const CHUNK = 500;
/** At two bytes a character this is 8 MB. */
const MOST_CHARACTERS = 4_000_000;
/** What a line costs besides its characters. */
export const LINE_COST = 24;

export class Lines {
  /** @param {number} [most] characters held at most */
  constructor(most = MOST_CHARACTERS) {
    this.most = most;
    /** @type {Map<number, Chunk>}  by number of the piece, the one used last at the end */
    this.chunks = new Map();
    this.size = 0;
    /** @type {import('./spans.js').Span[]} lines that have no row of their own: they wrote into rows that were there */
    this.absorbed = [];
    /** @type {Set<number>} lines asked for only because later ones write into their rows */
    this.contexts = new Set();
    /** What comes now. */
    this.live = new Strand(this, 1, PLAIN);
  }

  /** The line that has not ended yet. */
  get tail() {
    return this.live.tail;
  }

  /**
   * A line that has ended.
   * @param {number} line
   * @returns {Line | undefined}
   */
  get(line) {
    return this.chunks.get(pieceOf(line))?.lines[(line - 1) % CHUNK];
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

  /**
   * Text that follows what is held of the line that has not ended.
   * @param {string} text any number of lines
   */
  append(text) {
    (terminal?.liveOf(this) ?? this.live).append(text);
  }

  /**
   * Go on at another line: what was held of the line that had not ended is given up.
   * @param {number} line @param {Style} [opening]
   */
  skipTo(line, opening = PLAIN) {
    this.live = new Strand(this, line, opening);
  }

  /** The line that had not ended will not be continued; its number goes on. @param {number} line */
  breakOff(line) {
    this.live.breakOff(line);
  }

  /** @param {number} piece that must stay */
  forget(piece) {
    for (const index of [...this.chunks.keys()]) {
      if (this.size <= this.most) return;
      if (index === piece) continue;
      this.size -= this.chunks.get(index)?.size ?? 0;
      this.chunks.delete(index);
    }
  }
}

/** @param {number} line */
export function pieceOf(line) {
  return Math.floor((line - 1) / CHUNK);
}
