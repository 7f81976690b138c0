// The button and the dialog of the task page that make a link to its log for people without an account.

import { make } from '../log/frame.js';
import { call } from './api.js';
import { button, copyOf, notice, one, trying, wired } from './elements.js';
import { show } from './shell.js';

/** @typedef {{ id: string, by: string, until: number, path?: string }} Share */

class ShareDialog {
  /** @param {string} taskId */
  constructor(taskId) {
    this.taskId = taskId;
    this.dialog = copyOf('share-dialog');
    this.said = one(this.dialog, '.notice');
    this.lasts = /** @type {HTMLSelectElement} */ (one(this.dialog, 'select'));
    this.link = /** @type {HTMLInputElement} */ (one(this.dialog, 'input'));
    this.list = one(this.dialog, 'ul');
    wired(this.dialog, '.primary', () => this.doing(() => this.makeOne()));
    this.link.addEventListener('focus', () => this.link.select());
  }

  open() {
    show(this.dialog);
    this.doing(() => this.refresh());
  }

  /** @param {() => Promise<void>} what */
  async doing(what) {
    this.say('');
    await trying(what, (text, tone) => this.say(text, tone));
  }

  /** @param {string} text @param {string} [tone] */
  say(text, tone = '') {
    notice(text, tone, this.said);
  }

  async makeOne() {
    const body = JSON.stringify({ hours: Number(this.lasts.value) });
    const headers = { 'Content-Type': 'application/json' };
    const made = await call(`/api/tasks/${encodeURIComponent(this.taskId)}/shares`, { method: 'POST', headers, body });
    const { link } = this;
    link.value = location.origin + made.path;
    link.hidden = false;
    link.focus();
    const copied = await navigator.clipboard?.writeText(link.value).then(() => true, () => false);
    const { copied: done = '', shown = '' } = this.said.dataset;
    this.say(copied ? done : shown);
    await this.refresh();
  }

  async refresh() {
    const { shares } = await call(`/api/shares?task_id=${encodeURIComponent(this.taskId)}`);
    this.list.replaceChildren(...shares.map((/** @type {Share} */ share) => this.row(share)));
  }

  /** @param {Share} share */
  row(share) {
    const until = new Date(share.until).toLocaleString();
    const revoke = button('Revoke', 'plain-button', () => this.doing(async () => {
      await call(`/api/shares/${encodeURIComponent(share.id)}`, { method: 'DELETE' });
      await this.refresh();
    }));
    const by = share.by ? `, made by ${share.by}` : '';
    return make('li', {}, make('span', {}, `until ${until}${by}`), revoke);
  }
}

/** The button is there for those who may give the log away. @param {string} taskId */
export function offerSharing(taskId) {
  document.getElementById('share')?.addEventListener('click', () => new ShareDialog(taskId).open());
}
