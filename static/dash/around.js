// What the dashboard says where no cards are: still loading, nothing there yet, nothing matches. DOM only.

import { contentOf, notice, one } from './elements.js';
import { demoOf, demoStart } from './start.js';

/** @typedef {'loading' | 'away' | 'nothing' | 'none'} Kind */

/** @param {Kind} kind @param {import('./start.js').Startable[]} startable @param {() => void} showAll */
export function emptyText(kind, startable, showAll) {
  const text = contentOf(`empty-${kind}`);
  if (kind === 'nothing') one(text, 'button').addEventListener('click', showAll);
  if (kind === 'none') one(text, '.row').append(...demoButton(demoOf(startable)));
  return text;
}

/** @param {string[]} demo */
function demoButton(demo) {
  if (!demo.length) return [];
  return [demoStart(demo, (trouble) => trouble && notice(trouble, 'bad'))];
}
