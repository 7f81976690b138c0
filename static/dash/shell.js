// What every page has: the state of the connection in the bar, the list of keys, questions.

import { BASE } from '../base.js';
import { make } from '../log/frame.js';
import { bind, bound } from '../log/keys.js';
import { button, byId } from './elements.js';

/** @type {Record<string, [string, string]>} */
const LINK = {
  connecting: ['connecting', 'connecting'],
  live: ['live', 'live'],
  reconnecting: ['reconnecting', 'reconnecting'],
  refused: ['refused', 'log in again'],
};

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
    const close = button('Close');
    const dialog = sheet('Keys', keys, close);
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
  return new Promise((resolve) => {
    let answer = false;
    const no = button('No', 'plain-button', () => dialog.close());
    const sure = button(yes, 'danger', () => {
      answer = true;
      dialog.close();
    });
    const dialog = sheet(question, '', no, sure);
    dialog.addEventListener('close', () => resolve(answer));
    show(dialog);
  });
}

/** A dialog. @param {string} title @param {Node | string} content @param {...HTMLElement} buttons */
function sheet(title, content, ...buttons) {
  const inner = make('div', { class: 'inner' }, make('h2', {}, title), content, make('div', { class: 'buttons' }, ...buttons));
  return make('dialog', { class: 'sheet', 'aria-label': title }, inner);
}

/** Show a dialog that goes away when it is closed. @param {HTMLDialogElement} dialog */
export function show(dialog) {
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
