// The task page: everything around the log. It learns of the task from the log element, which follows it anyway.

import { clientOf } from '../log/client.js';
import { press } from '../log/tools.js';
import { cancel, firstError, page, rerun } from './api.js';
import { byId, notice, pageOf, trying, wired, write } from './elements.js';
import { lastShown } from './kept.js';
import { TaskHead } from './task-head.js';
import { nameOf } from './named.js';
import { offerSharing } from './share-link.js';
import { ask, offerHelp, showLink } from './shell.js';
import { Teller } from './tell.js';
import { Tree } from './tree.js';
import { canRepeat, underWay } from './time.js';

/** @typedef {import('../livetask-log.js').LivetaskLog} LivetaskLog */
/** @typedef {Record<string, any>} Task */

const client = clientOf();
const log = /** @type {LivetaskLog} */ (byId('log'));
const taskId = byId('head').dataset.taskId ?? '';
const cancelButton = wired(document, '#cancel', askToCancel);
const againButton = wired(document, '#again', runAgain);
const tellButton = wired(document, '#tell', tell);
const head = new TaskHead(chooseRun, openFirstError);
const teller = new Teller();
const tree = new Tree(byId('tree'), client, { here: taskId, changed: showFlow });
/** @type {Task | null} */
let task = null;
/** Why it cannot be stopped, as it was told last. */
let shownNote = '';

/** @param {Task} told */
function show(told) {
  task = told;
  cancelButton.hidden = !underWay(told) || Boolean(told.stopping_at);
  againButton.hidden = !canRepeat(told);
  const note = underWay(told) ? told.stopping_note ?? '' : '';
  if (note !== shownNote) notice(note);
  shownNote = note;
  document.title = `${mark(told.state)}${told.name ? nameOf(told) : told.id} · livetask`;
  teller.heard(told);
  teller.mark();
  tellButton.hidden = !underWay(told);
  press(tellButton, teller.all || teller.chosen.has(told.id));
  head.show(told, log.shownRun, client.now());
  tree.follow(told.root_id ?? told.id);
}

/** Show the workflow, if there is more than this task in it. */
function showFlow() {
  const flow = byId('flow');
  flow.hidden = tree.total < 2;
  const done = [...tree.tasks.values()].filter((other) => !underWay(other)).length;
  const text = `Workflow: ${tree.total} tasks, ${done} ended`;
  const summary = /** @type {HTMLElement} */ (flow.firstElementChild);
  write(summary, text);
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
  const { id } = task;
  await trying(() => cancel(id));
}

async function runAgain() {
  if (!task || !canRepeat(task) || !(await ask('Run this task again, as a new one?', 'Run again'))) return;
  const { id } = task;
  againButton.disabled = true;
  await trying(async () => location.assign(pageOf(await rerun(id))));
  againButton.disabled = false;
}

async function openFirstError() {
  if (!task) return;
  const { id } = task;
  await trying(async () => {
    const line = await firstError(id, log.shownRun ?? 'last');
    if (line === null) return notice(byId('failure').dataset.none ?? '');
    log.following = false;
    log.jump(line);
    log.scrollIntoView({ block: 'nearest' });
  });
}

async function tell() {
  if (!task || !underWay(task)) return;
  notice(await teller.toggle(task.id));
  show(task);
}

/** Go to the next task of the list that was shown last, or of the newest ones. @param {number} by */
async function goOther(by) {
  let ids = lastShown();
  if (!ids.includes(taskId)) ids = (await page({ sort: 'newest', limit: '500' }).catch(() => ({ tasks: [] }))).tasks.map(({ id }) => id);
  const at = ids.indexOf(taskId);
  const id = at < 0 ? undefined : ids[at + by];
  if (id) location.assign(pageOf(id));
  else notice(byId(by > 0 ? 'after' : 'before').dataset.none ?? '');
}

log.addEventListener('livetask-task', (event) => show(/** @type {CustomEvent} */ (event).detail));
log.addEventListener('livetask-run', () => task && show(task));
wired(document, '#before', () => goOther(-1));
wired(document, '#after', () => goOther(1));
const id = wired(document, '#copy-id', () => navigator.clipboard?.writeText(id.textContent ?? ''));
setInterval(() => task && head.tick(task, client.now()), 500);

offerHelp();
offerSharing(taskId);
showLink(client);
// it may have heard of the task before this module was there
if (log.feed.task) show(log.feed.task);
