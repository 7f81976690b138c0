// The lines of a run that are held here: a cache of aligned pieces of 500 lines, bounded in characters, and the text that
// comes now. What is not held can be asked for again, so the oldest used piece may always go. Pure.

import { REACHES, closing } from './ansi.js';
import { Spans } from './spans.js';
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
 * @property {boolean} reaches  it writes into rows before its first line
 * @property {boolean} clipped  and these were not held
 * @property {{ line: number, screen: import('./screen.js').Screen } | null} next  where its end left the cursor, if in a row written again
 */

export const CHUNK = 500;
/** At two bytes a character this is 8 MB. */
const MOST_CHARACTERS = 4_000_000;
/** So many pieces are asked for only because later ones write into their rows. */
const MOST_CONTEXTS = 24;
/** What a line costs besides its characters. */
const LINE_COST = 24;

export class Lines {
  /** @param {number} [most] characters held at most */
  constructor(most = MOST_CHARACTERS) {
    this.most = most;
    /** @type {Map<number, Chunk>}  by number of the piece, the one used last at the end */
    this.chunks = new Map();
    this.size = 0;
    /** Lines that have no row of their own: they wrote into rows that were there. */
    this.absorbed = new Spans();
    /** @type {Set<number>} lines asked for only because later ones write into their rows */
    this.contexts = new Set();
    /** What comes now. */
    this.live = new Strand(this, 1);
  }

  /** The line that has not ended yet. */
  get tail() {
    return this.live.tail;
  }

  clear() {
    this.chunks.clear();
    this.size = 0;
    this.absorbed.clear();
    this.contexts.clear();
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
      chunk = { lines: [], size: 0, reaches: false, clipped: false, next: null };
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

  /** A line that has no row of its own. @param {number} line */
  absorb(line) {
    this.absorbed.add(line);
    this.put(line, '', PLAIN);
  }

  /**
   * The nearest line before this one that has a row; null if it is not held.
   * @param {number} number
   */
  above(number) {
    const line = this.absorbed.before(number);
    const held = this.get(line);
    return held ? { line, text: held.text, opening: held.opening } : null;
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
    this.live.append(text);
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

  /**
   * Consecutive lines that have ended and came by number.
   * @param {number} first the number of the first one
   * @param {string[]} texts
   * @param {Style} opening the style in force there
   * @param {(line: number) => number} cut how long a line is that is given in part; else 0
   */
  putAll(first, texts, opening, cut) {
    const { live } = this;
    const reaching = texts.some((text) => text.includes('\x1b') && REACHES.test(text));
    const newer = Math.max(first, live.from);
    // what came by itself has been written again since: it stays
    if ((reaching || live.reaches) && newer < first + texts.length && this.get(newer)) texts = texts.slice(0, newer - first);
    if (!texts.length) return;
    const next = first + texts.length;
    this.absorbed.remove(first, next - 1);
    const strand = new Strand(this, first, opening, this.screenBefore(first));
    strand.raw = null;
    strand.until = next - 1;
    texts.forEach((text, index) => {
      const whole = cut(first + index);
      if (whole && !strand.screen) strand.tail = { ...strand.tail, text, cut: whole };
      else strand.extend(text, reaching);
      strand.newline();
    });
    strand.finish();
    this.ended(first, next, strand);
  }

  /** Where the lines before this one left the cursor, if that was in a row written again. @param {number} line */
  screenBefore(line) {
    const chunk = this.chunks.get(pieceOf(line - 1));
    return chunk?.next?.line === line ? chunk.next.screen : null;
  }

  /**
   * Remember how lines ended that came by number; what follows them and depends on that is read again.
   * @param {number} first @param {number} next @param {Strand} strand
   */
  ended(first, next, { screen, reaches, clipped }) {
    const chunk = this.chunks.get(pieceOf(next - 1));
    if (chunk) {
      chunk.next = screen && { line: next, screen };
      chunk.reaches ||= reaches;
      chunk.clipped = pieceOf(first) * CHUNK + 1 === first ? clipped : chunk.clipped || clipped;
    }
    const { live } = this;
    const after = this.chunks.get(pieceOf(next));
    if (first < live.from && live.from < next) live.raw = null;
    else if (live.from === next && (screen || live.reaches)) this.replay(live);
    else if (after && after !== chunk && (screen || after.reaches)) this.drop(pieceOf(next), live.from);
  }

  /** @param {Strand} old */
  replay({ from, opening, raw, tail }) {
    if (raw === null) return;
    this.absorbed.remove(from, tail.line);
    this.live = new Strand(this, from, opening, this.screenBefore(from));
    this.live.append(raw);
  }

  /**
   * The line to ask for so that rows can be shown that were written again by what is held; 0 if none is missing.
   * @param {number} from @param {number} to lines that are shown
   */
  context(from, to) {
    const { live } = this;
    const chunk = this.chunks.get(pieceOf(from));
    let line = chunk?.clipped ? pieceOf(from) * CHUNK : 0;
    if (!line && to >= live.from && live.clipped && live.raw !== null) line = live.from - 1;
    if (line < 1 || this.get(line)) return 0;
    if (this.contexts.size < MOST_CONTEXTS) this.contexts.add(line);
    return this.contexts.has(line) ? line : 0;
  }

  /** @param {number} index of a piece @param {number} [until] lines from here on stay */
  drop(index, until = Infinity) {
    const chunk = this.chunks.get(index);
    if (!chunk) return;
    const stay = until - index * CHUNK - 1;
    chunk.lines.forEach((line, at) => {
      if (!line || at >= stay) return;
      this.size -= line.text.length + LINE_COST;
      chunk.size -= line.text.length + LINE_COST;
      delete chunk.lines[at];
    });
    Object.assign(chunk, { reaches: false, clipped: false, next: null });
    if (stay >= CHUNK) this.chunks.delete(index);
  }

  /** @param {number} piece that must stay */
  forget(piece) {
    for (const index of [...this.chunks.keys()]) {
      if (this.size <= this.most) return;
      if (index !== piece) this.drop(index);
    }
  }
}

/** @param {number} line */
export function pieceOf(line) {
  return Math.floor((line - 1) / CHUNK);
}
