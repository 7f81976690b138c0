// Selecting text from any line to any other, whether it has a row now or not, and copying it: lines that are not held are
// asked for. A place is a line and a column of what is seen of it.

import { shown } from './sequences.js';
import { around } from './spans.js';
import { columnAt, rangeOf } from './highlights.js';

/** @typedef {{ line: number, column: number }} Place */

const PIECE = 500;
/** No more lines are copied at once. */
const MOST_LINES = 200_000;
const EDGE_PX = 24;
const SCROLL_MS = 40;

export class Selection {
  /** @type {Place | null} where it began */
  anchor = null;
  /** @type {Place | null} where it ends; before or after the anchor */
  focus = null;
  dragging = false;
  scrolling = 0;
  at = { x: 0, y: 0 };

  /**
   * @param {import('../livetask-log.js').LivetaskLog} log
   * @param {() => import('./http.js').Outputs} outputs of what is shown
   * @param {() => void} changed
   */
  constructor(log, outputs, changed) {
    this.log = log;
    this.outputs = outputs;
    this.changed = changed;
    const { scroller } = log.frame;
    this.ends = new AbortController();
    scroller.addEventListener('pointerdown', (event) => this.down(event), this.ends);
    scroller.addEventListener('pointermove', (event) => this.moved(event), this.ends);
    scroller.addEventListener('pointerup', () => this.up(), this.ends);
    scroller.addEventListener('pointercancel', () => this.up(), this.ends);
    scroller.addEventListener('dblclick', (event) => this.word(event), this.ends);
    scroller.addEventListener('keydown', (event) => this.key(event), this.ends);
    document.addEventListener('copy', (event) => this.copied(event), this.ends);
  }

  close() {
    this.up();
    this.ends.abort();
  }

  clear() {
    if (this.anchor) this.select(null, null);
  }

  /** @returns {[Place, Place] | null} in their order; null if nothing is selected */
  get places() {
    const { anchor, focus } = this;
    if (!anchor || !focus || (anchor.line === focus.line && anchor.column === focus.column)) return null;
    const forward = anchor.line < focus.line || (anchor.line === focus.line && anchor.column < focus.column);
    return forward ? [anchor, focus] : [focus, anchor];
  }

  // ---- by pointer

  /** @param {PointerEvent} event */
  down(event) {
    // fingers scroll; a long press selects as everywhere
    if (event.button !== 0 || event.pointerType === 'touch') return;
    const [target] = event.composedPath();
    if (!(target instanceof Element) || !target.closest('.row') || target.closest('.no, .more, .fold, .about, a')) return;
    const place = this.placeAt(event.clientX, event.clientY);
    if (!place) return;
    this.dragging = true;
    this.log.frame.scroller.setPointerCapture(event.pointerId);
    this.select(event.shiftKey && this.anchor || place, place);
  }

  /** @param {PointerEvent} event */
  moved(event) {
    if (!this.dragging) return;
    this.at = { x: event.clientX, y: event.clientY };
    this.extend();
    if (!this.scrolling && this.beyond()) this.scrolling = setInterval(() => this.scroll(), SCROLL_MS);
  }

  up() {
    this.dragging = false;
    this.stop();
  }

  /** Scroll no more. */
  stop() {
    clearInterval(this.scrolling);
    this.scrolling = 0;
  }

  /** How far the pointer is above the rows or below them, in px. */
  beyond() {
    const { top, bottom } = this.log.frame.scroller.getBoundingClientRect();
    return Math.min(0, this.at.y - top - EDGE_PX) || Math.max(0, this.at.y - bottom + EDGE_PX);
  }

  scroll() {
    const far = this.beyond();
    this.log.frame.scroller.scrollTop += far;
    if (far) this.extend();
    else this.stop();
  }

  extend() {
    const place = this.placeAt(this.at.x, this.at.y);
    if (place) this.select(this.anchor, place);
  }

  /** @param {number} x @param {number} y @returns {Place | null} */
  placeAt(x, y) {
    const rows = this.log.view.painted().filter(({ item }) => item.kind === 'line');
    const [first, last] = [rows[0], rows.at(-1)];
    if (!first || !last) return null;
    for (const { item, text, element } of rows) {
      const { top, bottom } = element.getBoundingClientRect();
      if (y >= top && y < bottom) return { line: item.number ?? 0, column: columnAt(text, x, y) };
    }
    if (y < first.element.getBoundingClientRect().top) return { line: first.item.number ?? 0, column: 0 };
    return { line: last.item.number ?? 0, column: last.text.textContent?.length ?? 0 };
  }

