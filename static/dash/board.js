// The dashboard: every task on one page, live over one connection. It wires the list (thinking), the grid of cards and
// what is around it (DOM), and the client (network); what is chosen stands in the address.

import { clientOf } from '../log/client.js';
import { bind } from '../log/keys.js';
import { number } from '../log/places.js';
import { press } from '../log/tools.js';
import { cancel, page, rerun } from './api.js';
import { lookInArchive } from './archived.js';
import { emptyText } from './around.js';
import { Bulk } from './bulk.js';
import { byId, notice, trying, wired, write } from './elements.js';
import { FilterField } from './filter.js';
import { Grid } from './grid.js';
import { KeptIds, keep, keepShown, kept } from './kept.js';
import { ORDERS, TABS, TaskList } from './list.js';
import { nameOf } from './named.js';
import { ask, offerHelp, showLink } from './shell.js';
import { known, openStart } from './start.js';
import { Teller } from './tell.js';

/** @typedef {Record<string, any>} Task */

const AT_FIRST = 120;
const MORE = 120;
const AGAIN_MS = 1500;
const MOST_ASKED = 500;

const client = clientOf();
const list = new TaskList();
const pins = new KeptIds('pins', 50);
const teller = new Teller();
/** @type {import('./start.js').Startable[]} */
let tasksToStart = [];
let loaded = false;
let reachable = true;
let most = AT_FIRST;

const sort = /** @type {HTMLSelectElement} */ (byId('sort'));
const host = byId('cards');
const tabs = byId('tabs');
const empty = byId('empty');

const grid = new Grid(host, client, {
  arrange,
  chosen: (id) => ({ pinned: pins.has(id), told: teller.all || teller.chosen.has(id), selected: bulk.ids.has(id) }),
});
const bulk = new Bulk(client, {
  shown: () => list.shown(client.now()).slice(0, most),
  task: (id) => list.tasks.get(id),
  changed: () => grid.redraw(),
  done: () => select(false),
});
const filter = new FilterField(/** @type {HTMLInputElement} */ (byId('filter')), () => list.tasks.values(), (text) => choose({ text }));

// ---- what the server says

/** @type {import('../log/client.js').Follower | null} */
let watcher = null;

/** Ask for the list anew: what was asked for before does not count any more. */
function watch() {
  /** @type {import('../log/client.js').Follower} */
  const mine = {
    request: () => ({ ...list.request(), limit: Math.min(MOST_ASKED, Math.max(AT_FIRST, most)), also: [...new Set([...pins.ids, ...teller.chosen.ids])] }),
    answered: (answer) => mine === watcher && answered(answer),
    received: (event, message) => mine === watcher && received(event, message),
    linked: () => grid.refresh(true),
  };
  watcher = mine;
  client.watchers.clear();
  client.watch(mine);
}

/** @param {Task} answer */
function answered(answer) {
  const wrong = answer.field === 'q';
  filter.refuse(wrong ? String(answer.error) : '');
  reachable = answer.ok !== false || wrong;
  if (answer.ok === false) {
    if (!wrong) setTimeout(() => watcher && client.ask('watch', watcher, () => true), AGAIN_MS);
  } else {
    list.answered(answer, client.now());
    loaded = true;
    for (const task of list.tasks.values()) {
      teller.heard(task);
      grid.cards.get(task.id)?.update(task);
    }
  }
  grid.refresh(true);
}

/** @param {string} event @param {Task} message */
function received(event, message) {
  if (event === 'counts') list.counts = message.counts;
  if (event === 'unlisted') list.drop(message.task_id);
  if (event !== 'task' || !message.task) return grid.refresh(event !== 'task');
  const { task, listed } = message;
  const before = list.tasks.get(task.id);
  list.heard(task, listed);
  teller.heard(task);
  grid.cards.get(task.id)?.update(task);
  grid.refresh(before?.state !== task.state || before?.name !== task.name || listed === false);
}

// ---- what is shown

function arrange() {
  list.pinned = pins.ids;
  const shown = list.shown(client.now());
  drawTabs();
  drawAround(shown.length);
  bulk.show();
  return shown.slice(0, most);
}

function drawTabs() {
  TABS.forEach((tab, i) => {
    const shown = /** @type {HTMLElement} */ (tabs.children[i]);
    const count = list.countOf(tab.states);
    press(shown, tab.key === list.tab);
    const text = loaded ? number(count) : '';
    write(/** @type {HTMLElement} */ (shown.lastElementChild), text);
    shown.hidden = tab.key === 'retrying' && !count && list.tab !== tab.key;
  });
}

/** @param {number} count of tasks that can be shown */
function drawAround(count) {
  const out = client.link === 'refused';
  const away = out || client.link === 'reconnecting' || (client.link === 'live' && (!reachable || client.store === 'unreachable'));
  const { tone, server = '', store = '', login = '' } = byId('notice').dataset;
  if (away || tone === 'warn') notice(out ? login : away ? (client.link === 'reconnecting' ? server : store) : '', 'warn');
  more.hidden = !loaded || (count <= most && list.next === null);
  if (loaded) lookInArchive(list.text && `${list.text} ${list.tab && `state:${list.tab}`}`.trim(), count, (id) => list.tasks.has(id));
  empty.hidden = count > 0;
  if (count > 0) return;
  const kind = !loaded ? (away ? 'away' : 'loading') : list.text || list.tab ? 'nothing' : 'none';
  if (empty.dataset.kind === kind && kind !== 'none') return;
  empty.dataset.kind = kind;
  empty.replaceChildren(emptyText(kind, tasksToStart, () => choose({ tab: '', text: '' })));
}

