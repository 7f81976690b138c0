// What every page has: the state of the connection in the bar, the list of keys, questions.

import { BASE } from '../base.js';
import { make } from '../log/frame.js';
import { bind, bound } from '../log/keys.js';
import { byId, copyOf, one, wired } from './elements.js';

/** @param {import('../log/client.js').Client} client */
export function showLink(client) {
  const element = byId('link');
  const show = () => {
    const { link, store } = client;
    const word = link === 'live' && store === 'unreachable' ? store : link;
    const refused = word === 'refused';
    const text = refused ? 'log in again' : word === store ? `store ${word}` : word;
    element.dataset.state = word;
    if (element.textContent === text) return;
    const next = encodeURIComponent(location.pathname + location.search + location.hash);
    element.replaceChildren(refused ? make('a', { href: `${BASE}/login?next=${next}` }, text) : text);
  };
  client.listen(show);
  show();
}

/** Binds the keys of what the page itself holds (`data-key`; `data-says` is for the list): they press it, or go to a field. */
export function offerHelp() {
  const open = () => {
    const dialog = copyOf('keys');
    for (const { keys: names, does, left } of bound) {
      if (left?.()) continue;
      const term = make('dt');
      for (const name of names.split(' ')) term.append(make('kbd', {}, name), ' ');
      one(dialog, 'dl').append(term, make('dd', {}, does));
    }
    show(dialog);
  };
  wired(document, '#help', open);
  const held = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-key]'));
  const bindings = [...held].map((element) => {
    const { key = '', says = '' } = element.dataset;
    return { keys: key, does: says, run: () => (element instanceof HTMLInputElement ? element.focus() : element.click()) };
  });
  bind([...bindings, { keys: '?', does: 'this list', run: open }]);
}

/**
 * Ask before something is done.
 * @param {string} question @param {string} yes what the button says
 * @returns {Promise<boolean>}
 */
export function ask(question, yes) {
  const dialog = copyOf('question');
  dialog.setAttribute('aria-label', question);
  one(dialog, 'h2').textContent = question;
  one(dialog, '.danger').textContent = yes;
  const closed = show(dialog);
  return closed.then((answer) => answer === 'yes');
}

/** Show a dialog that goes away when it is closed; by which button it was. @param {HTMLElement} element @returns {Promise<string>} */
export function show(element) {
  const dialog = /** @type {HTMLDialogElement} */ (element);
  dialog.addEventListener('click', ({ target }) => /** @type {Element} */ (target).matches('dialog, .close') && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener('close', () => {
    dialog.remove();
    resolve(dialog.returnValue);
  }));
}
