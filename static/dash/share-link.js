// The button and the dialog of the task page that make a link to its log for people without an account.

import { make } from '../log/frame.js';
import { call } from './api.js';
import { show } from './shell.js';

const HOURS = [
  ['1', 'an hour'],
  ['24', 'a day'],
  ['168', 'a week'],
];

/** @typedef {{ id: string, by: string, until: number, path?: string }} Share */

class ShareDialog {
  /** @param {string} taskId */
  constructor(taskId) {
    this.taskId = taskId;
    this.said = make('p', { class: 'notice', role: 'status', hidden: '' });
    this.lasts = make('select', { 'aria-label': 'How long the link works' });
    for (const [hours, words] of HOURS) this.lasts.append(make('option', { value: String(hours) }, String(words)));
    /** @type {HTMLSelectElement} */ (this.lasts).value = '24';
    this.link = make('input', { class: 'share-address', readonly: '', 'aria-label': 'The link', hidden: '' });
    this.list = make('ul', { class: 'share-list', 'aria-label': 'Links to this log' });
    const button = make('button', { type: 'button', class: 'primary' }, 'Make a link');
    const close = make('button', { type: 'button', class: 'plain-button' }, 'Close');
    button.addEventListener('click', () => this.doing(() => this.makeOne()));
    const text = 'Whoever has the link can read this log, without an account, and nothing else.';
    const inner = make('div', { class: 'inner share' }, make('h2', {}, 'Share this log'), make('p', {}, text));
    inner.append(make('label', {}, 'Works for ', this.lasts), this.link, this.said, this.list);
    inner.append(make('div', { class: 'buttons' }, close, button));
    this.dialog = /** @type {HTMLDialogElement} */ (make('dialog', { class: 'sheet', 'aria-label': 'Share this log' }, inner));
    close.addEventListener('click', () => this.dialog.close());
    this.link.addEventListener('focus', () => /** @type {HTMLInputElement} */ (this.link).select());
  }

  open() {
    show(this.dialog);
    this.doing(() => this.refresh());
  }

  /** @param {() => Promise<void>} what */
  async doing(what) {
    this.say('');
    try {
      await what();
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error), 'bad');
    }
  }

  /** @param {string} text @param {string} [tone] */
  say(text, tone = '') {
    this.said.hidden = !text;
    this.said.dataset.tone = tone;
    this.said.textContent = text;
  }

  async makeOne() {
    const body = JSON.stringify({ hours: Number(/** @type {HTMLSelectElement} */ (this.lasts).value) });
    const headers = { 'Content-Type': 'application/json' };
    const made = await call(`/api/tasks/${encodeURIComponent(this.taskId)}/shares`, { method: 'POST', headers, body });
    const link = /** @type {HTMLInputElement} */ (this.link);
    link.value = location.origin + made.path;
    link.hidden = false;
    link.focus();
    const copied = await navigator.clipboard?.writeText(link.value).then(() => true, () => false);
    this.say(copied ? 'Copied. It is shown this once.' : 'Copy it now: it is shown this once.');
    await this.refresh();
  }

  async refresh() {
    const { shares } = await call(`/api/shares?task_id=${encodeURIComponent(this.taskId)}`);
    this.list.replaceChildren(...shares.map((/** @type {Share} */ share) => this.row(share)));
  }

  /** @param {Share} share */
  row(share) {
    const until = new Date(share.until).toLocaleString();
    const revoke = make('button', { type: 'button', class: 'plain-button' }, 'Revoke');
    revoke.addEventListener('click', () => this.doing(async () => {
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
