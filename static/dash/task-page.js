// The task page: everything around the log. It learns of the task from the log element, which follows it anyway.

import { BASE } from '../base.js';
import { clientOf } from '../log/client.js';
import { bind } from '../log/keys.js';
import { cancel, rerun } from './api.js';
import { TaskHead } from './task-head.js';
import { ask, byId, notice, offerHelp, showLink } from './shell.js';
import { underWay } from './time.js';

/** @typedef {import('../livetask-log.js').LivetaskLog} LivetaskLog */
/** @typedef {Record<string, any>} Task */

const client = clientOf();
const log = /** @type {LivetaskLog} */ (byId('log'));
const cancelButton = /** @type {HTMLButtonElement} */ (byId('cancel'));
const againButton = /** @type {HTMLButtonElement} */ (byId('again'));
const head = new TaskHead(chooseRun);
/** @type {Task | null} */
let task = null;
/** Why it cannot be stopped, as it was told last. */
let shownNote = '';

/** @param {Task} told */
function show(told) {
  task = told;
  cancelButton.hidden = !underWay(told) || Boolean(told.stopping_at);
  againButton.hidden = underWay(told) || !told.can_rerun;
  const note = underWay(told) ? told.stopping_note ?? '' : '';
  if (note !== shownNote) notice(note);
  shownNote = note;
  document.title = `${mark(told.state)}${told.name ?? told.id} · livetask`;
  head.show(told, log.shownRun, client.now());
}

/** @param {string} state */
function mark(state) {
  if (state === 'SUCCESS') return '✓ ';
  return state === 'FAILURE' || state === 'LOST' ? '✕ ' : '';
}

/** Show one run; the latest goes on to the next by itself. @param {number} run */
function chooseRun(run) {
  const latest = task?.runs?.at(-1)?.run === run;
  const address = latest ? location.pathname : `?run=${run}`;
  history.replaceState(null, '', address);
  if (latest) log.removeAttribute('run');
  else log.setAttribute('run', String(run));
}

async function askToCancel() {
  if (!task || !underWay(task) || !(await ask('Cancel this task?', 'Cancel it'))) return;
  try {
    await cancel(task.id);
  } catch (error) {
    notice(error instanceof Error ? error.message : String(error), 'bad');
  }
}

async function runAgain() {
  if (!task || underWay(task)) return;
  againButton.disabled = true;
  try {
    location.assign(`${BASE}/tasks/${encodeURIComponent(await rerun(task.id))}`);
  } catch (error) {
    notice(error instanceof Error ? error.message : String(error), 'bad');
  }
  againButton.disabled = false;
}

log.addEventListener('livetask-task', (event) => show(/** @type {CustomEvent} */ (event).detail));
log.addEventListener('livetask-run', () => task && show(task));
cancelButton.addEventListener('click', askToCancel);
againButton.addEventListener('click', runAgain);
byId('copy-id').addEventListener('click', () => navigator.clipboard?.writeText(byId('copy-id').textContent ?? ''));
setInterval(() => task && head.tick(task, client.now()), 500);

bind([{ keys: 'c', does: 'cancel the task (asks first)', run: askToCancel }]);
offerHelp();
showLink(client);
// it may have heard of the task before this module was there
if (log.feed.task) show(log.feed.task);
