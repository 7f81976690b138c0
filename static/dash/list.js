// The tasks that the dashboard knows, newest first, with counts by state and a filter. Pure.

import { underWay } from './time.js';

/** @typedef {Record<string, any>} Task */

/** The tabs: their name in the address, what they are called, and the states they hold. */
export const TABS = /** @type {const} */ ([
  { key: '', title: 'All', states: [] },
  { key: 'running', title: 'Running', states: ['RUNNING'] },
  { key: 'queued', title: 'Queued', states: ['QUEUED'] },
  { key: 'retrying', title: 'Retrying', states: ['RETRY'] },
  { key: 'failed', title: 'Failed', states: ['FAILURE', 'LOST', 'REJECTED'] },
  { key: 'done', title: 'Done', states: ['SUCCESS', 'REVOKED', 'IGNORED'] },
]);

export class TaskList {
  constructor() {
    /** @type {Map<string, Task>} */
    this.tasks = new Map();
    /** @type {Record<string, number>} as the server counted */
    this.counts = {};
    /** @type {string | null} asks for the next page */
    this.next = null;
    this.tab = '';
    this.text = '';
  }

  /** What the server lists now; tasks known from before that it leaves out stay. @param {{ tasks?: Task[], counts?: Record<string, number>, next?: string | null }} answer */
  listed(answer) {
    for (const task of answer.tasks ?? []) this.tasks.set(task.id, task);
    this.counts = { ...answer.counts };
    this.next = answer.next ?? null;
  }

  /** @param {Task[]} tasks older ones */
  add(tasks) {
    for (const task of tasks) if (!this.tasks.has(task.id)) this.tasks.set(task.id, task);
  }

  /** A task is new or has changed. @param {Task} task */
  put(task) {
    this.tasks.set(task.id, task);
  }

  /** The tasks of the tab that match the text, newest first. @returns {Task[]} */
  shown() {
    const states = /** @type {readonly string[]} */ (TABS.find((tab) => tab.key === this.tab)?.states ?? []);
    const words = this.text.toLowerCase().split(/\s+/).filter(Boolean);
    const tasks = [...this.tasks.values()].filter((task) => {
      if (states.length && !states.includes(task.state)) return false;
      if (!words.length) return true;
      const text = `${task.name ?? ''} ${task.id} ${task.worker ?? ''} ${task.queue ?? ''} ${task.state}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    return tasks.sort((a, b) => bornAt(b) - bornAt(a) || (a.id < b.id ? 1 : -1));
  }

  /** How many tasks a tab holds. @param {readonly string[]} states none: all */
  countOf(states) {
    const names = states.length ? states : Object.keys(this.counts);
    return names.reduce((sum, state) => sum + (this.counts[state] ?? 0), 0);
  }

  get running() {
    return [...this.tasks.values()].filter(underWay).length;
  }
}

/** When a task is first heard of: it never moves in the list. @param {Task} task */
function bornAt(task) {
  return Math.min(task.queued_at ?? Infinity, task.began_at ?? Infinity, task.changed_at ?? Infinity);
}
