// What the pages' elements are made of, and how they are written to. DOM only.

import { BASE } from '../base.js';
import { make } from '../log/frame.js';

/** @param {string} id */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** The first element within another that fits. @template {HTMLElement} [E=HTMLElement] @param {ParentNode} within @param {string} selector @returns {E} */
export function one(within, selector) {
  return /** @type {E} */ (within.querySelector(selector));
}

/** A copy of what a template of the page holds. @param {string} id */
export function contentOf(id) {
  return /** @type {DocumentFragment} */ (/** @type {HTMLTemplateElement} */ (byId(id)).content.cloneNode(true));
}

/** The same, of one that holds one element. @param {string} id */
export function copyOf(id) {
  return /** @type {HTMLElement} */ (contentOf(id).firstElementChild);
}

/** @param {string} text @param {string} look its class @param {() => unknown} [run] */
export function button(text, look = 'plain-button', run = () => {}) {
  const made = make('button', { type: 'button', class: look }, text);
  made.addEventListener('click', run);
  return made;
}

/** The button within another element that fits, and what it does from now on. @param {ParentNode} within @param {string} selector @param {(event: MouseEvent) => unknown} run */
export function wired(within, selector, run) {
  const made = /** @type {HTMLButtonElement} */ (one(within, selector));
  made.addEventListener('click', run);
  return made;
}

/** Say something, unless that is what stands there: a screen reader would say it again. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Say beside a control what is wrong with it. @param {Element} control @param {Element} place @param {string} text '' takes it back */
export function fault(control, place, text) {
  write(place, text);
  control.setAttribute('aria-invalid', String(text !== ''));
}

/** Show a state: its word, which also says its colour. @param {HTMLElement} element @param {string} state */
export function showState(element, state) {
  element.dataset.state = element.textContent = state;
}

/** @param {string} text '' takes it away @param {string} [tone] */
export function notice(text, tone = '', element = byId('notice')) {
  element.hidden = !text;
  element.dataset.tone = tone;
  element.textContent = text;
}

/** Do something that may go wrong; what went wrong is said. @param {() => unknown} what @param {(text: string, tone: string) => void} [say] */
export async function trying(what, say = notice) {
  try {
    await what();
  } catch (error) {
    say(textOf(error), 'bad');
  }
}

/** @param {unknown} error */
export function textOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** The address of a task's page. @param {string} id */
export function pageOf(id) {
  return `${BASE}/tasks/${encodeURIComponent(id)}`;
}
