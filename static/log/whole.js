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
    /** @type {import('./chunks.js').Line[]} its pieces: each stays the same object, so that the view leaves it alone */
    this.pieces = [];
    /** @type {AbortController | null} */
    this.abort = null;
    this.title = make('strong');
    const copy = make('button', { type: 'button' }, 'Copy');
    const close = make('button', { type: 'button' }, 'Close');
    const scroller = make('div', { class: 'scroll', tabindex: '0' });
    const head = make('div', { class: 'whole-head' }, this.title, copy, close);
    const dialog = make('dialog', { class: 'whole', 'aria-label': 'A whole line' }, head, scroller);
    this.dialog = dialog;
    log.shadowRoot?.append(dialog);
    copy.onclick = () => navigator.clipboard?.writeText(this.text);
    close.onclick = () => dialog.close();
    dialog.onclose = () => this.abort?.abort();
    this.view = new View(scroller, {
      count: () => this.pieces.length,
      item: (row) => {
        const line = this.pieces[row];
        return line ? { kind: 'line', number: row * COLUMNS + 1, line } : null;
      },
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
    this.pieces = [];
    this.view.following = false;
    this.view.top = 0;
    this.says(`Line ${number(line)}: reading`);
    this.dialog.showModal();
    this.abort = new AbortController();
    const { signal } = this.abort;
    try {
      const text = await read({ signal, progress: (bytes) => this.says(`Line ${number(line)}: reading, ${size(bytes)}`) });
      if (signal.aborted) return;
      this.text = shown(text);
      for (let at = 0; at < this.text.length; at += COLUMNS) this.pieces.push({ text: this.text.slice(at, at + COLUMNS), opening: PLAIN, cut: 0 });
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
}
