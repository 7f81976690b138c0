// What this reader has chosen, kept by the browser: the view, tasks that are pinned, tasks whose end is to be told.

const PREFIX = 'livetask-';

/** @typedef {'localStorage' | 'sessionStorage'} Where */

/** @param {string} name @param {Where} [where] @returns {any} null if nothing is kept, or nothing that can be read */
export function kept(name, where = 'localStorage') {
  try {
    return JSON.parse(window[where].getItem(PREFIX + name) ?? 'null');
  } catch {
    return null; // storage is switched off, or holds what is not ours
  }
}

/** @param {string} name @param {unknown} value @param {Where} [where] */
export function keep(name, value, where = 'localStorage') {
  try {
    window[where].setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // it lasts for this page then
  }
}

/** The tasks that the dashboard showed last in this tab, in order; where they are not known the task page asks the server. @returns {string[]} */
export function lastShown() {
  const found = kept('shown', 'sessionStorage');
  return Array.isArray(found) ? found : [];
}

/** @param {string[]} ids */
export function keepShown(ids) {
  keep('shown', ids, 'sessionStorage');
}

/** Task ids, the newest last and never more than `most`. */
export class KeptIds {
  /** @param {string} name @param {number} most */
  constructor(name, most) {
    this.name = name;
    this.most = most;
    const found = kept(name);
    this.ids = new Set(/** @type {string[]} */ (Array.isArray(found) ? found.filter((id) => typeof id === 'string').slice(-most) : []));
  }

  /** @param {string} id @returns {boolean} whether it is in now */
  toggle(id) {
    if (!this.ids.delete(id)) this.ids.add(id);
    if (this.ids.size > this.most) this.ids.delete([...this.ids][0]);
    keep(this.name, [...this.ids]);
    return this.ids.has(id);
  }

  /** @param {string} id */
  has(id) {
    return this.ids.has(id);
  }
}
