// What people do with the log by hand: its buttons and keys, the box for a line's number, clicks on numbers and on what is
// cut off, the address that names lines. It tells the element what is wanted; finding is for extras.js.

import { bind, bound } from './keys.js';
import { make } from './frame.js';
import { before } from './numbered.js';
import { hashOf, marked, number, plural } from './places.js';
import { press, tool } from './tools.js';
import { wholeLine } from './whole-line.js';
import { WholeLine } from './whole.js';

/** @typedef {import('../livetask-log.js').LivetaskLog} LivetaskLog */

export class Hands {
  /** @param {LivetaskLog} log @param {import('./extras.js').Extras} extras @param {AbortSignal} signal it is over */
  constructor(log, extras, signal) {
    this.log = log;
    this.extras = extras;
    this.signal = signal;
    this.tools = extras.tools;
    /** @type {WholeLine | null} */
    this.whole = null;
    this.listen();
    if (log.hasAttribute('hash-links')) addEventListener('hashchange', () => this.goToHash(), { signal });
    if (log.hasAttribute('keys')) this.bind();
  }

  listen() {
    const { log, signal } = this;
    const { follow, wrap, time, line, top, end, pill } = this.tools;
    const { scroller } = log.frame;
    follow.onclick = () => this.turnFollow();
    wrap.onclick = () => log.toggleAttribute('wrap');
    time.onclick = () => log.toggleAttribute('times');
    top.onclick = () => log.view.show(0);
    end.onclick = () => log.view.follow();
    pill.onclick = () => log.goOn();
    line.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') scroller.focus();
      if (event.key !== 'Enter') return;
      const wanted = marked(`#L${line.value.replace(/[\s,.]/g, '')}`);
      if (wanted) this.choose(wanted);
      line.value = '';
      scroller.focus();
    });
    scroller.addEventListener('click', (event) => this.clicked(event), { signal });
  }

  turnFollow() {
    this.log.following = !this.log.following;
  }

  /** Another run is shown. @param {import('./http.js').Outputs} outputs */
  opened(outputs) {
    const run = this.log.feed.run ?? 'last';
    this.tools.plain.href = outputs.address(run, '.txt?download=1&colour=0');
    this.tools.coloured.href = outputs.address(run, '.txt?download=1');
  }

  /** What the tools say of the log as it is now. */
  describe() {
    const { log, tools } = this;
    const { feed, view } = log;
    press(tools.follow, view.following);
    press(tools.wrap, view.wrap);
    press(tools.time, log.hasAttribute('times'));
    const { last } = feed.rows;
    const line = this.extras.lineAt(view.top + view.fits - 0.5);
    tools.where.textContent = last ? `line ${number(Math.min(line, last))} of ${number(last)}` : 'no lines';
    const fresh = feed.finished - log.newFrom;
    const offer = feed.offered !== null ? `Run ${feed.offered} has begun · show it` : `${plural(fresh, 'new line')} · follow (End)`;
    tools.pill.hidden = view.following || (fresh <= 0 && feed.offered === null);
    if (!tools.pill.hidden) tools.pill.textContent = offer;
  }

  // ---- rows

  /** @param {MouseEvent} event */
  clicked(event) {
    const [target] = event.composedPath();
    if (!(target instanceof HTMLElement)) return;
    const line = Number(target.closest('.row')?.getAttribute('data-line'));
    if (!line) return;
    if (target.closest('.more')) this.openWhole(line);
    if (target.closest('.heading :is(.fold, .about)')) this.extras.toggle(line);
    if (!target.closest('.no') || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const { marks } = this.log;
    const from = event.shiftKey && marks ? marks[0] : line;
    this.mark([Math.min(from, line), Math.max(from, line)]);
    this.log.view.letGo();
  }

  /** @param {[number, number] | null} lines null: none any more */
  mark(lines) {
    this.log.marks = lines;
    const address = lines ? hashOf(lines) : location.pathname + location.search;
    if (this.log.hasAttribute('hash-links')) history.replaceState(history.state, '', address);
    this.log.view.refresh();
  }

  /** @param {[number, number]} lines */
  choose(lines) {
    this.mark(lines);
    this.log.jump(...lines);
  }

  goToHash() {
    const lines = marked(location.hash);
    if (lines) this.log.jump(...lines);
  }

  /** @param {number} line */
  openWhole(line) {
    const { feed } = this.log;
    const { run } = feed;
    const { outputs } = this.extras;
    if (run === null) return;
    this.whole ??= new WholeLine(this.log);
    this.whole.open(line, (options) => wholeLine(outputs, run, line, before(feed, line), options));
  }

  // ---- keys

  /** Bind the keys on the whole page. */
  bind() {
    const { log, extras, signal } = this;
    const first = () => log.view.show(0);
    const last = () => log.goOn();
    const nearby = (/** @type {number} */ way) => {
      extras.choose(Math.max(1, Math.min(log.feed.rows.last, log.marks ? log.marks[0] + way : extras.current)));
    };
    const unbind = bind([
      { keys: 'f', does: 'follow the newest lines, or stop', run: () => this.turnFollow() },
      { keys: 'g g', does: 'first line', run: first },
      { keys: 'Home', does: 'first line', run: first },
      { keys: 'G', does: 'last line, and follow', run: last },
      { keys: 'End', does: 'last line, and follow', run: last },
      { keys: ':', does: 'jump to a line', run: () => this.tools.line.focus() },
      { keys: 'w', does: 'wrap long lines, or not', run: () => log.toggleAttribute('wrap') },
      { keys: 't', does: 'when each line was printed, or not', run: () => log.toggleAttribute('times') },
      { keys: '/', does: 'search the whole log', run: () => extras.openSearch() },
      { keys: 'n', does: 'next match', run: () => extras.go(1) },
      { keys: 'N', does: 'previous match', run: () => extras.go(-1) },
      { keys: 'e', does: 'next error', run: () => extras.goToError(1) },
      { keys: 'E', does: 'previous error', run: () => extras.goToError(-1) },
      { keys: 'j', does: 'next line', run: () => nearby(1) },
      { keys: 'k', does: 'previous line', run: () => nearby(-1) },
      { keys: 'z', does: 'fold or unfold all groups', run: () => extras.toggleAll() },
      { keys: 'y', does: 'copy the link to the marked lines', run: () => this.copyLink() },
      { keys: 'Escape', does: 'leave the search, the selection, the mark', run: () => extras.escape() },
    ]);
    // a page has a list of its own, and it may be bound later than this
    const left = () => bound.some((one) => one.keys === '?' && one !== help);
    const help = { keys: '?', does: 'this list', run: () => this.help(), left };
    const unbindHelp = bind([help]);
    // the first time it opens this search, the second time the browser's own
    document.addEventListener('keydown', (event) => {
      if (event.key !== 'f' || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      if (log.shadowRoot?.activeElement === this.tools.input) return;
      event.preventDefault();
      extras.openSearch();
    }, { signal });
    signal.addEventListener('abort', () => {
      unbind();
      unbindHelp();
    });
  }

  copyLink() {
    const url = new URL(location.href);
    url.hash = hashOf(this.log.marks ?? [this.extras.current, this.extras.current]);
    navigator.clipboard?.writeText(url.href);
  }

  help() {
    const list = make('dl', { class: 'keys' });
    for (const { keys, does } of bound) list.append(make('dt', {}, make('kbd', {}, keys)), make('dd', {}, does));
    const close = tool('Close', 'Close (Esc)');
    const dialog = make('dialog', { class: 'help', 'aria-label': 'Keys' }, make('h2', {}, 'Keys'), list, close);
    close.onclick = () => dialog.close();
    dialog.addEventListener('close', () => dialog.remove());
    this.log.shadowRoot?.append(dialog);
    dialog.showModal();
  }
}
