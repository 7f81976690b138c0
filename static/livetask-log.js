// <livetask-log task-id="..."> shows the live output of one run of a task, exact and resumable.
//
//   task-id      the task                        run          an ordinal; without it the latest run, then the next ones
//   server       another origin than the page's  mode         'screen' (default) or 'all': every byte is delivered
//   wrap         long lines are wrapped          hash-links   #L10-L20 of the address marks lines
//   times        when each line was printed      keys         keys work on the whole page
//   cursor       where to begin                  share        the secret of a share link, by which it is let in;
//                                                             '#': what the address says as #share=SECRET
//   opening      the last lines, as the server's own page carries them; they are shown before there is a connection
//
// Events, methods, parts and variables: docs/log-element.md. It wires together what is needed to show a log: client
// (network), feed (thinking), view (rows), frame (what stands around them). Everything that people do with it, lines that
// are asked for by number, and whatever is neither plain nor coloured comes with extras.js.

import { BASE } from './base.js';
import { ready, terminal } from './log/ansi.js';
import { clientOf } from './log/client.js';
import { Feed } from './log/feed.js';
import { make, makeFrame } from './log/frame.js';
import { linkText } from './log/link.js';
import { marked } from './log/places.js';
import { View } from './log/view.js';

/** @typedef {import('./log/client.js').Message} Message */
/** @typedef {import('./log/view.js').Item} Item */

const SWITCH_AFTER_MS = 150;
const AGAIN_MS = 1000;
/** What is pressed beyond that before the tools have come is forgotten. */
const MOST_EARLY = 100;
/** When what comes with extras.js is wanted at the latest, though no line is shown yet. */
const EXTRAS_MS = 500;

export class LivetaskLog extends HTMLElement {
  static observedAttributes = ['task-id', 'run', 'server', 'mode', 'wrap', 'times'];

  constructor() {
    super();
    this.frame = makeFrame(this.attachShadow({ mode: 'open' }));
    this.client = this.clientHere();
    this.feed = new Feed({ taskId: '', run: null, mode: 'screen' });
    /** @type {import('./log/client.js').Follower | null} */
    this.follower = null;
    /** @type {[number, number] | null} lines that are marked */
    this.marks = null;
    /** @type {(() => void)[] | null} what waits for the terminal, in its order */
    this.turns = null;
    /** Something was shown without it that needs it. */
    this.bare = false;
    this.jumpPending = false;
    this.newFrom = 0;
    this.switching = 0;
    this.seenRun = /** @type {number | null} */ (null);
    this.seenState = '';
    /** @type {import('./log/extras.js').Extras | null} */
    this.extras = null;
    /** @type {Promise<void> | null} */
    this.loading = null;
    /** @type {Promise<unknown>} the try to load them that is under way, or the last one; it never fails */
    this.trying = Promise.resolve();
    /** They could not be had; and what to call when they are wanted. */
    this.lacking = false;
    this.wanted = () => {};
    /** @type {(() => void) | null} called when lines have been drawn */
    this.drew = null;
    this.view = new View(this.frame.scroller, {
      count: () => this.feed.rows.count,
      item: (row) => this.itemAt(row),
      want: (from, to) => (this.extras ? this.extras.want(from, to) : this.wanted()),
      marked: (item) => this.marks !== null && (item.number ?? 0) >= this.marks[0] && (item.number ?? 0) <= this.marks[1],
    });
    this.view.addEventListener('drawn', () => this.describe());
    this.view.addEventListener('follow', () => this.followChanged());
  }

  connectedCallback() {
    // what is shown first may need it already
    const part = this.latePart();
    this.open();
    this.loading ??= this.load(part);
  }

