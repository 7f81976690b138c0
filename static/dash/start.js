// The dialog that starts tasks: the mix of demo tasks with one button, or one task with its arguments.

import { BASE } from '../base.js';
import { make } from '../log/frame.js';
import { Refused, start, startable } from './api.js';
import { FORMS, written } from './calls.js';
import { show } from './shell.js';
import { TaskForm } from './task-form.js';

const DEMO = ['hash_python', 'compile_stdlib', 'make_venv', 'train', 'fail', 'retry', 'segfault', 'flood'].map((name) => `demo.${name}`);

/** @typedef {import('./calls.js').Startable} Startable */

/** The demo tasks that may be started here. @param {Startable[]} tasks */
export function demoOf(tasks) {
  return DEMO.filter((name) => tasks.some((task) => task.name === name));
}

/**
 * Start all of them at once; how many were started, and what went wrong first.
 * @param {string[]} names
 * @returns {Promise<{ started: number, trouble: string }>}
 */
export async function startMix(names) {
  const results = await Promise.allSettled(names.map((name) => start({ task_name: name })));
  const failed = results.find((result) => result.status === 'rejected');
  const trouble = failed?.status === 'rejected' ? String(failed.reason?.message ?? failed.reason) : '';
  return { started: results.filter((result) => result.status === 'fulfilled').length, trouble };
}

/** Open the dialog. @param {Startable[]} tasks */
export function openStart(tasks) {
  const dialog = make('dialog', { class: 'sheet start', 'aria-label': 'Start a task' });
  const form = make('form', { method: 'dialog', novalidate: '' }, make('h2', {}, 'Start a task'));
  const demo = demoOf(tasks);
  if (demo.length) form.append(demoBlock(dialog, demo));
  const names = make('select', { id: 'start-task' }, ...tasks.map((task) => make('option', { value: task.name }, task.name)));
  const about = make('div', { class: 'about' });
  const place = make('div');
  const wrong = make('p', { class: 'wrong', role: 'alert' });
  const shown = new ShownCall();
  const close = make('button', { type: 'button', class: 'plain-button' }, 'Close');
  const open = make('button', { type: 'submit', class: 'plain-button' }, 'Start and open');
  const submit = make('button', { type: 'submit', class: 'primary' }, 'Start');
  // the first button of a form is the one that Enter presses: it stands before the others and is shown after them
  const buttons = make('div', { class: 'buttons reversed' }, submit, open, close);
  const choice = make('div', { class: 'field' }, make('label', { for: names.id }, 'Task'), names);
  form.append(choice, about, place, wrong, shown.element, buttons);
  dialog.append(form);

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
  close.addEventListener('click', () => dialog.close());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    wrong.textContent = '';
    const { call, good } = fields.read(true);
    if (!good) return fields.focusWrong();
    const pressed = event.submitter === open ? open : submit;
    submit.disabled = open.disabled = true;
    try {
      const id = await start(call);
      if (pressed === open) location.assign(`${BASE}/tasks/${encodeURIComponent(id)}`);
      dialog.close();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
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
  constructor() {
    this.form = FORMS[0];
    /** @type {import('./calls.js').Call | null} */
    this.call = null;
    this.text = make('code');
    const copy = make('button', { type: 'button', class: 'plain-button' }, 'Copy');
    copy.addEventListener('click', async () => {
      await navigator.clipboard?.writeText(this.text.textContent ?? '');
      copy.textContent = 'Copied';
      setTimeout(() => (copy.textContent = 'Copy'), 1500);
    });
    this.tabs = FORMS.map((form) => {
      const button = make('button', { type: 'button' }, form);
      button.addEventListener('click', () => {
        this.form = form;
        this.draw();
      });
      return button;
    });
    const tabs = make('div', { class: 'tabs', role: 'group', 'aria-label': 'The call as' }, ...this.tabs);
    this.element = make('details', { class: 'call' }, make('summary', {}, 'The same call as JSON, curl or Python'), make('div', { class: 'call-head' }, tabs, copy), make('pre', { tabindex: '0', 'aria-label': 'The call' }, this.text));
  }

  /** @param {import('./calls.js').Call} call */
  show(call) {
    this.call = call;
    this.draw();
  }

  draw() {
    for (const button of this.tabs) button.setAttribute('aria-pressed', String(button.textContent === this.form));
    if (this.call) this.text.textContent = written(this.call, this.form, BASE);
  }
}

/** @param {HTMLDialogElement} dialog @param {string[]} names */
function demoBlock(dialog, names) {
  const text = make('p', {}, `${names.length} tasks that do real work: hashing, compiling, installing, training, and some that go wrong.`);
  const button = make('button', { type: 'button', class: 'primary' }, 'Start the demo mix');
  button.addEventListener('click', async () => {
    button.disabled = true;
    const { trouble } = await startMix(names);
    button.disabled = false;
    if (trouble) text.textContent = trouble;
    else dialog.close();
  });
  return make('div', { class: 'demo' }, text, button);
}

/** What may be started; nothing if the server does not say. @returns {Promise<Startable[]>} */
export async function known() {
  try {
    return await startable();
  } catch {
    return [];
  }
}
