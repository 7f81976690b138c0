// One task on the dashboard: its card, and the feed of its last lines while the card is on screen.

import { make } from '../log/frame.js';
import { paint } from '../log/paint.js';
import { plural } from '../log/places.js';
import { resolved } from '../log/ansi.js';
import { press } from '../log/tools.js';
import { fate } from '../log/words.js';
import { copyOf, one, pageOf, showState, write } from './elements.js';
import { nameOf, plain } from './named.js';
import { Pace, rateText } from './pace.js';
import { ProgressBar } from './progress.js';
import { Tail } from './tail.js';
import { ago, canRepeat, stateOf, tookOf, underWay } from './time.js';

/** @typedef {Record<string, any>} Task */

const MOST_LINES = 9;
/** The same beside a progress bar. So many fit on any card; more are aligned to the newest. */
const FEW = 7;
const MOST_SHOWN = 240;
const AGAIN_MS = 1000;
/** The size of its drawing in the template. */
const SPARK = { width: 56, height: 14 };

/**
 * What the board has chosen for all cards, and for this one.
 * @typedef {{ compact: boolean, selecting: boolean }} Look
 * @typedef {{ pinned: boolean, told: boolean, selected: boolean }} Chosen
 */

export class Card {
  /**
   * @param {Task} task
   * @param {import('../log/client.js').Client} client
   * @param {{ changed: () => void, look: Look, chosen: (id: string) => Chosen }} board `changed`: it wants to be drawn
   */
  constructor(task, client, { changed, look, chosen }) {
    this.task = task;
    this.client = client;
    this.changed = changed;
    this.look = look;
    this.chosen = () => chosen(task.id);
    this.pace = new Pace();
    this.tail = new Tail(task.id);
    this.onScreen = false;
    this.followed = false;
    /** Whether what it shows has changed since it was drawn. */
    this.stale = true;
    this.element = copyOf('card');
    this.element.dataset.taskId = task.id;
    const part = (/** @type {string} */ name) => one(this.element, `.${name}`);
    this.state = part('state');
    this.took = part('took');
    this.name = /** @type {HTMLAnchorElement} */ (part('name'));
    this.name.href = pageOf(task.id);
    this.check = /** @type {HTMLInputElement} */ (part('check'));
    this.pin = part('pin');
    this.told = part('tell');
    this.again = part('again');
    this.cancel = part('cancel');
    this.where = part('where');
    this.count = part('lines');
    this.progress = new ProgressBar(part('progress'));
    this.last = part('tail');
    this.spark = part('spark');
    this.line = part('spark polyline');
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
    if (event === 'end' && message.last && this.tail.state === 'ended') this.leave();
    this.touch();
  }

  // ---- drawing

  /** @param {number} now on the server's clock */
  tick(now) {
    const took = tookOf(this.task, now);
    write(this.took, took);
    if (!underWay(this.task)) return;
    if (this.pace.look(now, this.lines)) this.line.setAttribute('points', this.pace.points(SPARK.width, SPARK.height));
    this.progress.left(this.pace.left(this.task.progress, now, this.task.began_at));
    this.counted();
  }

  /** How many lines its last run has printed. */
  get lines() {
    const run = this.task.runs?.at(-1);
    return Math.max(this.tail.run === run?.run ? this.tail.rows.last : 0, run?.lines ?? 0);
  }

  counted() {
    const { runs } = this.task;
    const run = runs?.at(-1);
    const rate = underWay(this.task) ? rateText(this.pace.rate) : '';
    const text = run ? (runs.length > 1 ? `run ${run.run} · ` : '') + plural(this.lines, 'line') + (rate && `, ${rate}`) : '';
    write(this.count, text);
  }

  /** What its reader may do with it, and has chosen. */
  choices() {
    const { task } = this;
    const { pinned, told, selected } = this.chosen();
    const name = nameOf(task);
    this.check.checked = selected;
    this.check.setAttribute('aria-label', `Select ${name}`);
    this.check.hidden = !this.look.selecting;
    this.element.classList.toggle('pinned', pinned);
    this.element.classList.toggle('selected', selected && this.look.selecting);
    this.cancel.hidden = !underWay(task) || Boolean(task.stopping_at);
    this.told.hidden = !underWay(task);
    this.again.hidden = !canRepeat(task);
    press(this.pin, pinned);
    press(this.told, told);
    for (const button of [this.pin, this.told, this.again, this.cancel]) button.setAttribute('aria-label', `${button.textContent}: ${button.dataset.words} ${name}`);
  }

  /** @param {number} now */
  draw(now) {
    this.stale = false;
    const { task } = this;
    this.element.dataset.state = task.state;
    showState(this.state, stateOf(task));
    this.name.textContent = nameOf(task);
    this.name.title = `${nameOf(task)}\n${task.id}`;
    this.choices();
    this.where.textContent = [task.id.slice(0, 8), plain(task.worker), plain(task.queue)].filter(Boolean).join(' · ');
    this.where.title = task.began_at ? `started ${ago(task.began_at)}` : '';
    const run = task.runs?.at(-1);
    this.spark.classList.toggle('idle', !underWay(task));
    this.counted();
    this.progress.show(underWay(task) ? task.progress : null);
    this.tick(now);
    this.drawTail(run);
  }

  /** @param {Task | undefined} run */
  drawTail(run) {
    const most = this.look.compact ? 1 : this.progress.element.hidden ? MOST_LINES : FEW;
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
