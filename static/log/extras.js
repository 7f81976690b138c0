// What plain and coloured lines do without, loaded behind them with what knows all others (terminal.js): lines by their
// number, search, marks and folds, the minimap, selecting and copying, what is done by hand. It wires these parts to the
// element; each of them thinks for itself.

import './terminal.js';
import { Hands } from './hands.js';
import { Highlights, rangeOf } from './highlights.js';
import { Outputs } from './http.js';
import { Marks } from './marks.js';
import { Minimap } from './minimap.js';
import { nearest, number, placeOf, plural } from './places.js';
import { Ranges } from './ranges.js';
import { written } from './raw.js';
import { Search } from './search.js';
import { Selection } from './select.js';
import { shown } from './sequences.js';
import { add, around, numbers } from './spans.js';
import { makeTools, press } from './tools.js';
import { duration } from './words.js';

/** @typedef {import('../livetask-log.js').LivetaskLog} LivetaskLog */
/** @typedef {import('./marks.js').Fold} Fold */

const SEARCH_AFTER_MS = 180;
const SEARCH_ON_MS = 500;
const ANNOUNCE_MS = 5000;
const MAP_MS = 200;
/** Of so many lines of stderr's a list of their own is made. */
const STDERR_MOST = 100_000;

export class Extras {
  /** @param {LivetaskLog} log */
  constructor(log) {
    this.log = log;
    this.outputs = this.outputsOf();
    this.ranges = this.rangesOf();
    this.search = new Search(() => this.found());
    this.marks = new Marks(() => this.marked(), () => Promise.all([this.search.going, this.ranges.quiet()]));
    this.tools = makeTools(log.frame);
    this.minimap = new Minimap(this.tools.map, (share) => log.view.show(share * log.feed.rows.count + log.view.fits / 3 - log.view.fits / 2));
    this.highlights = new Highlights();
    this.selection = new Selection(log, () => this.outputs, () => this.paint());
    /** @type {Map<number, Fold>} by the line of its heading */
    this.headings = new Map();
    /** @type {Set<number>} headings of groups that are folded */
    this.closed = new Set();
    this.only = false;
    this.level = '';
    this.searchTimer = 0;
    this.mapKey = 0;
    this.stepped = false;
    this.ends = { byte: 0, at: 0 };
    this.ending = new AbortController();
    this.announcer = 0;
    this.first = true;
    /** @type {import('./minimap.js').Layer[]} */
    this.layers = [];
    this.layersKey = '';
    this.layersAt = -Infinity;
    this.mapTimer = 0;
    this.hands = new Hands(log, this, this.ending.signal);
    this.listen();
    log.view.addEventListener('drawn', () => this.drawn(), { signal: this.ending.signal });
    this.opened();
  }

  close() {
    this.search.stop();
    this.marks.clear();
    this.marks.told(false);
    this.minimap.watcher.disconnect();
    this.highlights.clear();
    this.selection.close();
    this.ending.abort();
    for (const part of this.tools.all) part.remove();
    clearInterval(this.announcer);
    clearTimeout(this.mapTimer);
    this.ranges.stop();
  }

  // ---- its tools

  listen() {
    const { input, cased, regex, before, after, stop, picks, levels, foldAll, raw, announces } = this.tools;
    for (const button of [cased, regex]) button.onclick = () => this.pressed(button) && this.ask();
    input.oninput = () => this.askSoon();
    input.onkeydown = (event) => this.typed(event);
    before.onclick = () => this.go(-1);
    after.onclick = () => this.go(1);
    stop.onclick = () => this.search.cancel();
    picks.onclick = () => this.pick({ only: !this.only });
    levels.onchange = () => this.pick({ level: levels.value });
    foldAll.onclick = () => this.toggleAll();
    raw.onclick = () => this.pressed(raw) && this.log.view.refresh();
    announces.onclick = () => this.announce();
  }

  /** Turn a switch. @param {Element} button */
  pressed(button) {
    press(button, !isOn(button));
    return true;
  }

  /** @param {KeyboardEvent} event */
  typed(event) {
    if (event.key === 'Enter') this.go(event.shiftKey ? -1 : 1);
    else if (event.key === 'Escape') {
      if (this.search.state === 'busy') this.search.cancel();
      else this.leave();
    } else return;
    event.preventDefault();
  }

  /** @param {string} text @param {boolean} cased @param {boolean} regex */
  lookFor(text, cased, regex) {
    const { tools } = this;
    tools.input.value = text;
    press(tools.cased, cased);
    press(tools.regex, regex);
    this.ask();
  }

  openSearch() {
    this.tools.input.focus();
    this.tools.input.select();
  }

