// The element's own page around the list: room for tools above, the state below. DOM only.

import { BASE } from '../base.js';

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** @param {ShadowRoot} root */
export function makeFrame(root) {
  const [style, colours] = ['log', 'ansi'].map((name) => make('link', { rel: 'stylesheet', href: `${BASE}/static/log/${name}.css` }));
  // filled by tools.js when it has been loaded
  const tools = make('div', { class: 'tools', part: 'tools', role: 'toolbar', 'aria-label': 'Log' });
  const scroller = make('div', { class: 'scroll', part: 'log', tabindex: '0', role: 'log', 'aria-live': 'off', 'aria-label': 'Output' });
  const blank = make('p', { class: 'blank' });
  const body = make('div', { class: 'body' }, scroller, blank);
  const state = make('span', { class: 'link', role: 'status' });
  const foot = make('div', { class: 'foot', part: 'foot' }, state);
  root.append(/** @type {Node} */ (style), /** @type {Node} */ (colours), tools, body, foot);
  return { tools, scroller, blank, body, state, foot };
}

/** @typedef {ReturnType<typeof makeFrame>} Frame */
