// The last lines of a task on its card: a feed that asks for a few lines, four times a second at most.

import { Feed } from '../log/feed.js';

const LINES = 9;
const A_SECOND = 4;

export class Tail extends Feed {
  /** @param {string} taskId */
  constructor(taskId) {
    super({ taskId, run: null, mode: 'screen', holds: 20_000 });
  }

  /** @override */
  request() {
    return { task_id: this.taskId, wait: true, from: this.cursor ?? `tail:${LINES}`, mode: 'screen', lines: LINES, rate: A_SECOND };
  }

  /** The last lines, oldest first. @param {number} most @returns {import('../log/chunks.js').Line[]} */
  last(most) {
    const lines = [];
    for (let line = this.rows.last; line > 0 && lines.length < most; line--) {
      const held = this.line(line);
      if (!held) break;
      lines.unshift(held);
    }
    return lines;
  }
}
