// The element's own page around the list: tools above, the state below. DOM only.

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
  const [style, colours] = ['./log.css', './ansi.css'].map((name) => make('link', { rel: 'stylesheet', href: new URL(name, import.meta.url).href }));
  const follow = make('button', { type: 'button', class: 'tool', 'aria-pressed': 'true', title: 'Follow the newest lines (f)' }, 'Follow');
  const wrap = make('button', { type: 'button', class: 'tool', 'aria-pressed': 'false', title: 'Wrap long lines (w)' }, 'Wrap');
  const line = make('input', {
    type: 'text', inputmode: 'numeric', class: 'to-line', placeholder: 'line', 'aria-label': 'Jump to line', title: 'Jump to line (:)', autocomplete: 'off',
  });
  const top = make('button', { type: 'button', class: 'tool', title: 'First line (g g)' }, 'Top');
  const end = make('button', { type: 'button', class: 'tool', title: 'Last line (G)' }, 'End');
  const plain = make('a', { class: 'tool', title: 'The log as text, without colours' }, 'Download');
  const coloured = make('a', { class: 'tool wide', title: 'The log as the task wrote it, escape codes included' }, 'with colours');
  const tools = make('div', { class: 'tools', part: 'tools' }, follow, wrap, line, top, end, make('span', { class: 'gap' }), plain, coloured);
  const scroller = make('div', { class: 'scroll', part: 'log', tabindex: '0', role: 'log', 'aria-live': 'off', 'aria-label': 'Output' });
  const blank = make('p', { class: 'blank' });
  const pill = make('button', { type: 'button', class: 'pill', hidden: '' });
  const where = make('span', { class: 'where' });
  const state = make('span', { class: 'link', role: 'status' });
  const foot = make('div', { class: 'foot', part: 'foot' }, where, state);
  const dialog = make('dialog', { class: 'whole', 'aria-label': 'A whole line' });
  const body = make('div', { class: 'body' }, scroller, blank, pill);
  root.append(/** @type {Node} */ (style), /** @type {Node} */ (colours), tools, body, foot, dialog);
  return { style: /** @type {HTMLLinkElement} */ (style), follow, wrap, line, top, end, plain, coloured, tools, scroller, blank, pill, where, state, dialog };
}

/** @typedef {ReturnType<typeof makeFrame>} Frame */
