// The element's own page around the list: tools above, the state below. DOM only.

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

/** @param {string} text @param {string} title @param {string} [pressed] whether it is a switch, and how it stands */
export function tool(text, title, pressed) {
  return make('button', { type: 'button', class: 'tool', title, ...(pressed ? { 'aria-pressed': pressed } : {}) }, text);
}

/** @param {ShadowRoot} root */
export function makeFrame(root) {
  const [style, colours] = ['log', 'ansi'].map((name) => make('link', { rel: 'stylesheet', href: `${BASE}/static/log/${name}.css` }));
  const follow = tool('Follow', 'Follow the newest lines (f)', 'true');
  const wrap = tool('Wrap', 'Wrap long lines (w)', 'false');
  const time = tool('Time', 'When each line was printed (t)', 'false');
  const line = make('input', {
    type: 'text', inputmode: 'numeric', class: 'field to-line', placeholder: 'line', 'aria-label': 'Jump to line', title: 'Jump to line (:)', autocomplete: 'off',
  });
  const top = tool('Top', 'First line (g g)');
  const end = tool('End', 'Last line (G)');
  const plain = make('a', { class: 'tool', title: 'The log as text, without colours' }, 'Download');
  const coloured = make('a', { class: 'tool wide', title: 'The log as the task wrote it, escape codes included' }, 'with colours');
  // filled by extras.js when it has been loaded
  const finds = make('div', { class: 'finds', part: 'search' });
  const views = make('span', { class: 'views' });
  const tools = make('div', { class: 'tools', part: 'tools', role: 'toolbar', 'aria-label': 'Log' }, finds, line, views, time, wrap, follow, top, end, plain, coloured);
  const scroller = make('div', { class: 'scroll', part: 'log', tabindex: '0', role: 'log', 'aria-live': 'off', 'aria-label': 'Output' });
  const map = make('canvas', { class: 'map', part: 'minimap', 'aria-hidden': 'true' });
  const blank = make('p', { class: 'blank' });
  const pill = make('button', { type: 'button', class: 'pill', part: 'pill', hidden: '' });
  const where = make('span', { class: 'where' });
  const state = make('span', { class: 'link', role: 'status' });
  const foot = make('div', { class: 'foot', part: 'foot' }, where, state);
  const dialog = make('dialog', { class: 'whole', 'aria-label': 'A whole line' });
  const body = make('div', { class: 'body' }, scroller, map, blank, pill);
  root.append(/** @type {Node} */ (style), /** @type {Node} */ (colours), tools, body, foot, dialog);
  return {
    style: /** @type {HTMLLinkElement} */ (style), follow, wrap, time, line, top, end, plain, coloured, finds, views, tools, scroller, map, blank, pill, where, state, foot, dialog,
  };
}

/** @typedef {ReturnType<typeof makeFrame>} Frame */
