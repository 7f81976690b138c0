// The tools for finding one's way: what is put into the element's frame when they have been loaded. DOM only.

import { make, tool } from './frame.js';

const LEVELS = { '': 'All levels', warning: 'Warnings and errors', error: 'Errors only', stderr: 'stderr only' };

/** @param {import('./frame.js').Frame} frame */
export function makeTools({ finds, views, foot }) {
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
  finds.append(input, cased, regex, step);
  views.append(levels, foldAll, raw);
  foot.append(announces, spoken);
  const all = [input, cased, regex, step, levels, foldAll, raw, announces, spoken];
  return { input, cased, regex, count, before, after, picks, stop, step, levels, foldAll, raw, announces, spoken, all };
}
