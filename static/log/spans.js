// Sets of whole numbers kept as ranges, in order and apart: lines that have no row, lines of stderr's. Pure.

import { placeOf } from './places.js';

/** @typedef {[from: number, to: number]} Span  both included */

/** With more ranges than this nothing is added: the work of a frame must stay small. */
const MOST = 5000;

/** Where the first range begins that ends at this number or after it. @param {Span[]} spans @param {number} number */
const place = (spans, number) => placeOf(spans, number, (span) => span[1]);

/** The range that holds a number. @param {Span[]} spans @param {number} number @returns {Span | null} */
export function around(spans, number) {
  const span = spans[place(spans, number)];
  return span && span[0] <= number ? span : null;
}

/** @param {Span[]} spans @param {number} from @param {number} [to] */
export function add(spans, from, to = from) {
  const at = place(spans, from - 1);
  let until = at;
  for (let span = spans[at]; span && span[0] <= to + 1; span = spans[++until]) [from, to] = [Math.min(from, span[0]), Math.max(to, span[1])];
  if (until > at || spans.length < MOST) spans.splice(at, until - at, [from, to]);
}

/** @param {Span[]} spans @param {number} from @param {number} to */
export function remove(spans, from, to) {
  const at = place(spans, from);
  /** @type {Span[]} */
  const rest = [];
  let until = at;
  for (let span = spans[at]; span && span[0] <= to; span = spans[++until]) {
    if (span[0] < from) rest.push([span[0], from - 1]);
    if (span[1] > to) rest.push([to + 1, span[1]]);
  }
  spans.splice(at, until - at, ...rest);
}

/** The numbers in the set, the first of them at most. @param {Span[]} spans @param {number} most */
export function numbers(spans, most) {
  /** @type {number[]} */
  const found = [];
  for (const [from, to] of spans) for (let number = from; number <= to && found.length < most; number++) found.push(number);
  return found;
}

/** Ranges of both, in order and apart. @param {Span[]} a @param {Span[]} b @returns {Span[]} */
export function joined(a, b) {
  if (!a.length || !b.length) return a.length ? a : b;
  /** @type {Span[]} */
  const all = [];
  for (const [from, to] of [...a, ...b].sort((x, y) => x[0] - y[0])) {
    const last = all.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else all.push([from, to]);
  }
  return all;
}