  /** What plain lines do without begins when they are shown; what is pressed before that waits for it. @param {ReturnType<LivetaskLog['latePart']>} part */
  async load(part) {
    /** @type {[Event, HTMLElement][]} */
    const early = [];
    const press = (/** @type {Event} */ event) => {
      if (early.length < MOST_EARLY) early.push([event, standIn(event)]);
      this.wanted();
    };
    const waiting = new AbortController();
    this.frame.scroller.addEventListener('click', press, waiting);
    if (this.hasAttribute('keys')) document.addEventListener('keydown', press, waiting);
    // it costs as much as showing the lines does, and asks the server for more than they are: not within the frame that shows them
    if (!this.marks) {
      await new Promise((resolve) => {
        this.drew = () => requestAnimationFrame(resolve);
        setTimeout(resolve, EXTRAS_MS);
      });
    }
    this.drew = null;
    const Extras = await part;
    waiting.abort();
    if (!Extras || this.extras) return;
    this.extras = new Extras(this);
    if (this.marks) this.extras.reveal(this.marks[0]);
    for (const [event, row] of early) {
      if (event.defaultPrevented) continue;
      event.preventDefault(); // so that the page does not say it again as well
      if (event instanceof MouseEvent) {
        this.frame.scroller.append(row);
        row.firstChild?.dispatchEvent(new MouseEvent(event.type, event));
        row.remove();
      }
      // a key goes where it would go now: what is pressed after `/` belongs to the search
      else (this.shadowRoot?.activeElement ?? document.activeElement)?.dispatchEvent(new KeyboardEvent(event.type, event));
    }
    this.view.draw(); // at once, it asks for the lines that were jumped to
  }

  /** The part with the tools and the terminal. Where it cannot be had it is tried again when they are wanted, at most once a second. */
  async latePart() {
    for (let tries = 0; this.isConnected; tries++) {
      // browsers remember that a file could not be had: it is asked for under another name
      const coming = tries ? import(`${BASE}/static/log/extras.js?${tries}`) : import('./log/extras.js');
      const found = await (this.trying = coming.catch(() => null));
      this.lacking = !found;
      if (found) {
        // rows for gaps and the end were there without their words, and others perhaps as they came
        if (this.bare) this.startOver(this.feed.run);
        this.view.refresh();
        return this.isConnected ? /** @type {typeof import('./log/extras.js').Extras} */ (found.Extras) : null;
      }
      const wanted = new Promise((resolve) => (this.wanted = () => resolve(null)));
      this.view.refresh();
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      await wanted;
    }
    return null;
  }

  /** What can be done with the log besides looking at it; null if it is not shown any more. */
  async tools() {
    this.wanted();
    await this.loading;
    return this.extras;
  }

  disconnectedCallback() {
    this.close();
    this.view.collapse();
    this.extras?.close();
    this.extras = null;
    this.loading = null;
    this.wanted();
  }

  /** @param {string} name @param {string | null} before @param {string | null} now */
  attributeChangedCallback(name, before, now) {
    if (name === 'wrap') this.view.setWrap(now !== null);
    else if (name === 'times') this.view.refresh();
    else if (this.follower && before !== now) this.open();
  }

  // ---- for pages and programs

  /** What was delivered, in figures. */
  get journal() {
    return this.feed.journal;
  }

  /** The run that is shown, null before it is known. */
  get shownRun() {
    return this.feed.run;
  }

  /** Whether the newest lines are followed. */
  get following() {
    return this.view.following;
  }

  set following(on) {
    if (on) this.view.follow();
    else this.view.letGo();
  }

  /** The whole text that is kept of the run, as the server has it now. @returns {Promise<string>} */
  async text() {
    return (await this.tools())?.outputs.text(this.feed.run ?? 'last') ?? '';
  }

  /** Show a line and mark it. @param {number} line @param {number} [to] the last one to mark */
  jump(line, to = line) {
    this.marks = [line, to];
    this.jumpPending = false;
    this.extras?.reveal(line);
    const row = this.feed.rows.rowOf(Math.max(1, line));
    this.view.show(row);
  }

  /** Search the whole log and show the first match. @param {string} text '' ends it @param {{ cased?: boolean, regex?: boolean }} [how] */
  async search(text, { cased = false, regex = false } = {}) {
    (await this.tools())?.lookFor(text, cased, regex);
  }

  /** Show the next error, or the one before. @param {1 | -1} [way] @returns {Promise<boolean>} whether there is one */
  async nextError(way = 1) {
    return (await this.tools())?.goToError(way) ?? false;
  }

