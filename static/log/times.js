// When lines were printed. What is printed at once has one time, so few of them stand for many lines. Pure.

import { placeOf } from './places.js';

const MOST = 20_000;

export class Times {
  /** @type {number[]} in their order */
  lines = [];
  /** @type {number[]} ms since the epoch */
  at = [];

  /** The index of the last line that is not after this one. @param {number} line */
  place(line) {
    return placeOf(this.lines, line + 1) - 1;
  }

  /** @param {number} line that was printed then, with those after it @param {number} atMs */
  add(line, atMs) {
    if (!(atMs > 0)) return;
    if (this.lines.length >= MOST) [this.lines, this.at] = [[], []];
    const at = this.place(line);
    if (this.at[at] === atMs || this.lines[at] === line) return;
    this.lines.splice(at + 1, 0, line);
    this.at.splice(at + 1, 0, atMs);
  }

  /** @param {number} line @returns {number} 0 if it is not known */
  of(line) {
    return this.at[this.place(line)] ?? 0;
  }
}
