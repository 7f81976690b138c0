// The head of the task page: state, facts, runs, what went wrong, arguments and result. DOM only.

import { make } from '../log/frame.js';
import { plural } from '../log/places.js';
import { press } from '../log/tools.js';
import { duration, fate } from '../log/words.js';
import { button, byId, contentOf, one, pageOf, showState, wired, write } from './elements.js';
import { nameOf, plain } from './named.js';
import { Pace } from './pace.js';
import { ProgressBar } from './progress.js';
import { parts } from './traceback.js';
import { ago, clock, stateOf, tookOf, underWay } from './time.js';

/** @typedef {Record<string, any>} Task */

export class TaskHead {
  /** @param {(run: number) => void} choose a run was chosen @param {() => void} openError the first error is wanted */
  constructor(choose, openError) {
    this.choose = choose;
    this.openError = openError;
    this.pace = new Pace();
    this.progress = new ProgressBar(byId('progress'));
    /** What was drawn last, by part, so that what has not changed is left alone. @type {Map<string, string>} */
    this.drawn = new Map();
  }

  /** @param {Task} task @param {number | null} shownRun @param {number} now */
  show(task, shownRun, now) {
    const state = byId('state');
    showState(state, stateOf(task));
    state.title = task.stopping_note ?? '';
    byId('name').textContent = nameOf(task);
    byId('progress').dataset.state = task.state;
    // a bar that stands at 99 % beside SUCCESS says nothing
    this.progress.show(task.state === 'SUCCESS' ? null : task.progress);
    this.tick(task, now);
    const run = task.runs?.find((/** @type {Task} */ item) => item.run === shownRun) ?? task.runs?.at(-1);
    this.part('facts', [stopOf(task), task.rerun_of, task.reruns, task.worker, task.queue, task.queued_at, task.began_at, task.ended_at, task.root_id, run?.host, run?.pid], (element) => this.facts(element, task, run, now));
    this.part('runs', [task.runs?.map((/** @type {Task} */ item) => [item.run, item.how]), shownRun], (element) => this.runs(element, task, shownRun));
    this.part('failure', [run?.run, run?.how, run?.detail], (element) => this.failure(element, run));
    this.part('values', [task.args, task.kwargs, task.result], (element) => this.values(element, task));
  }

  /** @param {Task} task @param {number} now */
  tick(task, now) {
    const took = byId('took');
    const text = tookOf(task, now);
    write(took, text);
    this.progress.left(underWay(task) ? this.pace.left(task.progress, now, task.began_at) : null);
  }

  /** @param {string} id @param {unknown} content what it depends on @param {(element: HTMLElement) => void} fill */
  part(id, content, fill) {
    const key = JSON.stringify(content);
    if (this.drawn.get(id) === key) return;
    this.drawn.set(id, key);
    fill(byId(id));
  }

  /** @param {HTMLElement} element @param {Task} task @param {Task | undefined} run @param {number} now */
  facts(element, task, run, now) {
    /** @type {[string, string, string][]} */
    const facts = [];
    const worker = run?.worker ?? task.worker;
    if (worker) facts.push(['worker', worker, [run?.host, run?.pid && `process ${run.pid}`].filter(Boolean).join(', ')]);
    if (task.queue) facts.push(['queue', task.queue, '']);
    if (task.queued_at) facts.push(['queued', clock(task.queued_at, now), ago(task.queued_at)]);
    if (task.queued_at && task.began_at >= task.queued_at) facts.push(['waited', duration(task.began_at - task.queued_at), 'from queued to started']);
    if (task.began_at) facts.push(['started', clock(task.began_at, now), ago(task.began_at)]);
    if (task.ended_at && !underWay(task)) facts.push(['ended', clock(task.ended_at, now), ago(task.ended_at)]);
    const stop = stopOf(task);
    if (stop.at) facts.push([stop.word, clock(stop.at, now), [stop.by && `by ${stop.by}`, stop.note].filter(Boolean).join(': ')]);
    element.replaceChildren(...facts.map(([name, value, title]) => fact(name, title, plain(value))));
    if (task.root_id && task.root_id !== task.id) {
      // a group that no task has sent has no page of its own
      const [, group] = /^group:(.*)/.exec(task.root_id) ?? [];
      const link = make('a', { href: group ? `${pageOf(task.id)}/workflow` : pageOf(task.root_id) }, (group ?? task.root_id).slice(0, 8));
      element.append(fact(group ? 'group' : 'started by', '', link));
    }
    if (task.rerun_of) element.append(fact('repeats', '', ...linked([task.rerun_of])));
    if (task.reruns?.length) element.append(fact('run again', '', ...linked(task.reruns)));
  }