/** Show another tab, filter or order, and say so in the address. @param {{ tab?: string, text?: string, order?: string }} wanted */
function choose({ tab = list.tab, text = filter.input.value, order = list.order }) {
  list.tab = TABS.some(({ key }) => key === tab) ? tab : '';
  list.text = text;
  list.order = order in ORDERS ? order : 'newest';
  most = AT_FIRST;
  if (filter.input.value !== text) filter.input.value = text;
  sort.value = list.order;
  const query = new URLSearchParams();
  if (list.tab) query.set('show', list.tab);
  if (list.text) query.set('q', list.text);
  if (list.order !== 'newest') query.set('sort', list.order);
  history.replaceState(null, '', query.size ? `?${query}` : location.pathname);
  watch();
  grid.refresh(true);
}

/** @param {boolean} compact */
function view(compact) {
  grid.look.compact = compact;
  keep('view', compact ? 'list' : 'grid');
  press(asGrid, !compact);
  press(asList, compact);
  grid.redraw();
}

/** @param {boolean} on */
function select(on) {
  grid.look.selecting = on;
  bulk.ids.clear();
  bulk.show();
  press(selects, on);
  if (on) byId('main').append(bulk.element);
  else bulk.element.remove();
  grid.redraw();
}

// ---- what people do

const more = wired(document, '#more', async () => {
  most += MORE;
  if (list.next !== null && list.shown(client.now()).length < most) {
    const after = list.next;
    more.disabled = true;
    await trying(async () => {
      const found = await page({ ...list.request(), limit: String(MORE), after });
      list.add(found, client.now());
      found.tasks.forEach((task) => teller.heard(task));
    });
    more.disabled = false;
  }
  grid.refresh(true);
});

/** @param {string | undefined} what @param {import('./card.js').Card} card */
async function act(what, card) {
  const { task } = card;
  const name = nameOf(task);
  if (what === 'pin') pins.toggle(task.id);
  if (what === 'tell') notice(await teller.toggle(task.id));
  if (what === 'pin' || what === 'tell') return grid.redraw();
  await trying(async () => {
    if (what === 'cancel' && (await ask(`Cancel ${name}?`, 'Cancel it'))) await cancel(task.id);
    if (what === 'again' && (await ask(`Run ${name} again, as a new task?`, 'Run again'))) await rerun(task.id);
  });
}

host.addEventListener('click', (event) => {
  const card = grid.at(event.target);
  if (!card || !(event.target instanceof Element)) return;
  const pressed = event.target.closest('button');
  if (pressed) return void act(pressed.dataset.does, card);
  if (!grid.look.selecting || (event.target.closest('a') && event.detail === 0)) return;
  // while tasks are selected, the whole card is its box
  if (event.target !== card.check) event.preventDefault();
  bulk.toggle(card.task.id);
  card.draw(client.now());
});

tabs.addEventListener('click', ({ target }) => {
  const tab = target instanceof Element ? target.closest('button') : null;
  if (tab) choose({ tab: tab.dataset.tab });
});
sort.addEventListener('change', () => choose({ order: sort.value }));
const asGrid = wired(document, '#as-grid', () => view(false));
const asList = wired(document, '#as-list', () => view(true));
const selects = wired(document, '#select', () => select(!grid.look.selecting));
const tellsAll = wired(document, '#tell-all', async () => {
  notice(await teller.toggleAll());
  showTelling();
  grid.redraw();
});
const startButton = wired(document, '#start', startOne);

function showTelling() {
  press(tellsAll, teller.all);
}

/** Workers come and go: what may be started is asked anew. */
async function startOne() {
  if (startButton.hidden) return;
  const tasks = await known();
  if (tasks.length) tasksToStart = tasks;
  if (!document.querySelector('dialog[open]')) openStart(tasksToStart);
}

/** What is done with the card that has the focus. @param {string} what */
const here = (what) => () => {
  const card = grid.at(document.activeElement);
  if (card) act(what, card);
};

bind([
  { keys: 'j', does: 'next task', run: () => grid.go(1) },
  { keys: 'k', does: 'task before', run: () => grid.go(-1) },
  { keys: 'v', does: 'cards or a list', run: () => view(!grid.look.compact) },
  { keys: 'x', does: 'select this task', run: selectHere },
  { keys: 'p', does: 'keep this task at the top', run: here('pin') },
  { keys: 'b', does: 'tell when this task ends', run: here('tell') },
  { keys: 'c', does: 'cancel this task (asks first)', run: here('cancel') },
  { keys: 'r', does: 'run this task again (asks first)', run: here('again') },
]);

function selectHere() {
  const card = grid.at(document.activeElement);
  if (!grid.look.selecting) select(true);
  if (!card) return;
  bulk.toggle(card.task.id);
  card.draw(client.now());
}

offerHelp();
showLink(client);

const query = new URLSearchParams(location.search);
// what was written before this module was there counts
choose({ tab: query.get('show') ?? '', text: filter.input.value || (query.get('q') ?? ''), order: query.get('sort') ?? '' });
view(kept('view') === 'list');
showTelling();
setInterval(() => grid.tick(), 500);
addEventListener('pagehide', () => keepShown(list.shown(client.now()).slice(0, most).map(({ id }) => id)));

async function learnWhatStarts() {
  tasksToStart = await known();
  startButton.hidden = !tasksToStart.length;
  grid.refresh(true);
}

// a worker may have come meanwhile
document.addEventListener('visibilitychange', () => !document.hidden && startButton.hidden && learnWhatStarts());
await learnWhatStarts();
