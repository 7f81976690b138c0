// The dashboard: every task on one page, live over one connection. It wires the list (thinking), the cards (DOM) and
// the client (network), and draws at most what one frame has time for.

import { clientOf } from '../log/client.js';
import { make } from '../log/frame.js';
import { bind } from '../log/keys.js';
import { number } from '../log/places.js';
import { cancel, page } from './api.js';
import { Card } from './card.js';
import { TABS, TaskList } from './list.js';
import { ask, byId, notice, offerHelp, showLink } from './shell.js';
import { demoOf, known, openStart, startMix } from './start.js';

/** @typedef {Record<string, any>} Task */

const FRAME_MS = 12;
const AT_FIRST = 120;
const MORE = 120;
const AGAIN_MS = 1500;

const client = clientOf();
const list = new TaskList();
/** @type {Map<string, Card>} */
const cards = new Map();
/** @type {import('./start.js').Startable[]} */
let tasksToStart = [];
let loaded = false;
let reachable = true;
let allLoaded = false;
let most = AT_FIRST;
let frame = 0;
let orderStale = true;

const filter = /** @type {HTMLInputElement} */ (byId('filter'));
const more = /** @type {HTMLButtonElement} */ (byId('more'));
const startButton = /** @type {HTMLButtonElement} */ (byId('start'));
const host = byId('cards');
const empty = byId('empty');

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) cards.get(/** @type {HTMLElement} */ (entry.target).dataset.taskId ?? '')?.setOnScreen(entry.isIntersecting);
}, { rootMargin: '120px' });

/** @type {import('../log/client.js').Follower} */
const watcher = { request: () => ({}), answered, received, linked: () => refresh(true) };

/** @param {Task} answer */
function answered(answer) {
  reachable = answer.ok !== false;
  if (reachable) {
    list.listed(answer);
    loaded = true;
    for (const task of list.tasks.values()) cards.get(task.id)?.update(task);
  } else setTimeout(() => client.ask('watch', watcher, () => true), AGAIN_MS);
  refresh(true);
}

/** @param {string} event @param {Task} message */
function received(event, message) {
  if (event === 'counts') list.counts = message.counts;
  if (event === 'counts') return refresh(true);
  if (event !== 'task' || !message.task) return;
  const before = list.tasks.get(message.task.id);
  list.put(message.task);
  cards.get(message.task.id)?.update(message.task);
  refresh(before?.state !== message.task.state || before?.name !== message.task.name);
}

/** @param {boolean} [order] which cards there are, and where, may have changed */
function refresh(order = false) {
  orderStale ||= order;
  frame ||= requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const until = performance.now() + FRAME_MS;
  if (orderStale) {
    orderStale = false;
    const shown = list.shown();
    arrange(shown.slice(0, most));
    drawTabs();
    drawAround(shown.length);
  }
  const now = client.now();
  for (const card of cards.values()) {
    if (!card.stale || !card.onScreen) continue;
    if (performance.now() > until) return refresh();
    card.draw(now);
  }
}

/** Put the cards in order; those that stay where they are are not touched. @param {Task[]} tasks */
function arrange(tasks) {
  const wanted = new Set(tasks.map((task) => task.id));
  for (const [id, card] of cards) if (!wanted.has(id)) removeCard(id, card);
  let next = host.firstElementChild;
  for (const task of tasks) {
    const card = cards.get(task.id) ?? addCard(task);
    if (card.element === next) next = next.nextElementSibling;
    else host.insertBefore(card.element, next);
  }
}

/** @param {Task} task */
function addCard(task) {
  const card = new Card(task, client, () => refresh());
  cards.set(task.id, card);
  seen.observe(card.element);
  card.draw(client.now());
  card.stale = true;
  return card;
}

/** @param {string} id @param {Card} card */
function removeCard(id, card) {
  seen.unobserve(card.element);
  card.setOnScreen(false);
  card.element.remove();
  cards.delete(id);
}

function drawTabs() {
  const tabs = byId('tabs');
  if (!tabs.childElementCount) {
    for (const tab of TABS) {
      const button = make('button', { type: 'button', 'data-tab': tab.key }, tab.title, make('span', { class: 'count' }));
      button.addEventListener('click', () => choose(tab.key, list.text));
      tabs.append(button);
    }
  }
  TABS.forEach((tab, i) => {
    const button = /** @type {HTMLElement} */ (tabs.children[i]);
    const count = list.countOf(tab.states);
    button.setAttribute('aria-pressed', String(tab.key === list.tab));
    const text = loaded ? number(count) : '';
    const label = /** @type {HTMLElement} */ (button.lastElementChild);
    if (label.textContent !== text) label.textContent = text;
    button.hidden = tab.key === 'retrying' && !count && list.tab !== tab.key;
  });
}