  /** The text of some lines as it is seen, without colours. @param {number} from @param {number} [to] @returns {Promise<string>} */
  async lines(from, to = from) {
    return (await this.tools())?.selection.text({ line: from, column: 0 }, { line: to, column: Infinity }) ?? '';
  }

  // ---- the run

  open() {
    this.close();
    const taskId = this.getAttribute('task-id');
    if (!taskId) return;
    const run = Number.parseInt(this.getAttribute('run') ?? '', 10);
    const mode = this.getAttribute('mode') === 'all' ? 'all' : 'screen';
    this.client = this.clientHere();
    this.feed = new Feed({ taskId, run: run > 0 ? run : null, mode });
    const cursor = this.getAttribute('cursor');
    if (cursor) this.feed.from = cursor;
    this.view.following = true;
    this.newFrom = 0;
    this.seenRun = null;
    this.marks = this.hasAttribute('hash-links') ? marked(location.hash) : null;
    this.jumpPending = this.marks !== null;
    this.follower = {
      request: () => this.feed.request(),
      answered: (answer) => this.inTurn(() => this.answered(answer)),
      received: (event, message) => this.inTurn(() => this.received(event, message), event !== 'output' || canShow(message)),
      linked: () => this.view.refresh(),
    };
    this.extras?.turnTo();
    this.begin(this.follower);
    this.client.follow(taskId, this.follower);
    this.view.refresh();
  }

  /** What the page itself says of the log is taken as if it had been asked for. @param {import('./log/client.js').Follower} follower */
  begin({ answered, received }) {
    const said = this.getAttribute('opening');
    this.removeAttribute('opening');
    if (!said || this.feed.mode === 'all' || this.feed.from) return;
    const { answer, told } = JSON.parse(said);
    answered(answer);
    for (const [event, message] of told) received(event, message);
  }

