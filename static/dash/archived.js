// How many tasks that fit the filter lie in the archive and not in the list: said below the list where that has little.

import { BASE } from '../base.js';
import { number } from '../log/places.js';
import { archived } from './api.js';

const LITTLE = 6;
const REST_MS = 400;

let asked = '';
let timer = 0;

/**
 * @param {string} q a filter, '' for none @param {number} count of tasks that are shown
 * @param {(id: string) => boolean} listed whether the list has a task
 */
export function lookInArchive(q, count, listed) {
  const place = document.getElementById('archived');
  const wanted = count < LITTLE ? q : '';
  if (!place || wanted === asked) return;
  asked = wanted;
  place.hidden = true;
  clearTimeout(timer);
  if (!wanted) return;
  timer = setTimeout(async () => {
    const found = await archived(wanted).catch(() => null);
    if (!found || wanted !== asked) return;
    const more = found.tasks.filter((/** @type {{ id: string }} */ { id }) => !listed(id)).length;
    const link = /** @type {HTMLAnchorElement} */ (place.firstElementChild);
    link.href = `${BASE}/archived?q=${encodeURIComponent(wanted)}`;
    link.textContent = more ? `${number(more)}${found.next_before ? ' or more' : ''} in the archive` : 'Look further back in the archive';
    place.hidden = !more && !found.next_before;
  }, REST_MS);
}
