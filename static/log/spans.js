// A set of whole numbers kept as ranges, in order and apart: lines that have no row. Pure.

/** @typedef {[from: number, to: number]} Span  both included */

/** With more ranges than this nothing is added: the work of a frame must stay small. */
const MOST = 5000;

export class Spans {
  constructor() {
    /** @type {Span[]} */
    this.all = [];
  }

  /** Where the first range begins that ends at this number or after it. @param {number} number */
  place(number) {
    let [low, high] = [0, this.all.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (/** @type {Span} */ (this.all[middle])[1] < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** @param {number} number @returns {Span | null} the range that holds it */
  around(number) {
    const span = this.all[this.place(number)];
    return span && span[0] <= number ? span : null;
  }

  /** @param {number} from @param {number} [to] */
  add(from, to = from) {
    const at = this.place(from - 1);
    let until = at;
    while (until < this.all.length && /** @type {Span} */ (this.all[until])[0] <= to + 1) until++;
    const [first, last] = [this.all[at], this.all[until - 1]];
    if (until > at && first && last) [from, to] = [Math.min(from, first[0]), Math.max(to, last[1])];
    else if (this.all.length >= MOST) return;
    this.all.splice(at, until - at, [from, to]);
  }

  /** @param {number} from @param {number} to */
  remove(from, to) {
    const at = this.place(from);
    /** @type {Span[]} */
    const rest = [];
    let until = at;
    for (; until < this.all.length; until++) {
      const span = /** @type {Span} */ (this.all[until]);
      if (span[0] > to) break;
      if (span[0] < from) rest.push([span[0], from - 1]);
      if (span[1] > to) rest.push([to + 1, span[1]]);
    }
    this.all.splice(at, until - at, ...rest);
  }

  /** The nearest number before this one that is not in the set. @param {number} number */
  before(number) {
    const span = this.around(number - 1);
    return span ? span[0] - 1 : number - 1;
  }

  /** The numbers in the set, the first of them at most. @param {number} most */
  numbers(most) {
    /** @type {number[]} */
    const found = [];
    for (const [from, to] of this.all) for (let number = from; number <= to && found.length < most; number++) found.push(number);
    return found;
  }

  clear() {
    this.all = [];
  }
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
