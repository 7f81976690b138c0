// The windowed list: a sticky viewport that holds only the rows that can be seen, whatever the number of rows.
//
// `top` is the only truth about where the view is: the row at its upper edge, as a float. The scroll bar follows it.
// Elements have a greatest height, so the space that makes the scroll bar is capped; beyond the cap (and with wrapped
// rows, whose heights are not known) small movements are counted in pixels of rows, and large ones are a share of
// the whole. Only this file touches rows. It knows nothing of the network.

import { resolved, terminal } from './ansi.js';
import { make } from './frame.js';
import { paint, write } from './paint.js';
import { PLAIN } from './style.js';

/** @typedef {import('./chunks.js').Line} Line */
/**
 * What a row shows.
 * @typedef {object} Item
 * @property {'line' | 'wait' | 'gap' | 'end'} kind
 * @property {number} [number] of the line
 * @property {Line} [line]
 * @property {string} [text] of a gap or of the end
 * @property {string} [tone] how a gap, the end or a line of some level is to look
 * @property {string} [time] when it was printed
 * @property {import('./ansi.js').Run[]} [runs] what to show in place of the line as a terminal would
 * @property {{ open: boolean, text: string }} [fold] it is the heading of a group
 */
/**
 * @typedef {object} Source
 * @property {() => number} count of rows
 * @property {(row: number) => Item | null} item
 * @property {(from: number, to: number) => void} want rows that are shown and not there yet
 * @property {(item: Item) => boolean} marked
 */
/**
 * @typedef {object} Row
 * @property {HTMLElement} element
 * @property {HTMLAnchorElement} number
 * @property {HTMLElement} text
 * @property {HTMLButtonElement} more
 * @property {HTMLElement} time
 * @property {HTMLButtonElement} fold
 * @property {HTMLElement} about
 * @property {Item | null} item
 * @property {number} index of what it shows
 * @property {string} key what was painted last, with `item`, to leave it if nothing has changed
 * @property {number} y
 */

const MOST_PX = 8_000_000;
const FRAME_MS = 12;
/** Of a long line so much is shown in its row. */
const MOST_SHOWN = 2000;
const DEFAULT_ROW_PX = 20;

