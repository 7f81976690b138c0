// What stands out in a run's output, told by the server in pieces: errors, warnings, stderr's lines where they are known,
// and groups of lines. While the run lives it is asked for what has come since, not more often than every two seconds.
// Looking through a long log keeps server and store busy: it begins when the page has come to rest, and goes on when no
// lines and no search are waited for.

import { add as addSpan } from './spans.js';

/** @typedef {[line: number, what: 'start' | 'end', key: string, title: string, atMs: number | null]} GroupMark */
/**
 * @typedef {object} Fold  a group of lines
 * @property {number} from  its heading
 * @property {number} to  its last line; Infinity while it has not ended
 * @property {string} title
 * @property {number | null} tookMs
 * @property {number} depth  0 for one that stands in no other
 */

const EVERY_MS = 2000;
const FIRST_AFTER_MS = 300;
const MOST = 10_000;

export class Marks {
  /** @type {AbortController | null} */
  abort = null;
  timer = 0;
  /** @type {number[]} */
  errors = [];
  /** @type {number[]} */
  warnings = [];
  /** @type {import('./spans.js').Span[]} */
  stderr = [];
  /** @type {GroupMark[]} */
  groups = [];
  /** @type {Fold[]} */
  folds = [];
  /** Everything up to the end has been looked at once. */
  complete = false;
  /** @type {string | null} where to go on */
  at = null;
  /** @type {{ outputs: import('./http.js').Outputs, run: number } | null} */
  source = null;

  /** @type {((more: boolean) => void)[]} */
  waiting = [];

  /** @param {() => void} changed @param {() => Promise<unknown>} quiet comes when nobody waits for lines or for a search */
  constructor(changed, quiet) {
    this.changed = changed;
    this.quiet = quiet;
  }

  clear() {
    this.abort?.abort();
    clearTimeout(this.timer);
    const { waiting } = this;
    Object.assign(this, new Marks(this.changed, this.quiet), { waiting });
  }

  /** @param {import('./http.js').Outputs} outputs @param {number} run */
  start(outputs, run) {
    this.clear();
    this.source = { outputs, run };
    this.goOn(FIRST_AFTER_MS);
  }

  /** Wait until more of what is there has been looked at; false if all of it has, or cannot be. @returns {Promise<boolean>} */
  more() {
    if (this.complete) return Promise.resolve(false);
    if (this.timer) {
      clearTimeout(this.timer);
      this.go();
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** @param {boolean} more */
  told(more) {
    for (const tell of this.waiting.splice(0)) tell(more);
  }

  /** There is more output. @param {number} [afterMs] */
  goOn(afterMs = EVERY_MS) {
    if (this.abort || this.timer || !this.source) return;
    this.timer = setTimeout(() => this.go(), document.hidden ? afterMs * 5 : afterMs);
  }

  async go() {
    const { source } = this;
    if (!source) return;
    const abort = new AbortController();
    this.abort = abort;
    this.timer = 0;
    let groups = this.groups.length;
    try {
      for (let done = false; !done; ) {
        await this.quiet();
        const found = await source.outputs.marks(source.run, this.at, abort.signal);
        if (abort.signal.aborted) return;
        done = found.done || found.to === this.at;
        this.at = found.to;
        add(this.errors, found.errors);
        add(this.warnings, found.warnings);
        for (const [from, to] of found.stderr) addSpan(this.stderr, from, to);
        this.groups = [...this.groups, ...found.groups].slice(0, MOST);
        if (groups !== this.groups.length) this.folds = folded(this.groups);
        groups = this.groups.length;
        this.complete = done;
        this.changed();
        this.told(true);
      }
    } catch {
      // a log without marks can be read all the same; what comes asks again
      if (!abort.signal.aborted) this.told(false);
    }
    if (this.abort === abort) this.abort = null;
  }
}

/** @param {number[]} known @param {number[]} more */
function add(known, more) {
  for (const line of more) if (line > (known.at(-1) ?? 0) && known.length < MOST) known.push(line);
}

/**
 * The groups that the marks make, in the order of their beginnings. One that ends closes those within it; one that
 * never ends goes on to the end.
 * @param {GroupMark[]} marks
 * @returns {Fold[]}
 */
export function folded(marks) {
  /** @type {Fold[]} */
  const folds = [];
  /** @type {{ fold: Fold, key: string, atMs: number | null }[]} */
  const open = [];
  for (const [line, what, key, title, atMs] of marks) {
    if (what === 'start') {
      const fold = { from: line, to: Infinity, title: title || key, tookMs: null, depth: open.length };
      folds.push(fold);
      open.push({ fold, key, atMs });
      continue;
    }
    const place = open.findLastIndex((other) => other.key === key);
    for (const { fold, atMs: began } of place < 0 ? [] : open.splice(place)) {
      fold.to = line;
      fold.tookMs = began !== null && atMs !== null ? Math.max(0, atMs - began) : null;
    }
  }
  return folds;
}
