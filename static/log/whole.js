// The dialog that shows one very long line whole: broken into pieces of a fixed width, of which only those on screen
// are in the page, so that a line of many megabytes stays readable.

import { shown } from './sequences.js';
import { make } from './frame.js';
import { number, size } from './places.js';
import { PLAIN } from './style.js';
import { View } from './view.js';

const COLUMNS = 120;

export class WholeLine {
  /** @param {import('../livetask-log.js').LivetaskLog} log */
  constructor(log) {
    this.text = '';
    /** @type {Map<number, import('./chunks.js').Line>} */
    this.held = new Map();
    /** @type {AbortController | null} */
    this.abort = null;
    this.title = make('strong');
    this.copy = make('button', { type: 'button' }, 'Copy');
    const close = make('button', { type: 'button' }, 'Close');
    this.scroller = make('div', { class: 'scroll', tabindex: '0' });
    const head = make('div', { class: 'whole-head' }, this.title, this.copy, close);
    const dialog = make('dialog', { class: 'whole', 'aria-label': 'A whole line' }, head, this.scroller);
    this.dialog = dialog;
    log.shadowRoot?.append(dialog);
    this.copy.addEventListener('click', () => navigator.clipboard?.writeText(this.text));
    close.addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => this.abort?.abort());
    this.view = new View(this.scroller, {
      count: () => Math.ceil(this.text.length / COLUMNS),
      item: (row) => this.item(row),
      want: () => {},
      marked: () => false,
    });
    this.view.following = false;
  }

  /**
   * Open it and show what `read` brings.
   * @param {number} line
   * @param {(options: { signal: AbortSignal, progress: (bytes: number) => void }) => Promise<string>} read
   */
  async open(line, read) {
    this.text = '';
    this.view.following = false;
    this.view.top = 0;
    this.title.textContent = `Line ${number(line)}: reading`;
    this.dialog.showModal();
    this.abort = new AbortController();
    const { signal } = this.abort;
    try {
      const text = await read({ signal, progress: (bytes) => this.says(`Line ${number(line)}: reading, ${size(bytes)}`) });
      if (signal.aborted) return;
      this.text = shown(text);
      this.says(`Line ${number(line)}: ${number(this.text.length)} characters`);
    } catch (error) {
      if (!signal.aborted) this.says(`Line ${number(line)} cannot be read: ${error instanceof Error ? error.message : ''}`);
    }
    this.view.refresh();
  }

  /** @param {string} title */
  says(title) {
    this.title.textContent = title;
  }

  /**
   * @param {number} row
   * @returns {import('./view.js').Item | null}
   */
  item(row) {
    const from = row * COLUMNS;
    if (from >= this.text.length) return null;
    const text = this.text.slice(from, from + COLUMNS);
    return { kind: 'line', number: from + 1, line: this.lineOf(row, text) };
  }

  /** The same object for the same piece, so that the view leaves it alone. @param {number} row @param {string} text */
  lineOf(row, text) {
    const held = this.held.get(row);
    if (held?.text === text) return held;
    if (this.held.size > 500) this.held.clear();
    const line = { text, opening: PLAIN, cut: 0 };
    this.held.set(row, line);
    return line;
  }
}
