// The tasks that the dashboard shows, in order, with counts by state. What a filter means is the server's to say: it
// lists tasks, and says of each that changes whether it is listed; the order is known on both sides. Pure.

import { ran } from './time.js';

/** @typedef {Record<string, any>} Task */
/** @typedef {(string | number)[]} Key */

/** The tabs, as the page has them: their name in the address, and the states they hold. */
export const TABS = /** @type {const} */ ([
  { key: '', states: [] },
  { key: 'running', states: ['RUNNING'] },
  { key: 'queued', states: ['QUEUED'] },
  { key: 'retrying', states: ['RETRY'] },
  { key: 'failed', states: ['FAILURE', 'LOST', 'REJECTED'] },
  { key: 'done', states: ['SUCCESS', 'REVOKED', 'IGNORED'] },
]);

const RANKS = ['RUNNING', 'RETRY', 'QUEUED', 'FAILURE', 'LOST', 'REJECTED'];

/** The orders, as the server has them. @type {Record<string, (task: Task, now: number) => Key>} */
export const ORDERS = {
  newest: (task) => [bornAt(task), task.id],
  oldest: (task) => [bornAt(task), task.id],
  name: (task) => [task.name ? 0 : 1, (task.name ?? '').toLowerCase(), -bornAt(task), task.id],
  duration: (task, now) => [-took(task, now), -bornAt(task), task.id],
  state: (task) => [RANKS.indexOf(task.state) < 0 ? RANKS.length : RANKS.indexOf(task.state), task.state, -bornAt(task), task.id],
};

/** Those that begin with the greatest. */
const DOWN = ['newest'];

export class TaskList {
  constructor() {
    /** All that are known; those that are not listed are here because they were asked for by name. @type {Map<string, Task>} */
    this.tasks = new Map();
    /** @type {Set<string>} */
    this.listed = new Set();
    /** @type {Record<string, number>} as the server counted, whatever the tab */
    this.counts = {};
    this.tab = '';
    this.text = '';
    this.order = 'newest';
    /** @type {string | null} asks for the next page; null when there is none */
    this.next = null;
    /** @type {Key | null} where the last page ended: what comes after it is not all here */
    this.edge = null;
    /** @type {Set<string>} they stand before the others */
    this.pinned = new Set();
  }

  /** What is asked of the server. */
  request() {
    return { q: this.text, state: this.states.join(), sort: this.order };
  }

  /** @returns {readonly string[]} */
  get states() {
    return TABS.find((tab) => tab.key === this.tab)?.states ?? [];
  }

  /** What the server lists now. @param {{ tasks?: Task[], counts?: Record<string, number>, next?: string | null }} answer @param {number} now */
  answered(answer, now) {
    this.tasks.clear();
    this.listed.clear();
    this.counts = answer.counts ?? {};
    this.add(answer, now);
  }

  /** A further page. @param {{ tasks?: Task[], next?: string | null }} page @param {number} now */
  add({ tasks = [], next = null }, now) {
    for (const task of tasks) this.put(task);
    this.next = next;
    const last = tasks.at(-1);
    this.edge = next === null || !last ? null : this.keyOf(last, now);
  }

  /** A task is new or has changed. @param {Task} task @param {boolean} [listed] */
  put(task, listed = true) {
    this.tasks.set(task.id, task);
    if (listed) this.listed.add(task.id);
    else this.listed.delete(task.id);
  }

  /**
   * The server tells of a task. A card that follows its task is told as well, without a word about the list: that
   * changes nothing about who stands in it.
   * @param {Task} task @param {boolean} [listed] whether it stands in the list
   */
  heard(task, listed) {
    if (listed !== undefined || this.tasks.has(task.id)) this.put(task, listed ?? this.listed.has(task.id));
  }

  /** @param {string} id */
  drop(id) {
    this.tasks.delete(id);
    this.listed.delete(id);
  }

  /** The tasks to show, in order. @param {number} now @returns {Task[]} */
  shown(now) {
    /** @type {{ task: Task, key: Key }[]} */
    const found = [];
    for (const id of this.listed) {
      const task = this.tasks.get(id);
      if (!task) continue;
      const key = this.keyOf(task, now);
      if (this.pinned.has(id) || !this.edge || this.compared(key, this.edge) <= 0) found.push({ task, key });
    }
    const pinned = (/** @type {Task} */ task) => Number(this.pinned.has(task.id));
    return found.sort((a, b) => pinned(b.task) - pinned(a.task) || this.compared(a.key, b.key)).map(({ task }) => task);
  }

  /** @param {Key} a @param {Key} b */
  compared(a, b) {
    return DOWN.includes(this.order) ? compared(b, a) : compared(a, b);
  }

  /** How many tasks a tab holds. @param {readonly string[]} states none: all */
  countOf(states) {
    const names = states.length ? states : Object.keys(this.counts);
    return names.reduce((sum, state) => sum + (this.counts[state] ?? 0), 0);
  }

  /** @param {Task} task @param {number} now */
  keyOf(task, now) {
    return (ORDERS[this.order] ?? ORDERS.newest)(task, now);
  }
}

/** @param {Key} a @param {Key} b */
function compared(a, b) {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}

/** When a task is first heard of: it never moves in the list. @param {Task} task */
function bornAt(task) {
  const times = [task.queued_at, task.began_at, task.changed_at].filter(Boolean);
  return times.length ? Math.min(...times) : 0;
}

/** @param {Task} task @param {number} now */
function took(task, now) {
  return task.began_at ? Math.max(0, ran(task, now)) : -1;
}
