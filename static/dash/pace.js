// How fast a task goes: its lines a second over the last minute, and when its progress will be at the end. Pure.

/** @typedef {{ current: number, total: number | null }} Progress */

const KEPT = 60;
const EVERY_MS = 1000;
const LEARNT_AFTER_MS = 5000;

export class Pace {
  constructor() {
    /** Lines a second, the last comes last. @type {number[]} */
    this.rates = [];
    /** @type {{ at: number, lines: number } | null} */
    this.last = null;
    /** Where the progress stood. @type {{ at: number, current: number }[]} */
    this.marks = [];
  }

  /** Look at a task: at most once a second counts. @param {number} now ms @param {number} lines so far @returns {boolean} whether it counted */
  look(now, lines) {
    if (!this.last || lines < this.last.lines) this.last = { at: now, lines };
    const ms = now - this.last.at;
    if (ms < EVERY_MS) return false;
    const rate = ((lines - this.last.lines) * 1000) / ms;
    // a look that comes late stands for all the seconds since the one before
    for (let i = Math.min(KEPT, Math.floor(ms / EVERY_MS)); i > 0; i--) this.rates.push(rate);
    this.rates.splice(0, this.rates.length - KEPT);
    this.last = { at: now, lines };
    return true;
  }

  /** Lines a second, over the last few of them. */
  get rate() {
    const few = this.rates.slice(-5);
    return few.length ? few.reduce((sum, rate) => sum + rate, 0) / few.length : 0;
  }

  /** The points of a line that is `width` wide and `height` high; '' for nothing to show. @param {number} width @param {number} height */
  points(width, height) {
    const most = Math.max(...this.rates);
    if (!(most > 0)) return '';
    const step = width / (KEPT - 1);
    const from = KEPT - this.rates.length;
    return this.rates.map((rate, i) => `${((from + i) * step).toFixed(1)},${(height - (rate / most) * height).toFixed(1)}`).join(' ');
  }

  /**
   * How many ms are left, by how the progress went lately, else since the beginning; null if nobody can know.
   * @param {Progress | null | undefined} progress @param {number} now @param {number | null} begun ms
   */
  left(progress, now, begun) {
    const current = Number(progress?.current);
    const total = Number(progress?.total);
    if (!(current > 0) || !(total > current)) return null;
    const before = this.marks.at(-1);
    if (before && current < before.current) this.marks = [];
    if (!this.marks.length || current > (this.marks.at(-1)?.current ?? 0)) this.marks.push({ at: now, current });
    if (this.marks.length > KEPT) this.marks.shift();
    const first = this.marks[0];
    const done = current - first.current;
    if (now - first.at >= LEARNT_AFTER_MS && done > 0) return ((total - current) * (now - first.at)) / done;
    return begun && now > begun ? ((total - current) * (now - begun)) / current : null;
  }
}

/** A rate in few characters. @param {number} rate lines a second */
export function rateText(rate) {
  if (rate < 0.05) return '';
  if (rate < 10) return `${rate.toFixed(1)}/s`;
  return rate < 1000 ? `${Math.round(rate)}/s` : `${(rate / 1000).toFixed(1)}k/s`;
}
