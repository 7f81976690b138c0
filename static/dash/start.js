// The dialog that starts tasks: the mix of demo tasks with one button, or one task with its arguments.

import { make } from '../log/frame.js';
import { start, startable } from './api.js';
import { show } from './shell.js';

const DEMO = ['hash_python', 'compile_stdlib', 'make_venv', 'train', 'fail', 'retry', 'segfault', 'flood'].map((name) => `demo.${name}`);

/** @typedef {{ name: string, doc: string }} Startable */

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
  const results = await Promise.allSettled(names.map((name) => start(name)));
  const failed = results.find((result) => result.status === 'rejected');
  const trouble = failed?.status === 'rejected' ? String(failed.reason?.message ?? failed.reason) : '';
  return { started: results.filter((result) => result.status === 'fulfilled').length, trouble };
}

/** Open the dialog. @param {Startable[]} tasks */
export function openStart(tasks) {
  const dialog = make('dialog', { class: 'sheet', 'aria-label': 'Start a task' });
  const form = make('form', { method: 'dialog' }, make('h2', {}, 'Start a task'));
  const demo = demoOf(tasks);
  if (demo.length) form.append(demoBlock(dialog, demo));
  const names = make('select', { name: 'task' }, ...tasks.map((task) => make('option', { value: task.name }, task.name)));
  const doc = make('p', { class: 'doc' });
  const args = make('input', { name: 'args', placeholder: '[]', spellcheck: 'false', autocomplete: 'off' });
  const kwargs = make('textarea', { name: 'kwargs', placeholder: '{}', rows: '3', spellcheck: 'false' });
  const wrong = make('p', { class: 'wrong', role: 'alert' });
  const close = make('button', { type: 'button', class: 'plain-button' }, 'Close');
  const submit = make('button', { type: 'submit', class: 'primary' }, 'Start');
  form.append(
    field('Task', names),
    doc,
    field('Arguments, a JSON list', args),
    field('Keyword arguments, a JSON object', kwargs),
    wrong,
    make('div', { class: 'buttons' }, close, submit),
  );
  dialog.append(form);
  const describe = () => (doc.textContent = tasks.find((task) => task.name === names.value)?.doc ?? '');
  names.addEventListener('change', describe);
  describe();
  close.addEventListener('click', () => dialog.close());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    wrong.textContent = '';
    submit.disabled = true;
    try {
      const list = parsed(args.value || '[]', 'Arguments');
      const named = parsed(kwargs.value || '{}', 'Keyword arguments');
      if (!Array.isArray(list)) throw new Error('Arguments: a JSON list is needed, for example [1, "two"]');
      if (named === null || typeof named !== 'object' || Array.isArray(named)) throw new Error('Keyword arguments: a JSON object is needed, for example {"count": 3}');
      await start(names.value, list, /** @type {Record<string, unknown>} */ (named));
      dialog.close();
    } catch (error) {
      wrong.textContent = error instanceof Error ? error.message : String(error);
    }
    submit.disabled = false;
  });
  show(dialog);
  names.focus();
}

/** @param {string} title @param {HTMLElement} control */
function field(title, control) {
  control.id = `start-${control.getAttribute('name')}`;
  return make('div', { class: 'field' }, make('label', { for: control.id }, title), control);
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

/** @param {string} text @param {string} what */
function parsed(text, what) {
  try {
    return /** @type {unknown} */ (JSON.parse(text));
  } catch {
    throw new Error(`${what}: this is not JSON`);
  }
}

/** What may be started; nothing if the server does not say. @returns {Promise<Startable[]>} */
export async function known() {
  try {
    return await startable();
  } catch {
    return [];
  }
}
