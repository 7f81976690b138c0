// The tasks of a workflow as a small tree, by what sent what, with their states; live. The tree is pure, but for `Tree`.

import { make } from '../log/frame.js';
import { workflow } from './api.js';
import { byId, pageOf } from './elements.js';
import { nameOf } from './named.js';
import { stateOf, tookOf } from './time.js';

/** @typedef {Record<string, any>} Task */
/** @typedef {{ task: Task, children: Node[] }} Node */

const MOST_DEEP = 12;

/**
 * Every task once, below the one that sent it; those whose sender is not known stand at the top.
 * @param {Iterable<Task>} tasks @returns {Node[]}
 */
export function forest(tasks) {
  /** @type {Map<string, Node>} */
  const nodes = new Map();
  for (const task of tasks) nodes.set(task.id, { task, children: [] });
  /** @type {Node[]} */
  const roots = [];
  for (const node of nodes.values()) {
    const parent = nodes.get(node.task.parent_id);
    if (parent && !above(nodes, parent, node)) parent.children.push(node);
    else roots.push(node);
  }
  return roots;
}

/** Whether `node` stands above `below` itself: what is stored may say so, and a circle is no tree. @param {Map<string, Node>} nodes @param {Node | undefined} below @param {Node} node */
function above(nodes, below, node) {
  for (let steps = 0; below && steps < nodes.size + 1; steps++) {
    if (below === node) return true;
    below = nodes.get(below.task.parent_id);
  }
  return Boolean(below);
}

/** @type {Map<string, number>} */
const inks = new Map();

/** A colour of the terminal's for each task, in the order in which they are met. @param {string} id */
export function inkOf(id) {
  const ink = inks.get(id) ?? 1 + ((inks.size * 5 + 3) % 6);
  inks.set(id, ink);
  return ink;
}

/** The tasks of one workflow on a page, kept up by the list's own watch. */
export class Tree {
  /** @param {HTMLElement} element @param {import('../log/client.js').Client} client @param {{ here: string, changed: () => void }} page */
  constructor(element, client, { here, changed }) {
    this.element = element;
    this.client = client;
    this.here = here;
    this.changed = changed;
    /** @type {Map<string, Task>} */
    this.tasks = new Map();
    this.root = '';
    this.asking = byId('head').dataset.taskId ?? '';
    /** @type {unknown} */
    this.watcher = null;
    this.total = 0;
    this.drawn = '';
  }

  /** @param {string} root */
  follow(root) {
    if (root === this.root) return;
    this.root = root;
    this.stop?.();
    /** @type {import('../log/client.js').Follower} */
    const watcher = {
      request: () => ({ q: `root:"${root}"`, sort: 'oldest', limit: 200 }),
      answered: (answer) => {
        this.know(answer);
        // the list has forgotten the page's task, and others of it perhaps: the archive has them
        if (!this.tasks.has(this.asking)) workflow(this.asking).then((found) => watcher === this.watcher && this.know(found)).catch(() => {});
      },
      received: (event, message) => {
        if (event !== 'task' || !message.listed || (message.task.root_id ?? message.task.id) !== root) return;
        if (!this.tasks.has(message.task.id)) this.total++;
        this.tasks.set(message.task.id, message.task);
        this.draw();
      },
      linked: () => {},
    };
    this.watcher = watcher;
    this.stop = this.client.watch(watcher);
  }

  /** @param {Task} answer */
  know(answer) {
    this.tasks = new Map((answer.tasks ?? []).map((/** @type {Task} */ task) => [task.id, task]));
    this.total = answer.total ?? 0;
    this.draw();
  }

  draw() {
    const key = JSON.stringify([...this.tasks.values()].map((task) => [task.id, task.state, task.name, task.parent_id, task.stopping_at, task.ended_at]));
    if (key !== this.drawn) this.element.replaceChildren(this.list(forest(this.tasks.values()), 0));
    this.drawn = key;
    this.changed();
  }

  /** @param {Node[]} nodes @param {number} depth @returns {HTMLElement} */
  list(nodes, depth) {
    return make('ul', {}, ...nodes.map(({ task, children }) => {
      const name = make('a', { href: pageOf(task.id), ...(task.id === this.here && { 'aria-current': 'page' }) }, nameOf(task));
      const state = make('span', { class: 'state', 'data-state': stateOf(task) }, stateOf(task));
      const label = make('span', { class: `label f${inkOf(task.id)}` }, task.id.slice(0, 8));
      const item = make('li', {}, make('span', { class: 'node' }, state, name, label, make('span', { class: 'took' }, tookOf(task, this.client.now()))));
      if (children.length && depth < MOST_DEEP) item.append(this.list(children, depth + 1));
      return item;
    }));
  }
}
