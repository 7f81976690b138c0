// A strand of text that writes again over rows that were there: while it does, it holds the screen on which it does. Pure.

import { Screen } from './screen.js';
import { REACHES } from './sequences.js';
import { add, around } from './spans.js';
import { Strand, tailOf } from './strand.js';
import { PLAIN } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/** @typedef {import('./chunks.js').Lines} Lines */

/** An escape sequence that begins earlier in a line than this is not completed by what comes. */
const SEQUENCE = 64;

export class Rewriting extends Strand {
  /** The last line that it may say to be absorbed. */
  until = Infinity;

  /** The nearest line before one that has a row; null if it is not held. @type {import('./screen.js').Above} */
  above = (number) => {
    const line = (around(this.shelf.absorbed, number - 1)?.[0] ?? number) - 1;
    const held = this.shelf.get(line);
    return held ? { line, ...held } : null;
  };

  /**
   * @param {Lines} shelf
   * @param {number} from the line it begins with
   * @param {Style} opening the style in force there
   * @param {Screen | null} [screen] where the line before it left the cursor, if that was in a row written again
   */
  constructor(shelf, from, opening, screen = null) {
    super(shelf, from, opening);
    /** @type {Screen | null} while rows above are written again, up to the next new row */
    this.screen = screen?.copy(this.above) ?? null;
    this.reaches = screen !== null;
    if (screen) absorb(shelf, from);
  }

  /** @override @param {string} text any number of lines */
  append(text) {
    super.append(text);
    this.finish();
  }

  /** @override @param {string} text without a newline */
  extend(text) {
    const { screen, tail } = this;
    const before = tail.text.slice(-SEQUENCE);
    if (screen) screen.feed(text);
    else if (!tail.cut && (text.includes('\x1b') || before.includes('\x1b')) && REACHES.test(before + text)) {
      this.screen = new Screen(this.above, tail.line, tail.opening);
      this.screen.feed(tail.text + text);
    } else super.extend(text);
  }

  /** @override */
  newline() {
    const { screen } = this;
    if (!screen) super.newline();
    else if (screen.newline()) {
      this.finish();
      this.screen = null;
      this.tail = tailOf(screen.line, '', screen.style);
    } else if (screen.line <= this.until) absorb(this.shelf, screen.line);
  }

  /** @override @param {number} line */
  breakOff(line) {
    this.finish();
    this.screen = null;
    super.breakOff(line);
  }

  /** Put the rows that have changed where they are looked for. */
  finish() {
    const { screen } = this;
    if (!screen) return;
    this.clipped ||= screen.clipped;
    this.reaches ||= screen.clipped;
    if (this.tail.line !== screen.line) this.tail = tailOf(screen.line, '', PLAIN);
    for (const { line, columns } of screen.taken()) {
      const text = columns.drawn();
      if (line < this.from) this.reaches = true;
      if (line < screen.line) this.shelf.put(line, text, PLAIN);
      else this.tail = tailOf(line, text, PLAIN);
    }
  }
}

/** What comes now, as a strand that can write again. @param {Lines} lines */
export function liveOf(lines) {
  const { live } = lines;
  return live instanceof Rewriting ? live : (lines.live = Object.assign(new Rewriting(lines, live.from, live.opening), { tail: live.tail, raw: live.raw }));
}

/** A line that has no row of its own. @param {Lines} lines @param {number} line */
function absorb(lines, line) {
  add(lines.absorbed, line);
  lines.put(line, '', PLAIN);
}
