// Durations and times as people read them. Pure but for the reader's own time zone.

/** @typedef {Record<string, any>} Task */

/** @param {number} ms */
export function duration(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  const two = (/** @type {number} */ value) => String(Math.floor(value)).padStart(2, '0');
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${two((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d ${two((s % 86_400) / 3600)}h`;
}

/**
 * How long a task has been running, or ran, or has been waiting; '' if that is not known.
 * @param {Task} task @param {number} now on the server's clock, ms
 */
export function tookOf(task, now) {
  if (task.began_at) {
    const over = task.ended_at && !underWay(task);
    return duration((over ? task.ended_at : now) - task.began_at);
  }
  return task.state === 'QUEUED' && task.queued_at ? `waiting ${duration(now - task.queued_at)}` : '';
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