/** @param {number} count of tasks that match */
function drawAround(count) {
  const out = client.link === 'refused';
  const away = out || client.link === 'reconnecting' || (client.link === 'live' && (!reachable || client.store === 'unreachable'));
  const what = client.link === 'reconnecting' ? 'The server does not answer' : 'The store cannot be reached';
  notice(out ? 'Your login is over. Log in again to go on here.' : away ? `${what}. What is shown may be old; it goes on by itself.` : '', 'warn');
  const total = list.countOf([]);
  more.hidden = !loaded || (count <= most && (allLoaded || list.tasks.size >= total));
  empty.hidden = count > 0;
  if (count > 0) return;
  const kind = !loaded ? (away ? 'away' : 'loading') : list.tasks.size ? 'nothing' : 'none';
  if (empty.dataset.kind === kind && kind !== 'none') return;
  empty.dataset.kind = kind;
  empty.replaceChildren(...emptyText(kind));
}

/** @param {string} kind @returns {(Node | string)[]} */
function emptyText(kind) {
  if (kind === 'loading') return [make('p', {}, 'Loading …')];
  if (kind === 'away') return [make('p', {}, 'No tasks to show yet.')];
  if (kind === 'nothing') {
    const all = make('button', { type: 'button', class: 'plain-button' }, 'Show all tasks');
    all.addEventListener('click', () => choose('', ''));
    return [make('h2', {}, 'No task matches'), make('div', { class: 'row' }, all)];
  }
  const demo = demoOf(tasksToStart);
  const row = make('div', { class: 'row' });
  if (demo.length) {
    const button = make('button', { type: 'button', class: 'primary' }, 'Start the demo mix');
    button.addEventListener('click', async () => {
      button.disabled = true;
      const { trouble } = await startMix(demo);
      button.disabled = false;
      if (trouble) notice(trouble, 'bad');
    });
    row.append(button);
  }
  return [
    make('h2', {}, 'No tasks yet'),
    make('p', {}, 'Every task of a worker that runs with ', make('code', {}, '-I livetask.worker'), ' shows up here by itself, with its output, while it runs.'),
    row,
  ];
}

/** Show another tab or filter, and say so in the address. @param {string} tab @param {string} text */
function choose(tab, text) {
  list.tab = TABS.some((known) => known.key === tab) ? tab : '';
  list.text = text;
  most = AT_FIRST;
  if (filter.value !== text) filter.value = text;
  const query = new URLSearchParams();
  if (list.tab) query.set('show', list.tab);
  if (list.text) query.set('q', list.text);
  const address = query.size ? `?${query}` : location.pathname;
  history.replaceState(null, '', address);
  refresh(true);
}

more.addEventListener('click', async () => {
  most += MORE;
  if (list.next !== null && list.tasks.size < list.countOf([])) {
    more.disabled = true;
    try {
      const { tasks, next } = await page({ sort: 'newest', after: list.next });
      allLoaded = next === null;
      list.next = next;
      list.add(tasks);
    } catch (error) {
      notice(error instanceof Error ? error.message : String(error), 'bad');
    }
    more.disabled = false;
  }
  refresh(true);
});

host.addEventListener('click', async (event) => {
  const button = event.target instanceof Element ? event.target.closest('.cancel') : null;
  const task = list.tasks.get(/** @type {HTMLElement | null} */ (button?.closest('.card') ?? null)?.dataset.taskId ?? '');
  if (!task || !(await ask(`Cancel ${task.name ?? 'this task'}?`, 'Cancel it'))) return;
  try {
    await cancel(task.id);
  } catch (error) {
    notice(error instanceof Error ? error.message : String(error), 'bad');
  }
});

filter.addEventListener('input', () => choose(list.tab, filter.value));
filter.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  if (filter.value) choose(list.tab, '');
  else filter.blur();
});
startButton.addEventListener('click', startOne);

/** Workers come and go: what may be started is asked anew. */
async function startOne() {
  const tasks = await known();
  if (tasks.length) tasksToStart = tasks;
  if (!document.querySelector('dialog[open]')) openStart(tasksToStart);
}

bind([
  { keys: '/', does: 'filter the tasks', run: () => filter.focus() },
  { keys: 'n', does: 'start tasks', run: () => void (startButton.hidden || startOne()) },
]);
offerHelp();
showLink(client);

const query = new URLSearchParams(location.search);
choose(query.get('show') ?? '', query.get('q') ?? '');
client.watch(watcher);
setInterval(() => {
  const now = client.now();
  for (const card of cards.values()) if (card.onScreen) card.tick(now);
}, 500);

async function learnWhatStarts() {
  tasksToStart = await known();
  startButton.hidden = !tasksToStart.length;
  refresh(true);
}

// a worker may have come meanwhile
document.addEventListener('visibilitychange', () => !document.hidden && startButton.hidden && learnWhatStarts());
await learnWhatStarts();
