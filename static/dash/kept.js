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

/** The tasks that the dashboard showed last in this tab, in order. @returns {string[]} */
export function lastShown() {
  try {
    const found = JSON.parse(sessionStorage.getItem(`${PREFIX}shown`) ?? '[]');
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

/** @param {string[]} ids */
export function keepShown(ids) {
  try {
    sessionStorage.setItem(`${PREFIX}shown`, JSON.stringify(ids));
  } catch {
    // then the task page asks the server
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