export class View extends EventTarget {
  /**
   * @param {HTMLElement} scroller
   * @param {Source} source
   */
  constructor(scroller, source) {
    super();
    this.scroller = scroller;
    this.source = source;
    this.port = make('div', { class: 'port' });
    this.space = make('div', { class: 'space' });
    scroller.append(this.port, this.space);
    this.top = 0;
    this.following = true;
    this.wrap = false;
    /** @type {Row[]} */
    this.rows = [];
    this.rowPx = DEFAULT_ROW_PX;
    this.height = 0;
    this.atEnd = true;
    this.overflows = false;
    this.lastPx = 0;
    this.frame = 0;
    this.until = 0;
    scroller.addEventListener('scroll', () => this.scrolled(), { passive: true });
    this.port.addEventListener('scroll', () => this.movedAside(), { passive: true });
    scroller.addEventListener('scrollend', () => this.align());
    // with a key held it makes the page larger, or moves the rows aside
    scroller.addEventListener('wheel', (event) => event.deltaY < 0 && !event.ctrlKey && !event.shiftKey && this.letGo(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(scroller);
    // a bar for a long line has come, and covers the last row
    new ResizeObserver(() => this.port.clientHeight < this.height && this.refresh()).observe(this.port);
  }

  // ---- where it is

  get count() {
    return this.source.count();
  }

  /** Long lines are wrapped, as soon as what lays them out has come. */
  get wraps() {
    return this.wrap && terminal !== null;
  }

  /** How many rows fit, as a float. */
  get fits() {
    return this.height / this.rowPx;
  }

  get greatestTop() {
    return this.wraps ? Math.max(0, this.count - 1) : Math.max(0, this.count - this.fits);
  }

  get spacePx() {
    const whole = this.count * this.rowPx;
    return Math.min(MOST_PX, this.wraps && this.overflows ? Math.max(whole, this.height * 2) : whole);
  }

  get greatestPx() {
    return Math.max(0, this.spacePx - this.height);
  }

  /** One pixel of the scroll bar is one pixel of rows. */
  get exact() {
    return !this.wraps && this.count * this.rowPx <= MOST_PX;
  }

  get topPx() {
    if (this.exact) return this.top * this.rowPx;
    if (this.atEnd) return this.greatestPx;
    return this.greatestTop ? Math.min(this.greatestPx - 2, (this.top / this.greatestTop) * this.greatestPx) : 0;
  }

  // ---- moving

  scrolled() {
    const px = this.scroller.scrollTop;
    const moved = px - this.lastPx;
    if (Math.abs(moved) < 1) return;
    // it has become taller and is not drawn so yet: nobody moved the bar, it had to
    if (this.port.offsetHeight !== this.scroller.clientHeight) return this.refresh();
    this.lastPx = px;
    if (this.exact) this.top = px / this.rowPx;
    else if (px <= 0) this.top = 0;
    else if (px >= this.greatestPx - 1) this.top = this.greatestTop;
    else if (Math.abs(moved) < this.height * 2) this.moveBy(moved);
    else this.top = (px / this.greatestPx) * this.greatestTop;
    this.top = Math.max(0, Math.min(this.greatestTop, this.top));
    if (moved < 0) {
      this.atEnd = false;
      this.letGo();
    } else if (px >= this.greatestPx - 2 || this.top >= this.greatestTop) this.follow();
    this.refresh();
  }

  /** The port itself was moved: aside by hand, down by the browser, to a link in a row of which a part was seen. */
  movedAside() {
    const { port } = this;
    // numbers that stay beside a long line are a layer each, forty to draw with every frame: only where they have to stay
    port.classList.toggle('aside', port.scrollLeft > 0);
    if (!port.scrollTop) return;
    this.scroller.scrollTop += port.scrollTop;
    port.scrollTop = 0;
  }

  /** @param {number} px of rows, up or down from where the view is */
  moveBy(px) {
    let row = Math.floor(this.top);
    let within = (this.top - row) * this.heightOf(row) + px;
    while (within < 0 && row > 0) within += this.heightOf(--row);
    while (within >= this.heightOf(row) && row < this.count - 1) within -= this.heightOf(row++);
    this.top = row + Math.max(0, within) / this.heightOf(row);
  }

  /** @param {number} row */
  heightOf(row) {
    if (!this.wraps || !this.rows.length) return this.rowPx;
    const held = this.rows[row % this.rows.length];
    return (held?.key && held.index === row && held.element.offsetHeight) || this.rowPx;
  }

  /** Put the scroll bar where the view is. */
  align() {
    const px = this.topPx;
    if (Math.abs(this.scroller.scrollTop - px) > 1) this.scroller.scrollTop = px;
    this.lastPx = this.scroller.scrollTop;
  }

  follow() {
    if (!this.following) this.turn(true);
  }

  letGo() {
    if (this.following && (this.count > this.fits || this.overflows)) this.turn(false);
  }

  /** @param {boolean} on whether the end is followed */
  turn(on) {
    this.following = on;
    this.refresh();
    this.dispatchEvent(new Event('follow'));
  }

  /** @param {number} row that shall be seen, a third from above */
  show(row) {
    this.following = this.atEnd = false;
    this.top = Math.max(0, Math.min(this.greatestTop, row - Math.floor(this.fits / 3)));
    this.draw();
    this.turn(false);
  }

  /** @param {number} rows that have gone away above, or come if negative */
  shift(rows) {
    this.top = Math.max(0, this.top - rows);
  }

  /** @param {boolean} on */
  setWrap(on) {
    this.wrap = on;
    this.top = Math.floor(this.top);
    this.refresh();
  }

  /** The rows that are painted, from above: what each shows and where its text is. @returns {{ item: Item, text: HTMLElement, element: HTMLElement }[]} */
  painted() {
    const rows = [];
    for (const { item, text, element, y } of this.rows) if (item && y < this.height) rows.push({ item, text, element, y });
    return rows.sort((a, b) => a.y - b.y);
  }

  // ---- drawing

  measure() {
    const line = Number.parseFloat(getComputedStyle(this.port).lineHeight);
    this.rowPx = line > 4 ? line : DEFAULT_ROW_PX;
    this.refresh();
  }

  /** Something has changed: draw with the next frame. */
  refresh() {
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.draw();
      });
    }
  }

  draw() {
    const outer = this.scroller.clientHeight;
    if (!outer) return;
    this.port.style.height = `${outer}px`;
    this.height = this.port.clientHeight;
    this.space.style.height = `${this.greatestPx}px`;
    this.makeRows(Math.ceil(this.fits) + 2);
    this.until = performance.now() + FRAME_MS;
    if (this.following) this.top = this.greatestTop;
    this.top = Math.min(this.top, this.greatestTop);
    this.scroller.classList.toggle('wraps', this.wraps);
    if (terminal && this.wraps) {
      terminal.layOutWrapped(this);
      this.align();
    } else {
      this.atEnd = this.top >= this.greatestTop - 0.01;
      this.align(); // it asks where the scroll bar is: before the rows are written, they need not be laid out for that
      this.layOut();
    }
    this.dispatchEvent(new Event('drawn'));
  }

  /** Take no room until it is drawn. Without its styles, as after a move within the page, it would be as high as its rows, and then have all of them. */
  collapse() {
    this.port.style.height = this.space.style.height = '0';
  }

  /** Rows that are there stay, each with what it shows: somebody may be about to click on one. @param {number} count that are seen */
  makeRows(count) {
    const { rows } = this;
    if (rows.length < count) this.rows = Array.from({ length: count }, (_, place) => rows.find(({ index }) => index % count === place) ?? makeRow(this.port));
  }

  layOut() {
    const first = Math.floor(this.top);
    const part = this.top - first;
    this.fill(first, first + this.rows.length);
    for (let i = 0; i < this.rows.length; i++) this.place(first + i, (i - part) * this.rowPx);
  }

  /** Paint the rows, as far as the time of a frame reaches; the rest is hidden and painted in the next. @param {number} from @param {number} to */
  fill(from, to) {
    let [low, high] = [-1, -1];
    for (let i = from; i < to; i++) {
      const row = /** @type {Row} */ (this.rows[i % this.rows.length]);
      const item = this.source.item(i);
      if (item?.kind === 'wait') [low, high] = [low < 0 ? i : low, i];
      const marked = item !== null && this.source.marked(item);
      const key = item && `${i} ${keyOf(item)} ${marked} ${this.wraps}`;
      if (key && row.key === key && row.item?.line === item.line) continue;
      const late = performance.now() >= this.until;
      row.index = i;
      row.item = late ? null : item;
      row.key = (!late && key) || '';
      if (row.item) show(row, row.item, marked, this.wraps);
      else row.element.className = 'row away';
      if (item && late) this.refresh();
    }
    if (low >= 0) this.source.want(low, high);
  }

  /** @param {number} index @param {number} y */
  place(index, y) {
    const row = /** @type {Row} */ (this.rows[index % this.rows.length]);
    if (row.y === y) return;
    row.y = y;
    row.element.style.transform = `translateY(${y}px)`;
  }
}

