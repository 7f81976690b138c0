// One viewer's picture of one run: where it ends, which lines are held, what is missing, how it ended; and the rules
// by which the server's events change it. No network and no DOM: it is given events and says what it wants next.
//
//   state        becomes             when
//   waiting      live                the server has told the run
//   live         ended               `end`: everything up to the final position has been delivered
//   ended        live                the run was taken back (it was believed lost)
//   any          refused             the server says that it will not be
//
// Every text has a position. What begins at the cursor is appended; what begins beyond it leaves lines to be asked for
// by number; what lies before it was delivered before and is left out. So no line is shown twice, and none is missing.

import { Journal } from './journal.js';
import { opened, terminal } from './ansi.js';
import { Lines } from './chunks.js';
import { cursor as cursorOf, position as positionOf } from './places.js';
import { Rows, merged } from './rows.js';
import { Times } from './times.js';

/** @typedef {import('./client.js').Message} Message */
/** @typedef {import('./places.js').Position} Position */
/** @typedef {import('./rows.js').Gap} Gap */
/** @typedef {import('./spans.js').Span} Span */
/** @typedef {'all' | 'screen'} Mode */

const TAIL = 200;
/** Screens a second: twice as many as frames, so that the rest of a burst comes in time for the next one. */
const RATE = 120;
const MOST_MARKS = 1000;

/** What passes by itself. */
const LATER = ['redis_unavailable', 'archive_unavailable', 'unavailable', 'too_many'];

/**
 * @typedef {object} Options
 * @property {string} taskId
 * @property {number | null} run an ordinal; null: the latest, and those that follow it
 * @property {Mode} mode
 * @property {number} [holds] characters held at most
 */

export class Feed {
  following = true;
  /** @type {Message | null} the task as the server last told it */
  task = null;
  /** @type {'waiting' | 'live' | 'ended' | 'refused'} */
  state = 'waiting';
  /** Why it was refused. */
  refusal = '';
  /** @type {number | null} the next run has begun while this one is being read */
  offered = null;
  /** A subscribe is under way: what comes meanwhile may still belong to the one before. */
  asked = false;
  /** @type {string | null} where to begin, if not at the newest lines */
  from = null;
  /** What comes next does not follow what is held: it says its colours. */
  fresh = false;
  /** @type {number[] | null} only these lines are shown, in their order; null: all */
  picked = null;

  // ---- and what belongs to the run that is shown

