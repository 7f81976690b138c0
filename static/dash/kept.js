// What this reader has chosen, kept by the browser: the view, tasks that are pinned, tasks whose end is to be told.

const PREFIX = 'livetask-';

/** @param {string} name @returns {any} null if nothing is kept, or nothing that can be read */
export function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name) ?? 'null');
  } catch {
    return null; // storage is switched off, or holds what is not ours
  }
}

/** @param {string} name @param {unknown} value */
export function keep(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // it lasts for this page then
  }
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
