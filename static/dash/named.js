// What a task is called, as it may be shown: a name can hold whatever a program sends. Pure.

import { shown } from '../log/sequences.js';

const MOST = 200;

/** Escape codes are taken out, control characters and those that turn the text around are made visible. @param {unknown} text */
export function plain(text) {
  const whole = String(text ?? '');
  return shown(whole.length > MOST ? `${whole.slice(0, MOST)}…` : whole);
}

/** @param {Record<string, any>} task */
export function nameOf(task) {
  return plain(task.name) || 'unnamed task';
}
