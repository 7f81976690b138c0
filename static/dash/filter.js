// The filter's field: completes what is being written, and shows what the server found wrong with it. DOM only.

import { make } from '../log/frame.js';
import { byId, fault } from './elements.js';

/** @typedef {Record<string, any>} Task */

const KEYS = ['name', 'state', 'queue', 'worker', 'id'];
const MOST = 40;
const WAIT_MS = 150;

export class FilterField {
  /**
   * @param {HTMLInputElement} input @param {() => Iterable<Task>} tasks those whose values are offered
   * @param {(text: string) => void} changed somebody has written, a moment ago
   */
  constructor(input, tasks, changed) {
    this.input = input;
    this.tasks = tasks;
    this.options = byId('filter-options');
    this.error = byId('filter-error');
    let waiting = 0;
    input.addEventListener('focus', () => this.offer());
    input.addEventListener('input', () => {
      this.offer();
      clearTimeout(waiting);
      waiting = setTimeout(() => changed(input.value), WAIT_MS);
    });
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      clearTimeout(waiting);
      if (input.value) changed((input.value = ''));
      else input.blur();
    });
  }

  /** @param {string} text '' takes it back */
  refuse(text) {
    fault(this.input, this.error, text);
  }

  /** The whole text with its last word completed, for each way to do it: that is what a datalist can hold. */
  offer() {
    const [, before, minus, word] = /** @type {string[]} */ (/^(.*?)(-?)([^\s"]*)$/s.exec(this.input.value) ?? ['', this.input.value, '', '']);
    const [key, value] = word.includes(':') ? [word.slice(0, word.indexOf(':')), word.slice(word.indexOf(':') + 1).toLowerCase()] : ['', word.toLowerCase()];
    const found = key ? this.valuesOf(key).filter((one) => one.toLowerCase().includes(value)).map((one) => `${key}:${quoted(one)}`)
      : KEYS.filter((one) => one.startsWith(value)).map((one) => `${one}:`);
    this.options.replaceChildren(...found.slice(0, MOST).map((one) => make('option', { value: before + minus + one })));
  }

  /** @param {string} key @returns {string[]} */
  valuesOf(key) {
    if (key === 'state') return this.input.dataset.states?.split(' ') ?? [];
    if (!['name', 'queue', 'worker'].includes(key)) return [];
    return [...new Set([...this.tasks()].map((task) => String(task[key] ?? '')).filter(Boolean))].sort();
  }
}

/** @param {string} text */
function quoted(text) {
  return /[\s:]/.test(text) ? `"${text.replaceAll('"', '')}"` : text;
}