  leave() {
    this.tools.input.value = '';
    this.ask();
    this.log.frame.scroller.focus();
  }

  // ---- another task or run is shown

  /** Another feed is shown. */
  turnTo() {
    this.ranges.stop();
    this.outputs = this.outputsOf();
    this.ranges = this.rangesOf();
  }

  outputsOf() {
    const { client, feed } = this.log;
    return new Outputs(client.base, feed.taskId, client.share);
  }

  rangesOf() {
    return new Ranges(this.log.feed, this.outputs, (change) => this.log.apply(change));
  }

  opened() {
    const { feed } = this.log;
    this.headings.clear();
    this.closed.clear();
    this.first = true;
    this.selection.clear();
    this.pick({ only: false, level: '' });
    this.search.clear();
    this.hands.opened(this.outputs);
    if (feed.run === null) return;
    this.marks.start(this.outputs, feed.run);
    this.ask();
  }

  /** The log has been drawn anew. */
  drawn() {
    const { feed, view } = this.log;
    const now = performance.now();
    if (feed.end.byte !== this.ends.byte && now - this.ends.at > SEARCH_ON_MS) {
      this.ends = { byte: feed.end.byte, at: now };
      this.search.goOn();
      this.marks.goOn();
    }
    // rows that were written again by lines further down may need those before them
    if (feed.lines.absorbed.length || feed.lines.live.clipped) this.want(Math.floor(view.top), Math.floor(view.top + view.fits));
    this.hands.describe();
    this.paint();
    this.drawMap();
  }

  /** Ask for the lines of rows that are shown. @param {number} from @param {number} to rows */
  want(from, to) {
    const { rows } = this.log.feed;
    const [first, last] = [from, to].map((row) => {
      const at = rows.at(row);
      return at && typeof at === 'object' && 'line' in at ? at.line : 0;
    });
    if (first) this.ranges.want(first, last || first);
  }

  // ---- search

  askSoon() {
    clearTimeout(this.searchTimer);
    this.searchTimer = setTimeout(() => this.ask(), SEARCH_AFTER_MS);
  }

  ask() {
    clearTimeout(this.searchTimer);
    const { feed } = this.log;
    const text = this.tools.input.value;
    this.stepped = false;
    if (!text || feed.run === null) this.search.stop();
    else this.search.start({ text, cased: isOn(this.tools.cased), regex: isOn(this.tools.regex) }, this.outputs, feed.run);
    if (!text && this.only) this.pick({ only: false });
  }

  found() {
    const { search } = this;
    const { query, state, total, lines } = search;
    this.tools.step.hidden = query === null;
    this.tools.input.setAttribute('aria-invalid', String(state === 'failed'));
    this.tools.stop.hidden = state !== 'busy';
    if (query !== null && lines.length && !this.stepped) this.toNearest();
    this.tools.before.disabled = this.tools.after.disabled = this.tools.picks.disabled = !lines.length;
    this.say();
    if (total === 0 && state === 'done' && this.only) this.pick({ only: false });
    else if (this.only) this.pick({});
    this.mapKey++;
    this.log.view.refresh();
  }

  /** 17 of 1,204. */
  say() {
    const { search } = this;
    const at = search.ordinal(this.current);
    const busy = search.state === 'busy';
    const text = search.state === 'failed' ? search.trouble : search.total || busy ? `${at ? number(at) : '–'} of ${number(search.total)}${busy ? '…' : ''}` : 'no match';
    if (this.tools.count.textContent !== text) this.tools.count.textContent = text;
    this.tools.count.title = `${plural(search.searched, 'line')} searched${search.gaps ? '; some are not kept any more' : ''}${search.trouble && `; ${search.trouble}`}`;
  }

  /** The line that is marked, else the first one that is seen. */
  get current() {
    return this.log.marks?.[0] ?? this.lineAt(this.log.view.top);
  }

  /** The line that stands at a row, or at the last one above that holds a line; 1 at least. @param {number} row */
  lineAt(row) {
    const { rows } = this.log.feed;
    for (let i = Math.floor(row); i >= 0; i--) {
      const at = rows.at(i);
      if (at && typeof at === 'object') return 'line' in at ? at.line : at.gap.to.line;
      if (at === null) i = Math.min(i, rows.count);
    }
    return 1;
  }

  /** The first match is shown when it has been found, if none is seen. */
  toNearest() {
    this.stepped = true;
    const { lines } = this.search;
    const { view } = this.log;
    const [top, bottom] = [this.lineAt(view.top), this.lineAt(view.top + view.fits)];
    const seen = lines[placeOf(lines, top)] ?? Infinity;
    if (seen > bottom) this.choose(nearest(lines, top - 1, 1));
  }

