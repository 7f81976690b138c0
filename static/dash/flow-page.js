// The page of a workflow: its tasks as a tree, and their logs as one. The server merges; each line says whose it is.
// Of each task every line comes once and in order; between tasks they stand by the time at which a worker read them.

import { closing, resolved } from '../log/ansi.js';
import { clientOf } from '../log/client.js';
import { make } from '../log/frame.js';
import { paint } from '../log/paint.js';
import { number, plural, position } from '../log/places.js';
import { PLAIN, styled } from '../log/style.js';
import { press } from '../log/tools.js';
import { gapText } from '../log/words.js';
import { mergedLog } from './api.js';
import { byId, notice, pageOf, textOf, wired } from './elements.js';
import { plain } from './named.js';
import { offerHelp, showLink } from './shell.js';
import { underWay } from './time.js';
import { Tree, inkOf } from './tree.js';

/** @typedef {Record<string, any>} Message */

const MOST_ROWS = 5000;
const MOST_SHOWN = 2000;
const AGAIN_MS = 1000;
const client = clientOf();
const host = byId('merged');
const taskId = byId('head').dataset.taskId ?? '';
const followButton = wired(document, '#follow', () => follow(!following));
/** @type {Set<string>} tasks whose rows stand under their ids as yet */
const unnamed = new Set();
let following = true;
let after = '';
let lines = 0;
let ended = false;

/** The line that each task is in the middle of: its row, its text, and the style it began with. @type {Map<string, { row: HTMLElement, text: string, opening: import('../log/style.js').Style }>} */
const open = new Map();

/** @param {Message} piece */
function add(piece) {
  if (piece.reason) {
    open.delete(piece.task_id);
    const [from, to] = [position(piece.from), position(piece.to)];
    if (from && to) append(piece.task_id, 0).append(gapText({ from, to, reason: piece.reason, bare: false }));
    return;
  }
  const first = position(piece.from)?.line ?? 1;
  const parts = String(piece.text).split('\n');
  parts.forEach((text, i) => {
    const last = i === parts.length - 1;
    if (last && !text) return;
    let line = open.get(piece.task_id);
    if (!line || (i === 0 && !line.row.isConnected)) {
      line = { row: append(piece.task_id, first + i), text: '', opening: i === 0 && piece.sgr ? styled(PLAIN, piece.sgr) : styleOf(piece.task_id) };
    }
    line.text += text;
    paint(/** @type {HTMLElement} */ (line.row.lastElementChild), resolved(line.text.slice(0, 4 * MOST_SHOWN), line.opening).runs, MOST_SHOWN);
    if (last) open.set(piece.task_id, line);
    else {
      open.delete(piece.task_id);
      styles.set(piece.task_id, closing(line.text, line.opening));
      lines++;
    }
  });
}

/** The style that each task's last line ended with. @type {Map<string, import('../log/style.js').Style>} */
const styles = new Map();

/** @param {string} id */
function styleOf(id) {
  return styles.get(id) ?? PLAIN;
}

/** A new row. @param {string} id @param {number} line 0: of a gap */
function append(id, line) {
  const label = make('a', { class: `label f${inkOf(id)}`, 'data-of': id, href: `${pageOf(id)}${line ? `#L${line}` : ''}`, title: tree.tasks.get(id)?.name ?? id }, shortName(id));
  const row = make('div', { class: line ? 'row' : 'row gap' }, label, make('span', { class: 'no' }, line ? String(line) : ''), make('span', { class: 'text' }));
  host.append(row);
  while (host.childElementCount > MOST_ROWS) host.firstElementChild?.remove();
  return line ? row : /** @type {HTMLElement} */ (row.lastElementChild);
}

/** Rows can come before what their task is called. @param {string} id */
function nameRows(id) {
  unnamed.delete(id);
  for (const label of host.querySelectorAll('.label')) {
    if (!(label instanceof HTMLElement) || label.dataset.of !== id) continue;
    label.textContent = shortName(id);
    label.title = tree.tasks.get(id)?.name ?? id;
  }
}

/** @param {string} id */
function shortName(id) {
  if (!tree.tasks.has(id)) unnamed.add(id);
  const name = plain(tree.tasks.get(id)?.name).split('.').at(-1);
  return name || id.slice(0, 8);
}

async function read() {
  while (!ended) {
    try {
      const found = await mergedLog(taskId, after);
      after = found.next;
      for (const piece of found.pieces) add(piece);
      if (found.left_out) notice(`${plural(found.left_out, 'task')} more: their logs are not in this one.`);
      if (found.pieces.length && following) host.scrollTop = host.scrollHeight;
      ended = found.ended;
      where();
      if (found.more) continue;
    } catch (error) {
      notice(`${textOf(error)}; it goes on by itself`, 'warn');
    }
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? 5 * AGAIN_MS : AGAIN_MS));
  }
}

function where() {
  const cut = lines > MOST_ROWS ? `, the last ${number(MOST_ROWS)} are shown` : '';
  byId('where').textContent = `${plural(lines, 'line')}${cut}${ended ? ' · ended' : ''}`;
}

/** @param {boolean} on */
function follow(on) {
  following = on;
  press(followButton, on);
  if (on) host.scrollTop = host.scrollHeight;
}

const tree = new Tree(byId('tree'), client, {
  here: '',
  changed: () => {
    const running = [...tree.tasks.values()].filter(underWay).length;
    byId('sum').textContent = `${plural(tree.total, 'task')}${running ? `, ${running} under way` : ''}`;
    for (const id of unnamed) if (tree.tasks.has(id)) nameRows(id);
    // one that was sent, or runs again, after all seemed to be over
    if (ended && running) {
      ended = false;
      read();
    }
  },
});

host.addEventListener('scroll', () => follow(host.scrollTop + host.clientHeight >= host.scrollHeight - 30), { passive: true });
offerHelp();
showLink(client);
tree.follow(byId('head').dataset.root || taskId);
read();
