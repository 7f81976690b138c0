// The page that a share link leads to: the log of one task, for somebody without an account. The secret stands behind
// the # of the address, which browsers send to nobody; from here it goes in a header and in the socket's greeting.

import { BASE } from '../base.js';
import { byId, notice, showState } from './elements.js';
import { offerHelp, showLink } from './shell.js';
import { stateOf, tookOf } from './time.js';

/** @typedef {Record<string, any>} Task */

const AGAIN_MS = 2000;

const secret = location.hash.slice(1);

/** The task that the link leads to, and until when; null if it leads nowhere. */
async function opened() {
  for (;;) {
    try {
      const response = await fetch(`${BASE}/api/share`, { headers: { Authorization: `Share ${secret}` } });
      if (response.ok) return await response.json();
      if (response.status < 500 && response.status !== 429) return null;
    } catch {
      // the server is away: the page waits for it
    }
    notice(byId('notice').dataset.away ?? '');
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/** @param {Task} task @param {number} now */
function show(task, now) {
  showState(byId('state'), stateOf(task));
  byId('name').textContent = task.name ?? 'unnamed task';
  byId('took').textContent = tookOf(task, now);
  document.title = `${task.name ?? task.id} · livetask`;
}

async function begin() {
  const found = secret ? await opened() : null;
  if (!found) {
    notice(byId('notice').dataset.over ?? '', 'bad');
    byId('link').hidden = true;
    return;
  }
  notice('');
  const until = new Date(found.until);
  byId('until').textContent = `This link works until ${until.toLocaleString()}.`;
  // with all its attributes before the element is defined: it connects at once
  const log = /** @type {import('../livetask-log.js').LivetaskLog} */ (document.createElement('livetask-log'));
  log.id = 'log';
  log.setAttribute('task-id', found.task_id);
  log.setAttribute('share', secret);
  log.setAttribute('keys', '');
  /** @type {Task | null} */
  let task = null;
  log.addEventListener('livetask-task', (event) => {
    task = /** @type {CustomEvent} */ (event).detail;
    if (task) show(task, log.client.now());
  });
  setInterval(() => task && show(task, log.client.now()), 1000);
  byId('main').append(log);
  await import('../livetask-log.js');
  showLink(log.client);
}

addEventListener('hashchange', () => location.reload());
offerHelp();
begin();