  /** @type {string | null} as the server gave it: up to where text has been taken over */
  cursor = null;
  /** @type {Position} the same */
  at = { line: 1, byte: 0 };
  /** @type {Position} the end of the output as far as it is known */
  end = this.at;
  /** Where the output ended at the last heartbeat; and whether what there was at the one before has not come yet. */
  beatAt = 0;
  lags = false;
  stalledAt = -1;
  /** @type {Gap[]} in their order, without overlap */
  gaps = [];
  /** @type {Set<number>} lines given in part that are rewritten in place: their last state is not known yet */
  rewritten = new Set();
  /** @type {Position[]} beginnings of lines, to read on from */
  marks = [];
  /** @type {Message | null} */
  ending = null;
  /** @type {TextDecoder | null} */
  decoder = null;
  /** When lines were printed, as far as it was told. */
  times = new Times();
  /** @type {Span[]} lines in groups that are folded */
  folded = [];
  /** @type {Rows | import('./picked.js').Picked} */
  rows = new Rows([], 0, false);

  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    const { taskId, run, mode, holds } = options;
    this.taskId = taskId;
    this.pinned = this.run = run;
    this.mode = mode;
    this.lines = new Lines(holds);
    this.journal = new Journal(mode === 'all');
  }

  /** Forget everything that belongs to a run, and turn to another. @param {number | null} run */
  clear(run) {
    const { following, task, state, refusal, offered, asked, from, fresh, picked } = this;
    Object.assign(this, new Feed(this.options), { following, task, state, refusal, offered, asked, from, fresh, picked, run });
    this.rebuild();
  }

  /** What to subscribe with. @returns {Message} */
  request() {
    this.journal.subscribes++;
    this.asked = true;
    const from = this.cursor ?? this.from ?? (this.mode === 'all' ? 'start' : `tail:${TAIL}`);
    // without a cursor the newest lines are asked for in any case: with them come the run and its end
    const screen = this.following || this.cursor === null;
    const how = this.mode === 'all' ? { mode: 'all', binary: true } : screen ? { mode: 'screen', lines: TAIL, rate: RATE } : { mode: 'ends' };
    return { task_id: this.taskId, wait: true, from, ...(this.pinned === null ? {} : { run: this.pinned }), ...how };
  }

  /**
   * The answer to a subscribe.
   * @param {Message} answer
   * @returns {'again' | 'later' | null} whether to subscribe once more: at once, or after a while
   */
  answered(answer) {
    this.asked = false;
    if (!answer.ok) return this.refused(answer);
    if (answer.task) this.tell(answer.task);
    const given = cursorOf(answer.cursor);
    if (given && this.cursor === null) {
      this.run = given.run;
      this.start(given, answer.cursor);
    }
    if (this.state !== 'ended') this.state = this.run === null ? 'waiting' : 'live';
    this.learn();
    return null;
  }

  /** @param {Message} answer @returns {'again' | 'later' | null} */
  refused(answer) {
    const code = String(answer.code);
    if (LATER.includes(code)) return 'later';
    if (this.cursor !== null && /^(position_|cursor_)/.test(code)) {
      // this run's output is not what it was: begin again
      this.reset(this.pinned);
      return 'again';
    }
    this.state = 'refused';
    this.refusal = String(answer.error ?? 'the server refused');
    return null;
  }

  /**
   * @param {string} event @param {Message} message
   * @returns {'again' | null} whether to subscribe once more
   */
  received(event, message) {
    const next = this.taken(event, message);
    // a run whose task was not told yet: the answer to a subscribe tells it
    return next ?? (this.run !== null && !this.task ? this.again() : null);
  }

  /** @param {string} event @param {Message} message @returns {'again' | null} */
  taken(event, message) {
    if (event === 'task') this.tell(message.task);
    else if (event === 'heartbeat') return this.beaten(message.end);
    else if (event === 'run') this.runTold(message.run);
    else if (!this.concerns(message)) return null;
    else if (event === 'output') return this.output(message);
    else if (event === 'gap') return this.gap(message);
    else if (event === 'grown') this.grown(message);
    else if (event === 'reset') this.reset(Number(message.run), message.cursor);
    else if (event === 'end') return this.ended(message);
    return null;
  }

  /** Whether an event is about the run that is shown; the first one of a task that waited decides which that is. @param {Message} message */
  concerns(message) {
    const run = Number(message.run);
    if (this.run === null) this.turnTo(run);
    if (this.run === run) return true;
    if (this.pinned !== null || run < Number(this.run)) return false;
    if (this.following) this.turnTo(run);
    else this.offered = run;
    return this.run === run;
  }

  /** @param {number} run */
  turnTo(run) {
    this.clear(run);
    this.offered = null;
    this.state = 'live';
    this.learn();
  }

  /** @param {Message} message */
  output(message) {
    const from = positionOf(message.from);
    const to = cursorOf(message.cursor);
    if (!from || !to) return null;
    if (this.cursor === null) {
      if (this.asked) return null;
      this.start(from, null);
    }
    if (to.byte <= this.at.byte) {
      this.journal.repeats++;
      return null;
    }
    if (from.byte < this.at.byte || (from.byte > this.at.byte && this.mode === 'all')) return this.again();
    if (from.byte > this.at.byte) {
      this.journal.holes++;
      this.decoder = null;
      this.fresh = true;
      if (this.marks.length < MOST_MARKS) this.marks.push(from);
    }
    if (this.fresh) this.lines.skipTo(from.line, opened(message.sgr));
    this.fresh = false;
    const bytes = message.data === undefined ? null : new Uint8Array(message.data);
    this.lines.append(bytes ? this.decoded(bytes) : String(message.text));
    for (const [line, atMs] of message.times ?? []) this.times.add(Number(line), Number(atMs));
    this.journal.took(from, to, bytes);
    this.moved(to, message.cursor);
    return null;
  }

  /** @param {Uint8Array} bytes */
  decoded(bytes) {
    this.decoder ??= new TextDecoder('utf-8', { ignoreBOM: true });
    return this.decoder.decode(bytes, { stream: true });
  }

  /** @param {Message} message */
  gap(message) {
    const from = positionOf(message.from);
    const to = cursorOf(message.cursor);
    if (!from || !to || to.byte <= this.at.byte || (this.cursor === null && this.asked)) return null;
    if (from.byte > this.at.byte && this.mode === 'all') return this.again();
    const end = { line: to.line, byte: to.byte };
    const reason = String(message.reason);
    this.note({ from, to: end, reason, bare: this.lines.tail.text === '' });
    this.journal.missed(from, end, reason);
    this.decoder = null;
    this.lines.breakOff(to.line);
    this.fresh ||= to.line > from.line;
    this.moved(to, message.cursor);
    return null;
  }

  /** Subscribe again from the cursor, unless that is under way. @returns {'again' | null} */
  again() {
    return this.asked ? null : 'again';
  }

  /** @param {Message} message */
  grown(message) {
    const to = cursorOf(message.cursor);
    if (to) this.growTo(to);
  }

  /** Its output is not what it was: begin again. @param {number | null} run @param {string} [cursor] */
  reset(run, cursor) {
    const resets = this.journal.resets + 1;
    this.clear(run);
    this.journal.resets = resets;
    const to = cursorOf(cursor);
    if (!to || !cursor) return;
    this.start(to, cursor);
    this.learn();
  }

  /** @param {Message} message @returns {'again' | null} */
  ended(message) {
    const to = cursorOf(message.cursor);
    if (this.cursor === null && this.asked) return null;
    if (to && to.byte > this.at.byte && this.mode === 'all') return this.again();
    if (to) this.growTo(to);
    if (this.decoder) this.lines.append(this.decoder.decode());
    this.decoder = null;
    this.ending = message;
    this.state = 'ended';
    this.journal.ended(message);
    this.rebuild();
    return null;
  }

  /** A server that knows of more than has come for a whole heartbeat is asked again. @param {unknown} end */
  beaten(end) {
    const to = cursorOf(end);
    if (!to || to.run !== this.run || this.mode === 'screen' && !this.following) return null;
    this.lags = this.beatAt > this.at.byte;
    this.beatAt = to.byte;
    const before = this.stalledAt;
    this.stalledAt = to.byte > this.at.byte ? this.at.byte : -1;
    return before === this.stalledAt && before >= 0 ? this.again() : null;
  }

  /** How many bytes this viewer is behind, if it is by a heartbeat and more. */
  get behind() {
    return this.lags ? Math.max(0, this.beatAt - this.at.byte) : 0;
  }

  /** @param {Message} task */
  tell(task) {
    this.task = task ?? this.task;
    this.learn();
  }

  /** @param {Message} run */
  runTold(run) {
    if (!run || !this.task) return;
    const runs = this.task.runs.filter((/** @type {Message} */ other) => other.run !== run.run);
    this.tell({ ...this.task, runs: [...runs, run].sort((a, b) => a.run - b.run) });
  }

  /** Take over what the server says of the run itself. */
  learn() {
    const run = this.task?.runs?.find((/** @type {Message} */ item) => item.run === this.run);
    if (!run) return;
    const first = positionOf(run.first);
    if (first && first.byte > 0) this.trimmedTo(first, run.first_why || 'trimmed');
    if (this.state === 'ended' && run.how === null) {
      this.state = 'live';
      this.ending = null;
      this.rebuild();
    }
  }

  /** @param {Position} from @param {string | null} cursor */
  start({ line, byte }, cursor) {
    this.at = { line, byte };
    this.cursor = cursor;
    this.lines.skipTo(line);
    this.fresh = true;
    this.journal.begin({ line, byte });
    this.marks = [{ line, byte }];
    this.growTo(this.at);
  }

  /** The output goes up to here at least. @param {Position} to */
  growTo({ line, byte }) {
    if (byte > this.end.byte) this.end = { line, byte };
    this.rebuild();
  }

  /** @param {Position} to @param {string} cursor */
  moved(to, cursor) {
    this.at = { line: to.line, byte: to.byte };
    this.cursor = cursor;
    this.growTo(to);
  }

  // ---- lines that are asked for by number

  /** A line that is held. @param {number} number @returns {import('./chunks.js').Line | undefined} */
  line(number) {
    return number > this.finished ? (number === this.lines.tail.line ? this.lines.tail : undefined) : this.lines.get(number);
  }

  /** The last line that has ended. */
  get finished() {
    return this.end.line - 1;
  }

  /** Where that begins which can still be read. @returns {Position} */
  get firstKept() {
    const [first] = this.gaps;
    return first?.from.byte === 0 ? first.to : { line: 1, byte: 0 };
  }

  /** The first line that can still be read. */
  get firstLine() {
    return this.firstKept.line;
  }

  /** @param {Position} first the first byte that is kept @param {string} why */
  trimmedTo(first, why) {
    this.note({ from: { line: 1, byte: 0 }, to: first, reason: why, bare: true });
  }

  /** Remember what is missing. @param {Gap} gap @param {boolean} [sure] of its `bare` */
  note(gap, sure = false) {
    this.gaps = merged(this.gaps, gap, sure);
    this.rebuild();
  }

  rebuild() {
    const tail = this.at.byte === this.end.byte && this.lines.tail.text !== '';
    const last = tail ? this.end.line : this.finished;
    const ended = this.state === 'ended';
    // neither lines without a row nor picked ones are there before what makes them
    const hidden = terminal?.joined(this.lines.absorbed, this.folded);
    this.rows = this.picked && terminal ? new terminal.Picked(this.picked, last, ended) : new Rows(this.gaps, last, ended, hidden);
  }
}
