// How long tasks took, and times as people read them. Pure but for the reader's own time zone.

import { duration } from '../log/words.js';

/** @typedef {Record<string, any>} Task */

/**
 * How long a task has been running, or ran, or has been waiting; '' if that is not known.
 * @param {Task} task @param {number} now on the server's clock, ms
 */
export function tookOf(task, now) {
  if (task.began_at) return duration(ran(task, now));
  return task.state === 'QUEUED' && task.queued_at ? `waiting ${duration(now - task.queued_at)}` : '';
}

/** How long a task has been running, or ran, in ms; it has begun. @param {Task} task @param {number} now */
export function ran(task, now) {
  return (task.ended_at && !underWay(task) ? task.ended_at : now) - task.began_at;
}

/** @param {Task} task */
export function underWay(task) {
  return task.state === 'QUEUED' || task.state === 'RUNNING' || task.state === 'RETRY';
}

/** Whether it can be run again, as a new task. @param {Task} task */
export function canRepeat(task) {
  return !underWay(task) && Boolean(task.can_rerun);
}

/** The state as it is shown: somebody may wish that a task which runs stops. @param {Task} task */
export function stateOf(task) {
  return task.stopping_at && underWay(task) ? 'STOPPING' : task.state;
}

/** @param {number} at ms since the epoch @param {number} now */
export function clock(at, now) {
  const then = new Date(at);
  const time = then.toLocaleTimeString(undefined, { hour12: false });
  return then.toDateString() === new Date(now).toDateString() ? time : `${then.toLocaleDateString()} ${time}`;
}

/** @param {number} at */
export function ago(at) {
  return new Date(at).toLocaleString(undefined, { hour12: false });
}