  /** The connection that its attributes name. */
  clientHere() {
    let share = this.getAttribute('share') ?? '';
    // of an embedded page it stands behind the # of its address, where lines may be named later
    if (share === '#') this.setAttribute('share', (share = /^#share=([\w.-]+)$/.exec(location.hash)?.[1] ?? ''));
    return clientOf(this.getAttribute('server') ?? undefined, share, this.getAttribute('task-id') ?? '');
  }

  close() {
    if (this.follower) this.client.unfollow(this.feed.taskId, this.follower);
    this.follower = null;
    this.turns = null;
    this.bare = false;
    this.extras?.ranges.stop();
  }

  /** Do what the server's word asks for; from what needs the terminal on, when that has come. @param {() => void} act @param {boolean} [can] */
  inTurn(act, can = true) {
    if (this.turns) this.turns.push(act);
    else if (can) act();
    else {
      const turns = [act];
      this.turns = turns;
      const go = () => {
        // another task may be shown by now
        if (this.turns !== turns) return;
        this.turns = null;
        for (const turn of turns) turn();
        this.bare ||= !terminal;
        if (this.bare) this.wanted();
      };
      this.trying.then(go);
    }
  }

  /** @param {Message} answer */
  answered(answer) {
    const next = this.apply(() => this.feed.answered(answer));
    if (answer.task) this.tell('livetask-task', this.feed.task);
    if (next === 'again') this.subscribe();
    if (next === 'later') setTimeout(() => this.subscribe(), AGAIN_MS);
  }

  /** @param {string} event @param {Message} message */
  received(event, message) {
    const cursor = this.feed.cursor;
    const next = this.apply(() => this.feed.received(event, message));
    if ((event === 'task' || event === 'run') && this.feed.task) this.tell('livetask-task', this.feed.task);
    if (this.feed.mode === 'all' && this.feed.cursor && this.feed.cursor !== cursor) {
      this.client.ack(this.feed.taskId, this.feed.cursor);
    }
    if (next === 'again') this.subscribe();
  }

  subscribe() {
    if (this.follower) this.client.subscribe(this.feed.taskId, this.follower);
  }

  /**
   * Change the feed and keep the line that is read where it is.
   * @template T @param {() => T} change @returns {T} what it returns
   */
  apply(change) {
    const before = this.feed.rows;
    const row = Math.floor(this.view.top);
    const at = before.at(row);
    const changed = change();
    const after = this.feed.rows;
    if (before !== after && !this.view.following && at && typeof at === 'object' && 'line' in at) {
      this.view.shift(row - after.rowOf(at.line));
    }
    // before the rows are laid out: where lines are wrapped it makes them higher
    this.frame.scroller.style.setProperty('--digits', String(String(after.last).length));
    this.view.refresh();
    return changed;
  }

  /** @param {number} row @returns {Item | null} */
  itemAt(row) {
    const at = this.feed.rows.at(row);
    if (at === null) return null;
    if (at === 'end') return { kind: 'end', ...terminal?.endOf(this.feed) };
    if ('gap' in at) return { kind: 'gap', text: terminal?.gapText(at.gap), tone: at.gap.reason };
    const line = this.feed.line(at.line);
    if (!line) return { kind: 'wait', number: at.line, text: '…' };
    const time = this.hasAttribute('times') ? terminal?.clock(this.feed.times.of(at.line)) || ' ' : '';
    /** @type {Item} */
    const item = { kind: 'line', number: at.line, line, time };
    return this.extras?.dressed(item) ?? item;
  }

  // ---- following

  /** To the end; to the next run if it has begun meanwhile. */
  goOn() {
    if (this.feed.offered !== null) this.startOver(null);
    this.view.follow();
  }

  /** Forget what is held and read anew. @param {number | null} run null: the latest */
  startOver(run) {
    this.bare = false;
    this.feed.clear(run);
    this.feed.offered = null;
    this.feed.state = 'waiting';
    this.subscribe();
  }

  followChanged() {
    this.feed.following = this.view.following;
    this.newFrom = this.feed.finished;
    this.jumpPending = false;
    if (this.view.following) this.marks = null;
    if (this.view.following && this.feed.offered !== null) this.goOn();
    clearTimeout(this.switching);
    const wanted = this.feed.mode === 'screen' && this.feed.cursor !== null;
    // a short while, so that a hand on the scroll bar does not make a request for each of its movements
    if (wanted) this.switching = setTimeout(() => this.subscribe(), SWITCH_AFTER_MS);
    this.view.refresh();
  }

  // ---- what is around the rows

  describe() {
    const { feed, frame } = this;
    if (feed.lines.size) this.drew?.();
    if (this.jumpPending && this.marks && feed.run !== null && (feed.finished >= this.marks[1] || feed.state === 'ended')) {
      this.jump(...this.marks);
      return;
    }
    const [word, told] = linkText(feed, this.client);
    const text = this.lacking ? `${told} · without tools: a key or click loads them` : told;
    if (frame.state.textContent !== text) {
      frame.state.dataset.state = word;
      frame.state.textContent = text;
    }
    frame.blank.hidden = feed.rows.last > 0 || feed.rows.count > 0;
    frame.blank.textContent = feed.state === 'refused' ? feed.refusal : feed.state === 'live' ? 'No output yet' : text;
    this.announce(word);
  }

  /** @param {string} word */
  announce(word) {
    const { feed } = this;
    if (feed.run !== this.seenRun) {
      this.seenRun = feed.run;
      this.extras?.opened();
      this.tell('livetask-run', feed.run);
    }
    if (word === this.seenState) return;
    this.seenState = word;
    this.tell('livetask-state', word);
  }

  /** @param {string} name @param {unknown} detail */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/**
 * A row like the one in which something was clicked: when that is told again, the row itself may show another line. No
 * link and no button is in it, what these do by themselves they have done.
 * @param {Event} event
 */
function standIn(event) {
  const part = /** @type {HTMLElement} */ (event.composedPath()[0]).closest?.('.row > *');
  const row = part?.parentElement;
  return make('div', { class: `${row?.className}`, 'data-line': `${row?.dataset.line}` }, make('i', { class: `${part?.className}` }));
}

/** Whether what has come so far can show this output; bytes are for programs, and wait. @param {Message} message */
function canShow({ text, sgr = '' }) {
  return ready(text === undefined ? '\r' : `\x1b[${sgr}m${text}`);
}

customElements.define('livetask-log', LivetaskLog);
