// One task on the dashboard: its card, and the feed of its last lines while the card is on screen.

import { BASE } from '../base.js';
import { make } from '../log/frame.js';
import { paint } from '../log/paint.js';
import { plural } from '../log/places.js';
import { resolved } from '../log/ansi.js';
import { fate } from '../log/words.js';
import { ProgressBar } from './progress.js';
import { Tail } from './tail.js';
import { ago, stateOf, tookOf, underWay } from './time.js';

/** @typedef {Record<string, any>} Task */

const MOST_LINES = 9;
/** The same beside a progress bar. So many fit on any card; more are aligned to the newest. */
const FEW = 7;
const MOST_SHOWN = 240;
const AGAIN_MS = 1000;

export class Card {
  /**
   * @param {Task} task
   * @param {import('../log/client.js').Client} client
   * @param {() => void} changed it wants to be drawn
   */
  constructor(task, client, changed) {
    this.task = task;
    this.client = client;
    this.changed = changed;
    this.tail = new Tail(task.id);
    this.onScreen = false;
    this.followed = false;
    /** Whether what it shows has changed since it was drawn. */
    this.stale = true;
    this.state = make('span', { class: 'state' });
    this.took = make('span', { class: 'took' });
    this.name = make('a', { class: 'name', href: `${BASE}/tasks/${encodeURIComponent(task.id)}` });
    this.cancel = make('button', { class: 'cancel', type: 'button' }, 'cancel');
    this.where = make('span', { class: 'where' });
    this.count = make('span', { class: 'lines' });
    const progress = make('div', { class: 'progress', hidden: '' });
    this.progress = new ProgressBar(progress);
    this.last = make('div', { class: 'tail' });
    const first = make('div', { class: 'card-line' }, this.state, this.name, this.took);
    const second = make('div', { class: 'meta' }, this.where, this.count);
    const head = make('div', { class: 'card-head' }, first, second);
    this.element = make('li', { class: 'card', 'data-task-id': task.id }, head, progress, make('div', { class: 'tail-box' }, this.last, this.cancel));
    this.follower = {
      request: () => this.tail.request(),
      answered: (/** @type {Task} */ answer) => this.answered(answer),
      received: (/** @type {string} */ event, /** @type {Task} */ message) => this.received(event, message),
      linked: () => {},
    };
  }

  /** @param {Task} task */
  update(task) {
    this.task = task;
    this.touch();
    // a task that had ended and runs again (a redelivery, a run taken back) is followed again
    if (this.onScreen && underWay(task)) this.follow();
  }

  touch() {
    this.stale = true;
    if (this.onScreen) this.changed();
  }

  /** @param {boolean} on */
  setOnScreen(on) {
    if (on === this.onScreen) return;
    this.onScreen = on;
    if (!on) this.leave();
    else {
      if (this.tail.state !== 'ended' || underWay(this.task)) this.follow();
      this.changed();
    }
  }

  follow() {
    if (this.followed) return;
    this.followed = true;
    this.client.follow(this.task.id, this.follower);
  }

  leave() {
    this.followed = false;
    this.client.unfollow(this.task.id, this.follower);
  }

  /** @param {Task} answer */
  answered(answer) {
    const next = this.tail.answered(answer);
    if (next) setTimeout(() => this.followed && this.client.subscribe(this.task.id, this.follower), next === 'later' ? AGAIN_MS : 0);
    this.touch();
  }

  /** @param {string} event @param {Task} message */
  received(event, message) {
    if (event === 'task') return;
    const next = this.tail.received(event, message);
    if (next === 'again') this.client.subscribe(this.task.id, this.follower);
    if (event === 'end' && message.last) this.leave();
    this.touch();
  }

  // ---- drawing

  /** @param {number} now on the server's clock */
  tick(now) {
    const took = tookOf(this.task, now);
    if (this.took.textContent !== took) this.took.textContent = took;
  }

  /** @param {number} now */
  draw(now) {
    this.stale = false;
    const { task } = this;
    this.element.dataset.state = task.state;
    this.state.dataset.state = stateOf(task);
    this.state.textContent = stateOf(task);
    this.name.textContent = task.name ?? 'unnamed task';
    this.name.title = `${task.name ?? 'unnamed task'}\n${task.id}`;
    this.cancel.hidden = !underWay(task) || Boolean(task.stopping_at);
    this.cancel.setAttribute('aria-label', `Cancel ${task.name ?? task.id}`);
    this.where.textContent = [task.id.slice(0, 8), task.worker, task.queue].filter(Boolean).join(' · ');
    this.where.title = task.began_at ? `started ${ago(task.began_at)}` : '';
    const run = task.runs?.at(-1);
    const lines = Math.max(this.tail.run === run?.run ? this.tail.rows.last : 0, run?.lines ?? 0);
    const runs = task.runs?.length > 1 ? `run ${run.run} · ` : '';
    this.count.textContent = run ? runs + plural(lines, 'line') : '';
    this.progress.show(underWay(task) ? task.progress : null);
    this.tick(now);
    this.drawTail(run);
  }

  /** @param {Task | undefined} run */
  drawTail(run) {
    const most = this.progress.element.hidden ? MOST_LINES : FEW;
    const rows = this.tail.last(most).map((line) => {
      const row = make('div');
      paint(row, resolved(line.text.slice(0, 4 * MOST_SHOWN), line.opening).runs, MOST_SHOWN);
      return row;
    });
    const how = run?.how;
    if (how && how !== 'SUCCESS' && (how !== 'RETRY' || this.task.state === 'RETRY')) {
      rows.push(make('div', { class: 'fate', 'data-state': how === 'KILLED' ? 'FAILURE' : how }, fate(how, run?.detail)));
    }
    if (!rows.length) rows.push(make('div', { class: 'quiet-text' }, this.silence(run)));
    this.last.classList.toggle('few', rows.length <= FEW);
    this.last.replaceChildren(...rows.slice(-most));
  }

  /** @param {Task | undefined} run */
  silence(run) {
    if (this.task.state === 'QUEUED') return 'Waiting for a worker';
    if (run && !underWay(this.task)) return run.bytes ? '' : 'No output';
    return this.tail.state === 'refused' ? this.tail.refusal : 'No output yet';
  }
}
