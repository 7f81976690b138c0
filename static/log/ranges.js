// Fetches the lines that the view misses, a few requests at a time, and never the same twice at once.

import { Refused } from './http.js';
import { before, missing, take } from './numbered.js';
import { PLAIN } from './style.js';
import { wholeLine } from './whole-line.js';

const AT_ONCE = 3;
const AGAIN_MS = 1000;

export class Ranges {
  /**
   * @param {import('./feed.js').Feed} feed
   * @param {import('./http.js').Outputs} outputs
   * @param {(change: () => void) => void} apply runs a change of the feed and shows it
   */
  constructor(feed, outputs, apply) {
    this.feed = feed;
    this.outputs = outputs;
    this.apply = apply;
    /** @type {Map<number, Promise<void>>} what is under way, by its first line */
    this.busy = new Map();
    /** @type {Map<number, number>} lines that could not be had, and when to try again */
    this.later = new Map();
    this.stopped = false;
    /** What the server said last, '' if it gave what was asked for. */
    this.trouble = '';
  }

  stop() {
    this.stopped = true;
  }

  /** @param {number} from @param {number} to lines */
  want(from, to) {
    const { run } = this.feed;
    const asked = missing(this.feed, from, to);
    if (!asked || run === null || this.busy.size >= AT_ONCE || this.busy.has(asked.line)) return;
    if ((this.later.get(asked.line) ?? 0) > performance.now()) return;
    const { line, count } = asked;
    this.busy.set(line, this.fetch(run, line, count).finally(() => this.busy.delete(line)));
    // what is seen of the next piece is not left until this one has come
    if (line + count <= to) this.want(line + count, to);
  }

  /** Comes when nothing is under way of what is now. @returns {Promise<unknown>} */
  quiet() {
    return Promise.all(this.busy.values());
  }

  /** @param {number} run @param {number} line @param {number} count */
  async fetch(run, line, count) {
    try {
      const range = await this.outputs.range(run, line, count);
      if (this.stopped || this.feed.run !== run) return;
      this.trouble = '';
      const wanted = missing(this.feed, line, line);
      this.apply(() => take(this.feed, range));
      if (wanted && missing(this.feed, line, line)) this.delay(line);
      this.busy.delete(line);
      this.apply(() => {});
      await this.finishRewritten(run);
    } catch (error) {
      this.trouble = error instanceof Refused ? error.message : 'the lines cannot be read';
      this.delay(line);
    }
  }

  /** A line that was given in part and is rewritten in place shows its last state only when it is read whole. @param {number} run */
  async finishRewritten(run) {
    for (const line of this.feed.rewritten) {
      this.feed.rewritten.delete(line);
      const text = await wholeLine(this.outputs, run, line, before(this.feed, line));
      if (this.stopped || this.feed.run !== run) return;
      this.apply(() => this.feed.lines.put(line, text, this.feed.lines.get(line)?.opening ?? PLAIN));
    }
  }

  /** @param {number} line */
  delay(line) {
    this.later.set(line, performance.now() + AGAIN_MS);
    setTimeout(() => this.stopped || this.apply(() => {}), AGAIN_MS + 10);
  }
}