  /** @param {HTMLElement} element @param {Task} task @param {number | null} shownRun */
  runs(element, task, shownRun) {
    element.hidden = (task.runs?.length ?? 0) < 2;
    const buttons = (task.runs ?? []).map((/** @type {Task} */ run) => {
      const took = run.begun_at && run.ended_at ? ` ${duration(run.ended_at - run.begun_at)}` : '';
      const how = make('span', { class: 'how', 'data-state': run.how ?? 'RUNNING' }, (run.how ? run.how.toLowerCase() : 'running') + took);
      const tab = button(`Run ${run.run}`, '', () => this.choose(run.run));
      tab.append(make('span', { class: 'why' }, run.why === 'redelivered' ? 'delivered again' : run.why ?? ''), how);
      press(tab, run.run === shownRun);
      tab.title = run.how ? fate(run.how, run.detail) : 'running';
      return tab;
    });
    element.replaceChildren(...buttons);
  }

  /** @param {HTMLElement} element @param {Task | undefined} run */
  failure(element, run) {
    const bad = run?.how && ['FAILURE', 'KILLED', 'LOST', 'REJECTED', 'RETRY'].includes(run.how);
    element.hidden = !bad;
    if (!bad || !run) return;
    const { exception, traceback, ...rest } = run.detail ?? {};
    element.replaceChildren(contentOf('failed'));
    const what = one(element, 'strong');
    what.textContent = exception || fate(run.how, rest);
    what.classList.toggle('plain', !exception);
    one(element, '.reason').textContent = exception ? fate(run.how, rest) : '';
    wired(element, 'button', this.openError);
    const copy = wired(element, '.copy', async () => {
      await navigator.clipboard?.writeText(traceback);
      copy.textContent = 'Copied';
    });
    copy.hidden = one(element, 'details').hidden = !traceback;
    if (traceback) one(element, '.trace').append(...traced(String(traceback)));
  }

  /** @param {HTMLElement} element @param {Task} task */
  values(element, task) {
    const values = [['Arguments', task.args], ['Keyword arguments', task.kwargs], ['Result', task.result]]
      .filter(([, value]) => value && value !== '()' && value !== '{}' && value !== '[]');
    element.hidden = !values.length;
    const parts = values.flatMap(([title, value]) => [make('h2', {}, String(title)), make('pre', { tabindex: '0' }, String(value))]);
    element.lastElementChild?.replaceChildren(...parts);
  }
}

/** One's own frames as they are, those of libraries folded. @param {string} text */
function traced(text) {
  return parts(text).map(({ own, text: lines, frames, names }) => {
    const shown = make('pre', { class: own && frames ? 'own' : '' }, lines);
    if (own) return shown;
    return make('details', {}, make('summary', {}, `${plural(frames, 'frame')} of ${names.join(', ')}`), shown);
  });
}

/** Who wished that the task stops, and when; while it has not, and after. @param {Task} task */
function stopOf(task) {
  if (task.stopping_at) return { word: 'stopping', at: task.stopping_at, by: task.stopping_by, note: task.stopping_note };
  return { word: 'cancelled', at: task.revoked_at, by: task.revoked_by, note: null };
}

/** @param {string} term @param {string} title '' for none @param {...(Node | string)} what */
function fact(term, title, ...what) {
  return make('div', title ? { title } : {}, make('dt', {}, term), make('dd', {}, ...what));
}

/** @param {string[]} ids */
function linked(ids) {
  return ids.flatMap((id) => [make('a', { href: pageOf(id) }, id.slice(0, 8)), ' ']);
}
