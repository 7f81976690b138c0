// The tools for finding one's way: what is put into the element's frame when they have been loaded. DOM only.

import { make } from './frame.js';

const LEVELS = { '': 'All levels', warning: 'Warnings and errors', error: 'Errors only', stderr: 'stderr only' };

/** Show how a switch stands. @param {Element} button @param {boolean} on */
export function press(button, on) {
  button.setAttribute('aria-pressed', String(on));
}

/** @param {string} text @param {string} title @param {string} [pressed] whether it is a switch, and how it stands */
export function tool(text, title, pressed) {
  return make('button', { type: 'button', class: 'tool', title, ...(pressed ? { 'aria-pressed': pressed } : {}) }, text);
}

/** @param {import('./frame.js').Frame} frame */
export function makeTools({ tools, body, foot, state }) {
  const input = make('input', {
    type: 'search', class: 'field query', placeholder: 'Search', 'aria-label': 'Search the whole log', title: 'Search the whole log (/)', autocomplete: 'off', spellcheck: 'false', maxlength: '1000',
  });
  const cased = tool('Aa', 'Upper and lower case are told apart', 'false');
  const regex = tool('.*', 'A regular expression', 'false');
  const count = make('output', { class: 'count', 'aria-live': 'polite' });
  const before = tool('\u2191', 'Previous match (N)');
  const after = tool('\u2193', 'Next match (n)');
  const picks = tool('Only matches', 'Show lines with a match only', 'false');
  const stop = tool('Stop', 'Stop the search (Esc)');
  for (const button of [cased, regex, before, after]) button.setAttribute('aria-label', button.title);
  const step = make('span', { class: 'steps', hidden: '' }, count, stop, before, after, picks);
  const levels = make('select', { class: 'field level', 'aria-label': 'Levels', title: 'Which levels are shown', hidden: '' });
  for (const [value, text] of Object.entries(LEVELS)) levels.append(make('option', { value }, text));
  const foldAll = tool('Fold', 'Fold or unfold all groups (z)', 'false');
  foldAll.hidden = true;
  const raw = tool('Raw', 'Escape codes and control characters as text', 'false');
  const announces = tool('Announce', 'Read out what is new, every 5 seconds at most', 'false');
  const spoken = make('span', { class: 'hide', role: 'status' });
  const line = make('input', {
    type: 'text', inputmode: 'numeric', class: 'field to-line', placeholder: 'line', 'aria-label': 'Jump to line', title: 'Jump to line (:)', autocomplete: 'off',
  });
  const time = tool('Time', 'When each line was printed (t)', 'false');
  const wrap = tool('Wrap', 'Wrap long lines (w)', 'false');
  const follow = tool('Follow', 'Follow the newest lines (f)', 'true');
  const top = tool('Top', 'First line (g g)');
  const end = tool('End', 'Last line (G)');
  const plain = make('a', { class: 'tool', title: 'The log as text, without colours' }, 'Download');
  const coloured = make('a', { class: 'tool wide', title: 'The log as the task wrote it, escape codes included' }, 'with colours');
  const finds = make('div', { class: 'finds', part: 'search' }, input, cased, regex, step);
  const map = make('canvas', { class: 'map', part: 'minimap', 'aria-hidden': 'true' });
  const pill = make('button', { type: 'button', class: 'pill', part: 'pill', hidden: '' });
  const where = make('span', { class: 'where' });
  tools.replaceChildren(finds, line, levels, foldAll, raw, time, wrap, follow, top, end, plain, coloured);
  body.append(map, pill);
  state.before(where);
  foot.append(announces, spoken);
  const all = [map, pill, where, announces, spoken, ...tools.children];
  return {
    input, cased, regex, count, before, after, picks, stop, step, levels, foldAll, raw, announces, spoken, line, time, wrap, follow, top, end, plain, coloured, map, pill, where, all,
  };
}

/** @typedef {ReturnType<typeof makeTools>} Tools */
