// A progress bar. DOM only.

import { number } from '../log/places.js';
import { duration } from '../log/words.js';
import { one, write } from './elements.js';

/** @typedef {{ current: number, total: number | null, info: unknown }} Progress */

export class ProgressBar {
  /** @param {HTMLElement} element made of templates/progress.html */
  constructor(element) {
    this.element = element;
    this.fill = one(element, '.fill');
    this.track = one(element, '.track');
    this.text = one(element, '.share');
    this.info = one(element, '.info');
    this.eta = one(element, '.eta');
  }

  /** @param {Progress | null | undefined} progress null hides it */
  show(progress) {
    const current = Number(progress?.current);
    this.element.hidden = !progress || !Number.isFinite(current);
    if (this.element.hidden || !progress) return;
    const total = Number(progress.total);
    const known = total > 0;
    this.track.hidden = !known;
    if (known) {
      const share = Math.max(0, Math.min(1, current / total));
      this.fill.style.transform = `scaleX(${share})`;
      this.track.setAttribute('aria-valuenow', String(Math.round(share * 100)));
      this.text.textContent = `${Math.floor(share * 100)}%`;
      this.text.title = `${number(current)} of ${number(total)}`;
    } else this.text.textContent = number(current);
    const info = progress.info;
    this.info.textContent = typeof info === 'string' || typeof info === 'number' ? String(info) : '';
  }

  /** @param {number | null} ms how long it will take, null if nobody knows */
  left(ms) {
    write(this.eta, ms === null ? '' : `~${duration(ms)} left`);
  }
}
