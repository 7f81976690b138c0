// Which row of the view shows what: the lines that can be reached, a row for each gap, and a row for the end.
// Rows are counted from 0, lines from 1. Pure.

import { placeOf } from './places.js';

/** @typedef {import('./places.js').Position} Position */
/**
 * @typedef {object} Gap
 * @property {Position} from  the first byte that is missing
 * @property {Position} to  the first that is there again
 * @property {string} reason  trimmed, dropped, lost, deleted
 * @property {boolean} bare  nothing of the line it begins in stands before it
 */
/** @typedef {{ row: number, count: number, line: number, gap: Gap | null }} Stretch */

export class Rows {
  /**
   * @param {Gap[]} gaps in their order, without overlap
   * @param {number} last the last line that is there, 0 if none
   * @param {boolean} ended a row for the end follows
   * @param {import('./spans.js').Span[]} [hidden] lines that have no row, in their order
   */
  constructor(gaps, last, ended, hidden = []) {
    /** @type {Stretch[]} */
    this.stretches = [];
    this.last = last;
    let line = 1;
    let row = 0;
    let next = 0;
    const lines = (/** @type {number} */ until) => {
      for (let at = line; at <= until; ) {
        while ((hidden[next]?.[1] ?? Infinity) < at) next++;
        const [from, to] = hidden[next] ?? [Infinity, Infinity];
        const count = Math.min(until, from - 1) - at + 1;
        if (count > 0) this.stretches.push({ row, count, line: at, gap: null });
        row += Math.max(0, count);
        at = from <= until ? to + 1 : until + 1;
      }
    };
    for (const gap of gaps) {
      lines(Math.min(last, gap.bare || gap.from.line === gap.to.line ? gap.from.line - 1 : gap.from.line));
      this.stretches.push({ row: row++, count: 1, line: gap.to.line, gap });
      line = Math.max(line, gap.to.line);
    }
    lines(last);
    this.ended = ended;
    this.count = row + (ended ? 1 : 0);
  }

  /**
   * @param {number} row
   * @returns {{ line: number } | { gap: Gap } | 'end' | null}
   */
  at(row) {
    if (row < 0 || row >= this.count) return null;
    if (this.ended && row === this.count - 1) return 'end';
    const stretch = this.stretches[placeOf(this.stretches, row + 1, (item) => item.row) - 1];
    if (!stretch) return null;
    return stretch.gap ? { gap: stretch.gap } : { line: stretch.line + row - stretch.row };
  }

  /**
   * The row of a line, or of the gap that holds it.
   * @param {number} line
   */
  rowOf(line) {
    const stretch = this.stretches[placeOf(this.stretches, line + 1, firstOf) - 1];
    return stretch ? stretch.row + (stretch.gap ? 0 : Math.min(line - stretch.line, stretch.count - 1)) : 0;
  }
}

/** The first line that is all in it. @param {Stretch} stretch */
function firstOf({ gap, line }) {
  return gap ? gap.from.line + (gap.bare ? 0 : 1) : line;
}

/**
 * The gaps and one more; those that overlap become one.
 * @param {Gap[]} gaps in their order, without overlap
 * @param {Gap} gap
 * @param {boolean} sure whether its `bare` is known, and not only assumed
 * @returns {Gap[]}
 */
export function merged(gaps, gap, sure) {
  const apart = gaps.filter((other) => other.to.byte <= gap.from.byte || other.from.byte >= gap.to.byte);
  const others = gaps.filter((other) => !apart.includes(other));
  const [first, last] = [others[0], others.at(-1)];
  if (others.length === 1 && first && first.from.byte <= gap.from.byte && first.to.byte >= gap.to.byte) {
    if (sure && first.from.byte === gap.from.byte && first.from.byte > 0) first.bare = gap.bare;
    return gaps;
  }
  let whole = gap;
  if (first && first.from.byte < whole.from.byte) whole = { ...whole, from: first.from, bare: first.bare };
  if (last && last.to.byte > whole.to.byte) whole = { ...whole, to: last.to };
  return [...apart, whole].sort((a, b) => a.from.byte - b.from.byte);
}
