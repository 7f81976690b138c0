// The dashboard's calls over HTTP. Network only.

import { BASE } from '../base.js';
import { asked, refused } from '../log/http.js';

/** @typedef {Record<string, any>} Message */

/**
 * The server's answer; throws what it found wrong, in words.
 * @param {string} path @param {RequestInit} [options]
 * @returns {Promise<Message>}
 */
export async function call(path, options) {
  const response = await asked(BASE + path, { ...options, headers: { Accept: 'application/json', ...options?.headers } });
  const body = await response.json().catch(() => ({}));
  if (body.status === 'failed') throw refused(response, body);
  return body;
}

/** A page of the list. @param {Record<string, string>} query @returns {Promise<{ tasks: Message[], next: string | null }>} */
export async function page(query) {
  const { tasks = [], next = null } = await call(`/api/tasks?${new URLSearchParams(query)}`);
  return { tasks, next };
}

/** The newest archived tasks that a filter lets through. @param {string} q */
export function archived(q) {
  return call(`/api/archived?q=${encodeURIComponent(q)}`);
}

/** The first line with an error in a run's output; null if none was found. @param {string} taskId @param {number | string} run */
export async function firstError(taskId, run) {
  let from = '';
  for (let times = 0; times < MOST_ASKED; times++) {
    const found = await call(`/api/tasks/${encodeURIComponent(taskId)}/runs/${run}/marks${from && `?from=${from}`}`);
    if (found.errors?.length) return Number(found.errors[0]);
    if (found.done || found.to === from) break;
    from = String(found.to);
  }
  return null;
}

/** The tasks of a workflow, those in the archive too. @param {string} taskId */
export function workflow(taskId) {
  return call(`/api/tasks/${encodeURIComponent(taskId)}/workflow`);
}

/** What comes next of the logs of a workflow. @param {string} taskId @param {string} after */
export function mergedLog(taskId, after) {
  return call(`/api/tasks/${encodeURIComponent(taskId)}/workflow/log${after && `?after=${after}`}`);
}

/** The tasks that may be started here. @returns {Promise<import('./calls.js').Startable[]>} */
export async function startable() {
  return (await call('/api/startable')).tasks ?? [];
}

/** Start a task; its id. @param {import('./calls.js').Call} wanted */
export async function start(wanted) {
  const answer = await call('/task', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(wanted),
  });
  return String(answer.data);
}

const GRACE_S = 5;
const MOST_ASKED = 200;

/** Cancel a task; one that runs may end by itself first. What becomes of it, in words. @param {string} taskId */
export async function cancel(taskId) {
  const answer = await call(`/task/${encodeURIComponent(taskId)}?terminate=1&grace_s=${GRACE_S}`, { method: 'DELETE' });
  return String(answer.words ?? '');
}

/** Run a task again; the id of the new one. @param {string} taskId @returns {Promise<string>} */
export async function rerun(taskId) {
  return String((await call(`/task/${encodeURIComponent(taskId)}/rerun`, { method: 'POST' })).data);
}
