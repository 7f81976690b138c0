// Tells that a task has ended, when its reader wished so: by a notification of the desktop where the browser allows
// it, and by a number in the title while the page is not looked at. Off until chosen, for one task or for all.

import { BASE } from '../base.js';
import { fate } from '../log/words.js';
import { pageOf } from './elements.js';
import { nameOf } from './named.js';
import { KeptIds, keep, kept } from './kept.js';
import { underWay } from './time.js';

/** @typedef {Record<string, any>} Task */

const MOST = 50;
const MOST_KNOWN = 20_000;

export class Teller {
  constructor() {
    this.chosen = new KeptIds('tell', MOST);
    this.all = kept('tell-all') === true;
    /** @type {Map<string, boolean>} whether a task was under way when it was seen last */
    this.known = new Map();
    this.unseen = 0;
    document.addEventListener('visibilitychange', () => document.hidden || this.seen());
  }

  /** @param {string} id @returns {Promise<string>} what else is to be said, in words */
  async toggle(id) {
    return this.chosen.toggle(id) ? this.permitted() : '';
  }

  /** @returns {Promise<string>} */
  async toggleAll() {
    this.all = !this.all;
    keep('tell-all', this.all);
    return this.all ? this.permitted() : '';
  }

  async permitted() {
    const answer = 'Notification' in window && (Notification.permission === 'default' ? await Notification.requestPermission() : Notification.permission);
    return answer === 'granted' ? '' : 'The browser shows no notifications of this page: its title will tell.';
  }

  /** A task is as it is now. @param {Task} task */
  heard(task) {
    const was = this.known.get(task.id);
    const now = underWay(task);
    this.known.delete(task.id);
    this.known.set(task.id, now);
    if (this.known.size > MOST_KNOWN) this.known.delete([...this.known.keys()][0]);
    if (was && !now && (this.all || this.chosen.has(task.id))) this.tell(task);
  }

  /** @param {Task} task */
  tell(task) {
    if (this.chosen.has(task.id)) this.chosen.toggle(task.id);
    if (!document.hidden) return;
    this.unseen++;
    this.mark();
    if (!('Notification' in window) || Notification.permission !== 'granted') return;
    const run = task.runs?.at(-1);
    const note = new Notification(nameOf(task), { body: fate(run?.how ?? task.state, run?.detail), tag: task.id, icon: `${BASE}/static/icon.svg` });
    note.onclick = () => {
      window.focus();
      location.assign(pageOf(task.id));
    };
  }

  seen() {
    this.unseen = 0;
    this.mark();
  }

  /** How many have ended that nobody has seen, before the title. */
  mark() {
    const plain = document.title.replace(/^\(\d+\) /, '');
    document.title = this.unseen ? `(${this.unseen}) ${plain}` : plain;
  }
}