  /** @param {MouseEvent} event */
  word(event) {
    const place = this.placeAt(event.clientX, event.clientY);
    if (!place) return;
    const { line, column } = place;
    const text = shown(this.log.feed.line(line)?.text ?? '');
    const length = (/** @type {RegExp} */ word, /** @type {string} */ part) => word.exec(part)?.[0].length ?? 0;
    this.select({ line, column: column - length(/[\p{L}\p{N}_]*$/u, text.slice(0, column)) }, { line, column: column + length(/^[\p{L}\p{N}_]*/u, text.slice(column)) });
  }

  /** @param {Place | null} anchor @param {Place | null} focus */
  select(anchor, focus) {
    this.anchor = anchor;
    this.focus = focus;
    this.changed();
  }

  // ---- by keys

  /** @param {KeyboardEvent} event */
  key(event) {
    if ((event.ctrlKey || event.metaKey) && event.key === 'a') {
      event.preventDefault();
      this.select({ line: this.log.feed.firstLine, column: 0 }, { line: Math.max(1, this.log.feed.rows.last), column: Infinity });
    }
  }

  // ---- what is shown of it

  /** The parts of the rows that are selected. @returns {Range[]} */
  ranges() {
    const { places } = this;
    if (!places) return [];
    const [from, to] = places;
    const ranges = [];
    for (const { item, text } of this.log.view.painted()) {
      const line = item.number ?? 0;
      if (item.kind !== 'line' || line < from.line || line > to.line) continue;
      const length = text.textContent?.length ?? 0;
      ranges.push(rangeOf(text, line === from.line ? Math.min(from.column, length) : 0, line === to.line ? Math.min(to.column, length) : length));
    }
    return ranges;
  }

  // ---- copying

  /** What Ctrl-C copies: what is selected, else the lines that are marked. */
  get wanted() {
    const { marks } = this.log;
    if (this.places) return this.places;
    return marks && /** @type {[Place, Place]} */ ([{ line: marks[0], column: 0 }, { line: marks[1], column: Infinity }]);
  }

  /** @param {ClipboardEvent} event */
  copied(event) {
    const { wanted } = this;
    const elsewhere = document.activeElement !== this.log && document.activeElement !== document.body;
    if (!wanted || elsewhere || String(getSelection())) return;
    if (this.log.shadowRoot?.activeElement?.matches('input')) return;
    event.preventDefault();
    const held = this.heldText(...wanted);
    if (held !== null) event.clipboardData?.setData('text/plain', held);
    else this.copyFetched(wanted);
  }

  /** @param {[Place, Place]} places */
  async copyFetched(places) {
    this.log.tell('livetask-copy', { state: 'fetching' });
    try {
      await navigator.clipboard.writeText(await this.text(...places));
      this.log.tell('livetask-copy', { state: 'copied' });
    } catch {
      this.log.tell('livetask-copy', { state: 'failed' });
    }
  }

  /** The text from one place to another if all of it is held; else null. @param {Place} from @param {Place} to */
  heldText(from, to) {
    const { done, value } = this.read(from, to).next();
    return done && to.line - from.line <= MOST_LINES ? value : null;
  }

  /** The same, with what has to be asked for. @param {Place} from @param {Place} to @returns {Promise<string>} */
  async text(from, to) {
    const outputs = this.outputs();
    const run = this.log.feed.run ?? 0;
    const reading = this.read(from, to);
    for (let step = reading.next(); ; ) {
      if (step.done) return step.value;
      step = reading.next(await outputs.range(run, ...step.value));
    }
  }

  /**
   * Go through the lines from one place to another: asks for those that are not held, and comes back with the text.
   * @param {Place} from @param {Place} to
   * @returns {Generator<[line: number, count: number], string, import('./http.js').Range>}
   */
  *read(from, to) {
    const { feed } = this.log;
    const last = Math.min(to.line, from.line + MOST_LINES);
    /** @type {string[]} */
    const texts = [];
    const add = (/** @type {number} */ line, /** @type {string} */ text) => {
      if (line <= last && !around(feed.lines.absorbed, line)) texts.push(shown(text).slice(line === from.line ? from.column : 0, line === to.line ? to.column : undefined));
    };
    for (let line = from.line; line <= last; ) {
      const held = feed.line(line);
      if (held && !held.cut) add(line++, held.text);
      else {
        const { first_line: first, lines } = yield [line, Math.min(PIECE, last - line + 1)];
        lines.forEach((text, index) => add(first + index, text));
        if (first + lines.length <= line) break;
        line = first + lines.length;
      }
    }
    return texts.join('\n');
  }
}
