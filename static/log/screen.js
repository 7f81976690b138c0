// The last rows of a text, which a program may still write again: cursor movements and erasing across lines, as tqdm,
// pip, rich and docker use them. A row keeps the number of the line in which it first appeared; a line that only wrote
// into rows that were there has no row of its own: it is absorbed. Rows further up are final, as they are on a terminal
// of this height. Rows have no greatest width. Pure.

import { Columns } from './columns.js';
import { read } from './sequences.js';
import { PLAIN } from './style.js';

/** @typedef {import('./style.js').Style} Style */
/** @typedef {{ line: number, columns: Columns }} Row */
/**
 * The nearest line before one that has a row; null where none is held.
 * @typedef {(line: number) => { line: number, text: string, opening: Style } | null} Above
 */

/** The greatest number of rows that can be written again. */
export const MOST_ROWS = 100;
/** A sequence that has only begun. */
const UNFINISHED = /\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]{0,4000}\x1b?|[ -/]*)$/;

export class Screen {
  /**
   * @param {Above} above
   * @param {number} line in which the text goes on
   * @param {Style} opening the style in force there
   */
  constructor(above, line, opening) {
    this.above = above;
    this.line = line;
    /** @type {Row[]} those that have been touched, without a hole down to the last one */
    this.rows = [{ line, columns: new Columns(opening) }];
    this.y = 0;
    /** @type {Set<Row>} changed since they were taken away last */
    this.changed = new Set(this.rows);
    this.held = '';
    this.colours = opening;
    /** @type {{ line: number, at: number, style: Style } | null} */
    this.saved = null;
    /** It wanted to go above everything that is held. */
    this.clipped = false;
  }

  /** Another one in the same state. @param {Above} above */
  copy(above) {
    const other = new Screen(above, this.line, this.colours);
    other.rows = this.rows.map(({ line, columns }) => ({ line, columns: columns.copy() }));
    other.y = this.y;
    other.saved = this.saved;
    other.changed = new Set([other.row]);
    other.row.columns.style = this.colours;
    return other;
  }

  /** @param {string} text without line ends, which goes on where the last one ended */
  feed(text) {
    const whole = this.held + text;
    const at = UNFINISHED.exec(whole)?.index ?? whole.length;
    this.held = whole.slice(at);
    read(whole.slice(0, at), this);
  }

  /**
   * The end of a line.
   * @returns {boolean} whether a new row begins; else the next line goes on in a row that is there
   */
  newline() {
    if (this.held) read(this.held, this);
    this.held = '';
    this.line++;
    if (this.y === this.rows.length - 1) return true;
    this.goTo(this.y + 1, 0);
    return false;
  }

  /** The rows that have changed since this was asked last, and the last one: it may have been the line that had not ended. */
  taken() {
    const rows = [...this.changed];
    this.changed = new Set([this.row, ...this.rows.slice(-1)]);
    return rows;
  }

  get row() {
    return /** @type {Row} */ (this.rows[this.y]);
  }

  get style() {
    return this.colours;
  }

  set style(style) {
    this.colours = this.row.columns.style = style;
  }

  /** @param {string} text */
  write(text) {
    this.row.columns.write(text);
  }

  /** @param {string} text */
  symbol(text) {
    this.row.columns.symbol(text);
  }

  /** @param {string} final @param {number} count @param {string} given */
  move(final, count, given) {
    const { at } = this.row.columns;
    if (final === 'A') this.goTo(this.reach(count), at);
    else if (final === 'F') this.goTo(this.reach(count), 0);
    else if (final === '\x1bM') this.goTo(this.reach(1), at);
    else if (final === 'B' || final === '\x1bD') this.goTo(this.y + count, at);
    else if (final === 'E' || final === '\x1bE') this.goTo(this.y + count, 0);
    else if (final === 'H' || final === 'f') this.goHome(given);
    else if (final === 'J') this.erase(Number.parseInt(given, 10) || 0);
    else if (final === 'L' || final === 'M') this.push(final === 'L' ? count : -count);
    else if (final === 's' || final === '\x1b7') this.saved = { line: this.row.line, at, style: this.style };
    else if (final === 'u' || final === '\x1b8') this.restore();
    else this.row.columns.move(final, count, given);
  }

  /** The row so many above; those that are not there yet are taken from above. @param {number} count */
  reach(count) {
    while (this.y < count && this.rows.length < MOST_ROWS) {
      const [top] = this.rows;
      const found = top && this.above(top.line);
      if (!found) {
        this.clipped ||= (top?.line ?? 1) > 1;
        break;
      }
      const columns = new Columns(found.opening);
      read(found.text, columns);
      this.rows.unshift({ line: found.line, columns });
      this.y++;
    }
    return this.y - count;
  }

  /** @param {number} y @param {number} at */
  goTo(y, at) {
    this.y = Math.max(0, Math.min(this.rows.length - 1, y));
    this.row.columns.at = at;
    this.row.columns.style = this.colours;
    this.changed.add(this.row);
  }

  /** @param {string} given row and column, from 1 */
  goHome(given) {
    const [y = 1, x = 1] = given.split(';').map((part) => Math.max(1, Number(part) || 1));
    this.reach(MOST_ROWS);
    this.goTo(y - 1, x - 1);
  }

  restore() {
    const { line, at, style } = this.saved ?? { line: 0, at: 0, style: PLAIN };
    this.goTo(this.rows.findIndex((row) => row.line === line), at);
    this.style = style;
  }

  /** @param {number} mode 0 from the cursor to the end, 1 up to the cursor, 2 all */
  erase(mode) {
    if (mode > 2) return;
    if (mode > 0) this.reach(MOST_ROWS);
    this.row.columns.erase(mode);
    this.rows.forEach((row, y) => {
      if (mode === 0 ? y <= this.y : mode === 1 ? y >= this.y : y === this.y) return;
      row.columns.cut(0, Infinity);
      this.changed.add(row);
    });
  }

  /** Move what is written from the cursor's row on downwards, or upwards if negative. @param {number} by */
  push(by) {
    const texts = this.rows.map(({ columns: { signs, styles } }) => ({ signs, styles }));
    for (let y = this.y; y < this.rows.length; y++) {
      const row = /** @type {Row} */ (this.rows[y]);
      const from = y - by >= this.y ? texts[y - by] : undefined;
      Object.assign(row.columns, from ?? { signs: [], styles: [] });
      this.changed.add(row);
    }
    this.goTo(this.y, 0);
  }
}
