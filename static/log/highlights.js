// Parts of the rows that are shown in another colour without changing what is in them: matches, the chosen match, and
// what is selected. By the browser's own highlights; where it has none, the rows are marked as a whole.

/** @typedef {'livetask-match' | 'livetask-chosen' | 'livetask-selected'} Name */

const registry = typeof CSS === 'object' && 'highlights' in CSS ? CSS.highlights : null;

export class Highlights {
  constructor() {
    /** @type {Map<Name, Range[]>} */
    this.ranges = new Map();
  }

  /** @param {Name} name @param {Range[]} ranges in place of those before */
  set(name, ranges) {
    if (!registry) return;
    let shared = registry.get(name);
    if (!shared) registry.set(name, (shared = new Highlight()));
    for (const range of this.ranges.get(name) ?? []) shared.delete(range);
    for (const range of ranges) shared.add(range);
    this.ranges.set(name, ranges);
  }

  clear() {
    for (const name of this.ranges.keys()) this.set(name, []);
  }
}

/**
 * The part of an element's text from one column to another.
 * @param {Element} element @param {number} from @param {number} to
 */
export function rangeOf(element, from, to) {
  const range = document.createRange();
  const [start, at] = placeIn(element, from);
  const [end, until] = placeIn(element, to);
  range.setStart(start, at);
  range.setEnd(end, until);
  return range;
}

/** @param {Element} element @param {number} column @returns {[Node, number]} */
function placeIn(element, column) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let last = /** @type {Node} */ (element);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const { length } = /** @type {Text} */ (node);
    if (column <= length) return [node, column];
    column -= length;
    last = node;
  }
  return last instanceof Text ? [last, last.length] : [last, 0];
}

/**
 * The column of an element's text that lies at a point of the window.
 * @param {Element} element @param {number} x @param {number} y
 */
export function columnAt(element, x, y) {
  const length = element.textContent?.length ?? 0;
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const rect = rangeOf(element, middle, middle + 1).getBoundingClientRect();
    const before = rect.bottom <= y || (rect.top <= y && rect.left + rect.width / 2 <= x);
    if (before) low = middle + 1;
    else high = middle;
  }
  return low;
}
