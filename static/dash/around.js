// What the dashboard says where no cards are: still loading, nothing there yet, nothing matches. DOM only.

import { contentOf, notice, one, wired } from './elements.js';
import { demoOf, offerDemo } from './start.js';

/** @typedef {'loading' | 'away' | 'nothing' | 'none'} Kind */

/** @param {Kind} kind @param {import('./start.js').Startable[]} startable @param {() => void} showAll */
export function emptyText(kind, startable, showAll) {
  const text = contentOf(`empty-${kind}`);
  if (kind === 'nothing') wired(text, 'button', showAll);
  if (kind === 'none') offerDemo(one(text, '.row'), demoOf(startable), (trouble) => trouble && notice(trouble, 'bad'));
  return text;
}
