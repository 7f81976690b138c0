// Rows of chosen lines only, counted as in rows.js. Pure.

import { placeOf } from './places.js';

/** Rows of chosen lines only, and one for the end. */
export class Picked {
  /** @param {number[]} lines in their order @param {number} last @param {boolean} ended */
  constructor(lines, last, ended) {
    this.lines = lines;
    this.last = last;
    this.ended = ended;
    this.count = lines.length + (ended ? 1 : 0);
  }

  /** @param {number} row @returns {{ line: number } | 'end' | null} */
  at(row) {
    const line = this.lines[row];
    if (line !== undefined) return { line };
    return this.ended && row === this.lines.length ? 'end' : null;
  }

  /** The row of a line, or of the last one before it. @param {number} line */
  rowOf(line) {
    return Math.max(0, placeOf(this.lines, line + 1) - 1);
  }
}
