// What the dashboard says where no cards are: still loading, nothing there yet, nothing matches. DOM only.

import { make } from '../log/frame.js';
import { notice } from './shell.js';
import { demoOf, startMix } from './start.js';

/** @typedef {'loading' | 'away' | 'nothing' | 'none'} Kind */

/**
 * @param {Kind} kind @param {import('./start.js').Startable[]} startable @param {() => void} showAll
 * @returns {(Node | string)[]}
 */
export function emptyText(kind, startable, showAll) {
  if (kind === 'loading') return [make('p', {}, 'Loading …')];
  if (kind === 'away') return [make('p', {}, 'The list comes as soon as it can be read.')];
  if (kind === 'nothing') {
    const all = make('button', { type: 'button', class: 'plain-button' }, 'Show all tasks');
    all.addEventListener('click', showAll);
    return [make('h2', {}, 'No task matches'), make('div', { class: 'row' }, all)];
  }
  return [
    make('h2', {}, 'No tasks yet'),
    make('p', {}, 'Every task of a worker that runs with ', make('code', {}, '-I livetask.worker'), ' shows up here by itself, with its output, while it runs.'),
    make('div', { class: 'row' }, ...demoButton(demoOf(startable))),
  ];
}

/** @param {string[]} demo */
function demoButton(demo) {
  if (!demo.length) return [];
  const button = make('button', { type: 'button', class: 'primary' }, 'Start the demo mix');
  button.addEventListener('click', async () => {
    button.disabled = true;
    const { trouble } = await startMix(demo);
    button.disabled = false;
    if (trouble) notice(trouble, 'bad');
  });
  return [button];
}