/** @param {HTMLElement} port @returns {Row} */
function makeRow(port) {
  const number = make('a', { class: 'no', tabindex: '-1' });
  const time = make('span', { class: 'time' });
  const fold = make('button', { class: 'fold', type: 'button', tabindex: '-1' });
  const text = make('span', { class: 'text' });
  const about = make('span', { class: 'about' });
  const more = make('button', { class: 'more', type: 'button' }, 'show all');
  return { element: port.appendChild(make('div', {}, number, time, fold, text, about, more)), number, time, fold, text, about, more, index: -1, key: '', item: null, y: -1 };
}

/** What decides how a row looks, but for its line. @param {Item} item */
function keyOf({ kind, number, text, tone, time, fold, runs }) {
  return `${kind} ${!runs} ${number} ${text} ${tone} ${time} ${fold?.open} ${fold?.text}`;
}

/** @param {Row} row @param {Item} item @param {boolean} marked @param {boolean} wrap */
function show(row, item, marked, wrap) {
  const { kind, number = '', tone = '', time = '', fold, line } = item;
  row.element.className = `row ${kind} ${tone} ${marked ? 'marked' : ''} ${fold ? 'heading' : ''}`;
  row.element.part.toggle('stderr', tone === 'stderr');
  write(row.number, String(number));
  row.number.toggleAttribute('href', number !== '');
  if (number) row.number.href = `#L${number}`;
  row.element.dataset.line = String(number);
  row.time.textContent = time;
  row.fold.hidden = !fold;
  row.about.textContent = fold?.text ?? '';
  row.fold.setAttribute('aria-expanded', String(fold?.open));
  row.fold.setAttribute('aria-label', `Group, ${fold?.text}`);
  row.more.hidden = line ? paint(row.text, runsOf(item), MOST_SHOWN * (wrap ? 2 : 1)) && !line.cut : true;
  if (!line) row.text.textContent = item.text ?? '';
}

/** @param {Item} item */
function runsOf({ line, text, fold, runs }) {
  if (runs) return runs;
  if (fold && text) return [{ text, style: PLAIN }];
  return line ? resolved(line.text, line.opening).runs : [];
}
