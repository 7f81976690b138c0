// A search through all of a run's output, done by the server in pieces: what was found so far, and how far it has got.
// While the run lives the search goes on with what comes. Stopping it ends the request that is under way.

import { Refused } from './http.js';
import { placeOf } from './places.js';

/** @typedef {{ text: string, cased: boolean, regex: boolean }} Query */
/** @typedef {[line: number, start: number, end: number]} Hit  columns in UTF-16 units of what is seen of the line */
/** @typedef {'idle' | 'busy' | 'done' | 'failed'} State */

/** Matches whose columns are kept; of more than that only the number is. */
const MOST_HITS = 20_000;
const MOST_LINES = 200_000;
const PIECE_HITS = 2000;
const AGAIN_MS = 1000;

export class Search {
  /** @type {Query | null} */
  query = null;
  /** @type {AbortController | null} */
  abort = null;
  total = 0;
  searched = 0;
  /** @type {Hit[]} the first ones, without a hole, in their order */
  hits = [];
  /** Whether `hits` are all there are. */
  complete = true;
  /** @type {number[]} lines with a match, in their order */
  lines = [];
  /** How many ranges could not be searched. */
  gaps = 0;
  /** @type {State} */
  state = 'idle';
  trouble = '';
  /** @type {string | null} where to go on */
  at = null;
  /** @type {{ outputs: import('./http.js').Outputs, run: number } | null} */
  source = null;
  /** @type {Promise<void> | undefined} until it has got to the end, or is ended */
  going;

  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
  }

  clear() {
    this.abort?.abort();
    const { query, source } = this;
    Object.assign(this, new Search(this.changed), { query, source });
  }

  /**
   * Begin a new search.
   * @param {Query} query @param {import('./http.js').Outputs} outputs @param {number} run
   */
  start(query, outputs, run) {
    this.clear();
    this.query = query.text ? query : null;
    this.source = { outputs, run };
    if (this.query) this.going = this.go();
    this.changed();
  }

  stop() {
    this.clear();
    this.query = null;
    this.changed();
  }

  /** Stop at what was found so far. */
  cancel() {
    this.abort?.abort();
    this.abort = null;
    this.state = 'idle';
    this.changed();
  }

  /** There is more output than when it ended. */
  goOn() {
    if (this.state === 'done' && this.query) this.going = this.go();
  }

  async go() {
    const { source, query } = this;
    if (!source || !query) return;
    const abort = new AbortController();
    this.abort = abort;
    this.state = 'busy';
    try {
      for (;;) {
        const found = await source.outputs.search(source.run, query, this.at, PIECE_HITS, abort.signal);
        if (abort.signal.aborted) return;
        this.take(found);
        if (found.done || found.to === this.at) break;
        this.at = found.to;
        this.changed();
      }
      this.state = 'done';
    } catch (error) {
      if (abort.signal.aborted) return;
      this.state = error instanceof Refused && error.status === 400 ? 'failed' : 'done';
      this.trouble = error instanceof Error ? error.message : String(error);
      if (this.state === 'done') setTimeout(() => this.abort === abort && this.goOn(), AGAIN_MS);
    }
    this.changed();
  }

  /** @param {import('./http.js').Found} found */
  take(found) {
    this.trouble = '';
    this.total += found.total;
    this.searched += found.lines;
    this.gaps += found.gaps?.length ?? 0;
    const more = found.lines_hit ?? [];
    if (this.complete) this.hits.push(...found.hits);
    if (found.hits.length < found.total || this.hits.length >= MOST_HITS) this.complete = false;
    for (const line of [...found.hits.map((hit) => hit[0]), ...more]) {
      if (line > (this.lines.at(-1) ?? 0) && this.lines.length < MOST_LINES) this.lines.push(line);
    }
    if (found.done) this.at = found.to;
  }

  /** The columns of the matches in a line that are known. @param {number} line */
  of(line) {
    const { hits } = this;
    const found = [];
    for (let i = placeOf(hits, line, (hit) => hit[0]); hits[i]?.[0] === line; i++) found.push(/** @type {Hit} */ (hits[i]));
    return found;
  }

  /** The number of the first match in a line, from 1; 0 if it is not known. @param {number} line */
  ordinal(line) {
    const at = placeOf(this.hits, line, (hit) => hit[0]);
    return this.hits[at]?.[0] === line ? at + 1 : 0;
  }
}