  /** @param {1 | -1} way */
  go(way) {
    const line = nearest(this.search.lines, this.current, way);
    if (line) this.choose(line);
    this.say();
  }

  /** To an error, as soon as one is known. @param {1 | -1} way @returns {Promise<boolean>} whether there is one */
  async goToError(way) {
    for (;;) {
      const line = nearest(this.marks.errors, this.current, way);
      if (line) this.choose(line);
      if (line || !(await this.marks.more())) return line > 0;
    }
  }

  /** @param {number} line */
  choose(line) {
    this.reveal(line);
    this.hands.choose([line, line]);
  }

  /** Show some lines only. @param {{ only?: boolean, level?: string }} change */
  pick({ only = this.only, level = this.level }) {
    const { log, marks } = this;
    const was = log.feed.picked !== null;
    this.only = only && this.search.lines.length > 0;
    this.level = level;
    press(this.tools.picks, this.only);
    this.tools.levels.value = level;
    /** @type {number[] | null} */
    let lines = null;
    if (level) lines = level === 'stderr' ? numbers(marks.stderr, STDERR_MOST) : level === 'error' ? marks.errors : union(marks.errors, marks.warnings);
    if (this.only) {
      const found = new Set(this.search.lines);
      lines = lines?.filter((line) => found.has(line)) ?? this.search.lines;
    }
    if (!was && !lines) return;
    const at = this.current;
    log.apply(() => {
      log.feed.picked = lines && [...lines];
      log.feed.rebuild();
    });
    if (was !== (lines !== null) && !log.view.following) log.view.show(log.feed.rows.rowOf(at));
  }

  // ---- marks and folds

  marked() {
    const { marks, log } = this;
    this.headings = new Map(marks.folds.map((fold) => [fold.from, fold]));
    if (this.first && marks.complete) {
      // what had ended before it was opened is folded, unless it holds an error
      for (const fold of marks.folds) if (fold.to !== Infinity && !holds(marks.errors, fold)) this.closed.add(fold.from);
      this.first = false;
    }
    this.tools.foldAll.hidden = marks.folds.length === 0;
    this.tools.levels.hidden = !marks.errors.length && !marks.warnings.length && !marks.stderr.length;
    this.mapKey++;
    if (this.level) this.pick({});
    this.fold();
    log.tell('livetask-marks', { errors: marks.errors.length, warnings: marks.warnings.length, groups: marks.folds.length, firstError: marks.errors[0] ?? null });
  }

  /** Take the lines of folded groups out of the rows. */
  fold() {
    const { log } = this;
    /** @type {import('./spans.js').Span[]} */
    const hidden = [];
    for (const { from, to } of this.marks.folds) {
      const last = Math.min(to, log.feed.finished);
      if (this.closed.has(from) && last > from) add(hidden, from + 1, last);
    }
    press(this.tools.foldAll, this.closed.size > 0);
    log.apply(() => {
      log.feed.folded = hidden;
      log.feed.rebuild();
    });
  }

  /** @param {number} line that shall have a row */
  reveal(line) {
    const closed = this.closed.size;
    for (const { from, to } of this.marks.folds) if (from < line && line <= to) this.closed.delete(from);
    if (closed !== this.closed.size) this.fold();
    const { picked } = this.log.feed;
    if (picked && picked[placeOf(picked, line)] !== line) this.pick({ only: false, level: '' });
  }

  /** @param {number} line of a heading */
  toggle(line) {
    const opened = this.closed.delete(line);
    if (!opened) this.closed.add(line);
    this.fold();
    // what was in it is wanted, and not the end that it moves away
    if (opened) this.log.view.letGo();
  }

  toggleAll() {
    if (this.closed.size) this.closed.clear();
    else for (const { from } of this.marks.folds) this.closed.add(from);
    this.fold();
  }

  /** What a line is besides its text. @param {import('./view.js').Item} item @returns {import('./view.js').Item} */
  dressed(item) {
    const line = item.number ?? 0;
    const { errors, warnings, stderr } = this.marks;
    if (errors[placeOf(errors, line)] === line) item.tone = 'error';
    else if (warnings[placeOf(warnings, line)] === line) item.tone = 'warning';
    else if (around(stderr, line)) item.tone = 'stderr';
    if (item.line && isOn(this.tools.raw)) item.runs = written(item.line.text);
    const fold = this.headings.get(line);
    if (fold && item.line) {
      const last = Math.min(fold.to, this.log.feed.finished);
      const took = fold.to === Infinity ? 'not ended' : fold.tookMs === null ? '' : duration(fold.tookMs);
      item.fold = { open: !this.closed.has(line), text: `${plural(Math.max(0, last - line - (fold.to === Infinity ? 0 : 1)), 'line')}${took ? ` · ${took}` : ''}` };
      item.text = shown(item.line.text).includes(fold.title) && !shown(item.line.text).includes('::group::') ? '' : fold.title;
    }
    return item;
  }

