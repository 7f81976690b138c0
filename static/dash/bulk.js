// Doing something with many tasks at once: which are selected, and the bar that says what can be done with them.

import { BASE } from '../base.js';
import { make } from '../log/frame.js';
import { plural } from '../log/places.js';
import { copyOf, notice, one, wired } from './elements.js';
import { ask } from './shell.js';
import { canRepeat, underWay } from './time.js';

/** @typedef {Record<string, any>} Task */

const AT_ONCE = 100;
const GRACE_S = 5;
const ANSWER_WITHIN_MS = 30_000;
const MOST_FILES = 20;
const BETWEEN_FILES_MS = 250;

export class Bulk {
  /**
   * @param {import('../log/client.js').Client} client
   * @param {{ shown: () => Task[], task: (id: string) => Task | undefined, changed: () => void, done: () => void }} board
   *   `done`: nothing is to be selected any more
   */
  constructor(client, board) {
    this.client = client;
    this.board = board;
    /** @type {Set<string>} */
    this.ids = new Set();
    this.element = copyOf('bulk');
    this.count = one(this.element, '.count');
    this.cancel = wired(this.element, '.cancel', () => this.act('cancel_tasks'));
    this.again = wired(this.element, '.again', () => this.act('rerun_tasks'));
    this.files = wired(this.element, '.download', () => this.download());
    wired(this.element, '.all', () => this.select(board.shown().map(({ id }) => id)));
    wired(this.element, '.done', board.done);
    this.show();
  }

  /** @param {string} id */
  toggle(id) {
    if (!this.ids.delete(id)) this.ids.add(id);
    this.show();
  }

  /** @param {string[]} ids */
  select(ids) {
    this.ids = new Set(ids);
    this.show();
    this.board.changed();
  }

  /** @returns {Task[]} */
  get tasks() {
    return [...this.ids].flatMap((id) => this.board.task(id) ?? []);
  }

  show() {
    this.count.textContent = `${this.ids.size} selected`;
    this.cancel.disabled = !this.tasks.some(underWay);
    this.again.disabled = !this.tasks.some(canRepeat);
    this.files.disabled = !this.ids.size;
  }

  /** @param {'cancel_tasks' | 'rerun_tasks'} event */
  async act(event) {
    const stops = event === 'cancel_tasks';
    const tasks = this.tasks.filter(stops ? underWay : canRepeat);
    const question = stops ? `Cancel ${plural(tasks.length, 'task')}?` : `Run ${plural(tasks.length, 'task')} again, as new ones?`;
    if (!tasks.length || !(await ask(question, stops ? 'Cancel them' : 'Run again'))) return;
    const ids = tasks.map(({ id }) => id);
    /** @type {string[]} */
    const refused = [];
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      const message = { task_ids: ids.slice(at, at + AT_ONCE), ...(stops && { terminate: true, grace_s: GRACE_S }) };
      refused.push(...(await this.sent(event, message)));
    }
    const good = ids.length - refused.length;
    const done = stops ? `${plural(good, 'task')} to stop` : `${plural(good, 'task')} started again`;
    notice(`${done}${refused.length ? `; ${refused.length} not: ${refused[0]}` : ''}`, refused.length ? 'bad' : '');
    this.board.done();
  }

  /** Why it was refused, for each task for which it was. @param {string} event @param {{ task_ids: string[] }} message @returns {Promise<string[]>} */
  async sent(event, message) {
    const { socket } = this.client;
    const answer = await new Promise((/** @type {(answer: Task | null) => void} */ resolve) => socket.ask(event, message, resolve, ANSWER_WITHIN_MS));
    if (answer?.status !== 'success') return message.task_ids.map(() => String(answer?.data ?? answer?.error ?? 'the server does not answer'));
    return answer.data.flatMap((/** @type {Task} */ one) => (one.status === 'success' ? [] : [String(one.data)]));
  }

  async download() {
    const ids = [...this.ids].slice(0, MOST_FILES);
    if (this.ids.size > MOST_FILES) notice(`Only the first ${MOST_FILES}: browsers take no more at once.`);
    for (const id of ids) {
      const link = make('a', { href: `${BASE}/api/tasks/${encodeURIComponent(id)}/runs/last/log.txt?download=1&colour=0`, download: '' });
      link.click();
      // browsers drop downloads that come all at once
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_FILES_MS));
    }
  }
}
