// Places in a log as people and servers write them: cursors, positions, and the #L10-L20 of an address. Pure.

/** @typedef {{ line: number, byte: number }} Position  the place of one byte; lines from 1, bytes from 0 */
/** @typedef {{ run: number, nonce: string, line: number, byte: number }} Cursor */

/**
 * Read `<line>-<byte>`.
 * @param {unknown} text
 * @returns {Position | null}
 */
export function position(text) {
  const match = typeof text === 'string' ? /^(\d{1,16})-(\d{1,16})$/.exec(text) : null;
  return match ? { line: Number(match[1]), byte: Number(match[2]) } : null;
}

/**
 * Read `<run>.<nonce>.<line>-<byte>`.
 * @param {unknown} text
 * @returns {Cursor | null}
 */
export function cursor(text) {
  const match = typeof text === 'string' ? /^(\d{1,9})\.([a-z0-9]+)\.(\d{1,16}-\d{1,16})$/.exec(text) : null;
  const at = match && position(match[3]);
  return at && { run: Number(match[1]), nonce: match[2] ?? '', ...at };
}

/**
 * Read `#L10` or `#L10-L20`, the smaller line first.
 * @param {string} hash
 * @returns {[number, number] | null}
 */
export function marked(hash) {
  const match = /^#L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(hash);
  if (!match) return null;
  const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
  return from < 1 || to < 1 ? null : [Math.min(from, to), Math.max(from, to)];
}

/** @param {[number, number]} lines */
export function hashOf([from, to]) {
  return from === to ? `#L${from}` : `#L${from}-L${to}`;
}

/** @param {number} count */
export function number(count) {
  return count.toLocaleString('en-US');
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const units = ['KB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/**
 * The index of the first item that is at `number` or after it.
 * @template T
 * @param {T[]} items in order @param {number} number @param {(item: T) => number} [of]
 */
export function placeOf(items, number, of = Number) {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(/** @type {T} */ (items[middle])) < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The nearest number after one, or before it; around the end if there is none.
 * @param {number[]} numbers in order @param {number} from @param {number} way 1 or -1
 * @returns {number} 0 if there are none
 */
export function nearest(numbers, from, way) {
  if (way > 0) return numbers[placeOf(numbers, from + 1)] ?? numbers[0] ?? 0;
  return numbers[placeOf(numbers, from) - 1] ?? numbers.at(-1) ?? 0;
}
