// What every page has: the state of the connection in the bar, the list of keys, questions.

import { BASE } from '../base.js';
import { make } from '../log/frame.js';
import { bind, bound } from '../log/keys.js';

/** @type {Record<string, [string, string]>} */
const LINK = {
  connecting: ['connecting', 'connecting'],
  live: ['live', 'live'],
  reconnecting: ['reconnecting', 'reconnecting'],
  refused: ['refused', 'log in again'],
};

/** @param {string} id */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** @param {import('../log/client.js').Client} client */
export function showLink(client) {
  const element = byId('link');
  const show = () => {
    const away = client.link === 'live' && client.store === 'unreachable';
    const [word, text] = away ? ['unreachable', 'store unreachable'] : LINK[client.link] ?? ['', ''];
    element.dataset.state = word;
    if (element.textContent === text) return;
    element.textContent = '';
    if (word === 'refused') {
      const next = encodeURIComponent(location.pathname + location.search + location.hash);
      element.append(make('a', { href: `${BASE}/login?next=${next}` }, text));
    } else element.textContent = text;
  };
  client.listen(show);
  show();
}

export function offerHelp() {
  const open = () => {
    const keys = make('dl', { class: 'keys' });
    for (const { keys: names, does } of bound) {
      const term = make('dt');
      for (const name of names.split(' ')) term.append(make('kbd', {}, name), ' ');
      keys.append(term, make('dd', {}, does));
    }
    const close = make('button', { type: 'button', class: 'plain-button' }, 'Close');
    const inner = make('div', { class: 'inner' }, make('h2', {}, 'Keys'), keys, make('div', { class: 'buttons' }, close));
    const dialog = make('dialog', { class: 'sheet', 'aria-label': 'Keys' }, inner);
    close.addEventListener('click', () => dialog.close());
    show(dialog);
  };
  bind([{ keys: '?', does: 'this list', run: open }]);
  byId('help').addEventListener('click', open);
}

/**
 * Ask before something is done.
 * @param {string} question @param {string} yes what the button says
 * @returns {Promise<boolean>}
 */
export function ask(question, yes) {
  const no = make('button', { type: 'button', class: 'plain-button' }, 'No');
  const sure = make('button', { type: 'button', class: 'danger' }, yes);
  const inner = make('div', { class: 'inner' }, make('h2', {}, question), make('div', { class: 'buttons' }, no, sure));
  const dialog = make('dialog', { class: 'sheet', 'aria-label': question }, inner);
  return new Promise((resolve) => {
    let answer = false;
    sure.addEventListener('click', () => {
      answer = true;
      dialog.close();
    });
    no.addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => resolve(answer));
    show(dialog);
  });
}

/** Show a dialog that goes away when it is closed. @param {HTMLDialogElement} dialog */
export function show(dialog) {
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {string} text '' takes it away @param {string} [tone] */
export function notice(text, tone = '') {
  const element = byId('notice');
  element.hidden = !text;
  element.dataset.tone = tone;
  element.textContent = text;
}