  // ---- painting

  paint() {
    const { search, highlights, log } = this;
    /** @type {Range[]} */
    const matches = [];
    /** @type {Range[]} */
    const chosen = [];
    for (const { item, text } of log.view.painted()) {
      if (item.kind !== 'line' || !item.line) continue;
      const line = item.number ?? 0;
      const into = log.marks?.[0] === line ? chosen : matches;
      for (const [from, to] of search.query ? this.columns(line, item.line.text, text.textContent ?? '') : []) into.push(rangeOf(text, from, to));
    }
    highlights.set('livetask-match', matches);
    highlights.set('livetask-chosen', chosen);
    highlights.set('livetask-selected', this.selection.ranges());
  }

  /** Where the matches of a line are in what its row shows. @param {number} line @param {string} raw @param {string} text @returns {[number, number][]} */
  columns(line, raw, text) {
    const { query, lines } = this.search;
    if (!query || lines[placeOf(lines, line)] !== line) return [];
    // the server's columns hold where the row shows the line as it was written
    const same = !isOn(this.tools.raw) && !/[\r\b]|\x1b\[[0-9;]*[A-HJKPX@]/.test(raw);
    const known = same ? this.search.of(line) : [];
    if (known.length) return known.filter(([, from, to]) => from < to && from < text.length).map(([, from, to]) => [from, to]);
    if (query.regex) return [];
    /** @type {[number, number][]} */
    const found = [];
    const [all, part] = query.cased ? [text, query.text] : [text.toLowerCase(), query.text.toLowerCase()];
    for (let at = all.indexOf(part); at >= 0 && found.length < 100; at = all.indexOf(part, at + part.length)) found.push([at, at + part.length]);
    return found;
  }

  drawMap() {
    const { rows } = this.log.feed;
    const key = `${this.mapKey}/${rows.last}/${this.closed.size}/${this.only}${this.level}`;
    const now = performance.now();
    // while lines come all the time, now and then is enough
    const due = now - this.layersAt > MAP_MS;
    if (due || !this.log.view.following) this.layersAt = now;
    if (!due && this.log.view.following) {
      this.drawMapLater();
      return;
    }
    if (key !== this.layersKey) {
      this.layersKey = key;
      const of = (/** @type {number[]} */ lines) => lines.map((line) => rows.rowOf(line));
      this.layers = [
        { colour: '--map-group', rows: of(this.marks.folds.map((fold) => fold.from)), to: 0.4 },
        { colour: '--map-warning', rows: of(this.marks.warnings), to: 0.5 },
        { colour: '--map-error', rows: of(this.marks.errors), to: 0.5 },
        { colour: '--map-match', rows: of(this.search.lines), from: 0.5 },
      ];
    }
    this.minimap.draw(rows.count, this.log.view.top, this.log.view.fits, this.layers, this.layersKey);
  }

  drawMapLater() {
    this.mapTimer ||= setTimeout(() => {
      this.mapTimer = 0;
      this.drawMap();
    }, MAP_MS);
  }

  // ---- for those who do not see

  announce() {
    this.pressed(this.tools.announces);
    clearInterval(this.announcer);
    if (!isOn(this.tools.announces)) return;
    let [lines, errors] = [this.log.feed.finished, this.marks.errors.length];
    this.announcer = setInterval(() => {
      const { finished } = this.log.feed;
      if (finished === lines) return;
      const more = this.marks.errors.length - errors;
      const last = shown(this.log.feed.line(finished)?.text ?? '').slice(0, 200);
      this.tools.spoken.textContent = `${plural(finished - lines, 'new line')}${more > 0 ? `, ${plural(more, 'error')}` : ''}. ${last}`;
      [lines, errors] = [finished, this.marks.errors.length];
    }, ANNOUNCE_MS);
  }

  escape() {
    this.selection.clear();
    if (this.search.state === 'busy') this.search.cancel();
    else if (this.search.query) this.leave();
    else if (this.log.marks) this.hands.mark(null);
  }
}

/** @param {Element} button */
function isOn(button) {
  return button.getAttribute('aria-pressed') === 'true';
}

/** @param {number[]} lines @param {Fold} fold */
function holds(lines, { from, to }) {
  return (lines[placeOf(lines, from)] ?? Infinity) <= to;
}

/** @param {number[]} a @param {number[]} b */
function union(a, b) {
  return [...new Set([...a, ...b])].sort((x, y) => x - y);
}
