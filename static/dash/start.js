// The dialog that starts tasks: the mix of demo tasks with one button, or one task with its arguments.

import { BASE } from '../base.js';
import { make } from '../log/frame.js';
import { Refused } from '../log/http.js';
import { press } from '../log/tools.js';
import { start, startable } from './api.js';
import { written } from './calls.js';
import { byId, copyOf, one, pageOf, textOf, wired } from './elements.js';
import { show } from './shell.js';
import { TaskForm } from './task-form.js';

/** @typedef {import('./calls.js').Startable} Startable */

/** The demo tasks that may be started here. @param {Startable[]} tasks */
export function demoOf(tasks) {
  const mix = byId('start-dialog').dataset.demo?.split(' ') ?? [];
  return mix.map((name) => `demo.${name}`).filter((name) => tasks.some((task) => task.name === name));
}

/** Start all of them at once; what went wrong first, '' if nothing did. @param {string[]} names */
async function startMix(names) {
  const results = await Promise.allSettled(names.map((name) => start({ task_name: name })));
  const failed = results.find((result) => result.status === 'rejected');
  return failed?.status === 'rejected' ? textOf(failed.reason) : '';
}

/** Open the dialog. @param {Startable[]} tasks */
export function openStart(tasks) {
  const dialog = /** @type {HTMLDialogElement} */ (copyOf('start-dialog'));
  const form = one(dialog, 'form');
  const mix = one(form, '.demo');
  const demo = demoOf(tasks);
  one(mix, 'span').textContent = String(demo.length);
  offerDemo(mix, demo, (trouble) => {
    if (trouble) one(mix, 'p').textContent = trouble;
    else dialog.close();
  });
  const names = /** @type {HTMLSelectElement} */ (one(form, 'select'));
  names.append(...tasks.map((task) => make('option', { value: task.name }, task.name)));
  const about = one(form, '.about');
  const place = one(form, '.place');
  const wrong = one(form, '.wrong');
  const shown = new ShownCall(one(form, '.call'));
  const open = /** @type {HTMLButtonElement} */ (one(form, '.open'));
  const submit = /** @type {HTMLButtonElement} */ (one(form, '[type=submit]'));

  /** @type {TaskForm} */
  let fields;
  const choose = () => {
    const task = tasks.find(({ name }) => name === names.value) ?? tasks[0];
    fields = new TaskForm(task);
    describe(about, task);
    place.replaceChildren(fields.element);
    wrong.textContent = '';
    shown.show(fields.read().call);
  };
  names.addEventListener('change', choose);
  place.addEventListener('input', () => shown.show(fields.read().call));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    wrong.textContent = '';
    const { call, good } = fields.read(true);
    if (!good) return fields.focusWrong();
    const pressed = event.submitter === open ? open : submit;
    submit.disabled = open.disabled = true;
    try {
      const id = await start(call);
      if (pressed === open) location.assign(pageOf(id));
      dialog.close();
    } catch (error) {
      const text = textOf(error);
      if (!(error instanceof Refused && fields.refuse(error.field, text))) wrong.textContent = text;
    }
    submit.disabled = open.disabled = false;
  });
  choose();
  show(dialog);
  names.focus();
}

/** What is known of the task, beside its arguments. @param {HTMLElement} place @param {Startable} task */
function describe(place, task) {
  const { workers } = task;
  const who = workers.length > 3 ? `${workers.length} workers` : workers.join(', ');
  const facts = [workers.length ? `on ${who}` : '', task.queue ? `queue ${task.queue}` : '', task.rate_limit ? `at most ${task.rate_limit}` : ''];
  const line = make('p', { class: 'facts-line' }, facts.filter(Boolean).join(' · '));
  place.replaceChildren(...(task.doc ? [make('p', { class: 'doc' }, task.doc)] : []), line);
}

/** The call to copy, in one of several languages. */
class ShownCall {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.form = 'JSON';
    /** @type {import('./calls.js').Call | null} */
    this.call = null;
    this.text = one(element, 'code');
    const copy = wired(element, '.copy', async () => {
      await navigator.clipboard?.writeText(this.text.textContent ?? '');
      copy.textContent = 'Copied';
      setTimeout(() => (copy.textContent = 'Copy'), 1500);
    });
    this.tabs = /** @type {HTMLElement[]} */ ([...one(element, '.tabs').children]);
    for (const tab of this.tabs) tab.addEventListener('click', () => {
      this.form = tab.textContent ?? '';
      this.draw();
    });
  }

  /** @param {import('./calls.js').Call} call */
  show(call) {
    this.call = call;
    this.draw();
  }

  draw() {
    for (const tab of this.tabs) press(tab, tab.textContent === this.form);
    if (this.call) this.text.textContent = written(this.call, this.form, BASE);
  }
}

/** What offers to start them with one button; nothing if there are none. @param {HTMLElement} place @param {string[]} names @param {(trouble: string) => unknown} done */
export function offerDemo(place, names, done) {
  place.hidden = !names.length;
  const begin = wired(place, 'button', async () => {
    begin.disabled = true;
    const trouble = await startMix(names);
    begin.disabled = false;
    done(trouble);
  });
}

/** What may be started; nothing if the server does not say. @returns {Promise<Startable[]>} */
export function known() {
  return startable().catch(() => []);
}
