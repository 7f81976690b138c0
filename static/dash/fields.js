// One field of a form: its control, what stands in it as a value, and its error beside it.

import { make } from '../log/frame.js';
import { copyOf, fault, one } from './elements.js';

/** @typedef {import('./calls.js').Parameter} Parameter */
/** What is wrong with a field. */
export class Wrong extends Error {}

/** Stands for a field that says nothing: the task's own default counts. */
export const UNSET = Symbol('unset');

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control */

let made = 0;

export class Field {
  /**
   * @param {string} title
   * @param {Control} control
   * @param {(control: Control) => unknown} read its value or UNSET; throws Wrong
   * @param {{ hint?: string, note?: string, required?: boolean }} [more]
   */
  constructor(title, control, read, more = {}) {
    const id = `field-${++made}`;
    this.control = control;
    this.read = () => read(control);
    control.id = id;
    control.setAttribute('aria-describedby', `${id}-more`);
    if (more.required) control.setAttribute('aria-required', 'true');
    this.element = copyOf('field');
    const part = (/** @type {string} */ selector, text = '') => {
      const found = one(this.element, selector);
      found.append(text);
      return found;
    };
    this.error = part('.wrong');
    part('label', title).setAttribute('for', id);
    part('code', more.hint).hidden = !more.hint;
    part('.needed').hidden = !more.required;
    part('.note', more.note).parentElement?.setAttribute('id', `${id}-more`);
    const head = part('.field-head');
    if (control.type === 'checkbox') head.prepend(control);
    else head.after(control);
  }

  /** Say what is wrong; '' takes it back. @param {string} text */
  say(text) {
    fault(this.control, this.error, text);
  }
}

/** The field for a parameter of a task. @param {Parameter} parameter */
export function fieldFor(parameter) {
  const title = { var_positional: `*${parameter.name}`, var_keyword: `**${parameter.name}` }[parameter.kind] ?? parameter.name;
  const note = parameter.default_text === null ? '' : `default: ${parameter.default_text}`;
  const more = { hint: parameter.hint ?? '', note, required: parameter.required };
  if (parameter.kind === 'var_positional') return jsonField(title, parameter, { ...more, note: 'more arguments, a JSON list' }, 'array');
  if (parameter.kind === 'var_keyword') return jsonField(title, parameter, { ...more, note: 'more named arguments, a JSON object' }, 'object');
  if (parameter.choices) return choiceField(title, parameter, more);
  const types = parameter.types?.filter((type) => type !== 'null') ?? [];
  if (types.length === 1 && types[0] === 'boolean' && parameter.types?.length === 1) return flagField(title, parameter, more);
  if (types.length === 1 && types[0] === 'string') return textField(title, parameter, more);
  if (types.length === 1 && (types[0] === 'integer' || types[0] === 'number')) return numberField(title, parameter, more, types[0] === 'integer');
  return jsonField(title, parameter, more, types.length === 1 ? types[0] : '');
}

/** @typedef {{ hint?: string, note?: string, required?: boolean }} More */

/** @param {Parameter} parameter @param {unknown} value what stands in the field */
function unlessDefault(parameter, value) {
  const same = !parameter.required && parameter.default_text === null && JSON.stringify(value) === JSON.stringify(parameter.default);
  return same ? UNSET : value;
}

/** What an empty field means. @param {Parameter} parameter */
function empty(parameter) {
  if (parameter.required && !parameter.types?.includes('null')) throw new Wrong('a value is needed');
  return parameter.required ? null : UNSET;
}

/** @param {Record<string, string>} more attributes */
export function textInput(more) {
  return make('input', { type: 'text', spellcheck: 'false', autocomplete: 'off', ...more });
}

/** @param {string} title @param {Parameter} parameter @param {More} more */
function textField(title, parameter, more) {
  const control = textInput({});
  if (typeof parameter.default === 'string') control.value = parameter.default;
  return new Field(title, control, ({ value }) => {
    if (value === '' && typeof parameter.default !== 'string') return empty(parameter);
    return unlessDefault(parameter, value);
  }, more);
}

/** @param {string} title @param {Parameter} parameter @param {More} more @param {boolean} whole */
function numberField(title, parameter, more, whole) {
  // no type=number: it hides what was typed when that is no number
  const control = textInput({ inputmode: whole ? 'numeric' : 'decimal' });
  if (typeof parameter.default === 'number') control.value = String(parameter.default);
  return new Field(title, control, ({ value }) => {
    const text = value.trim();
    return text === '' ? empty(parameter) : unlessDefault(parameter, numberIn(text, whole));
  }, more);
}

/** @param {string} text @param {boolean} whole */
export function numberIn(text, whole) {
  if (whole && !/^[+-]?\d+$/.test(text)) throw new Wrong('a whole number is needed');
  const number = Number(text);
  if (!Number.isFinite(number)) throw new Wrong('a number is needed');
  if (whole && !Number.isSafeInteger(number)) throw new Wrong('this number is too large for a browser');
  return number;
}

/** @param {string} title @param {Parameter} parameter @param {More} more */
function flagField(title, parameter, more) {
  const control = make('input', { type: 'checkbox' });
  control.checked = parameter.default === true;
  return new Field(title, control, (element) => unlessDefault(parameter, /** @type {HTMLInputElement} */ (element).checked), { ...more, required: false });
}

/** @param {string} title @param {Parameter} parameter @param {More} more */
function choiceField(title, parameter, more) {
  const choices = parameter.choices ?? [];
  const control = make('select', {}, ...choices.map((choice, i) => make('option', { value: String(i) }, String(choice))));
  const at = choices.findIndex((choice) => choice === parameter.default);
  if (parameter.required || at < 0) control.prepend(make('option', { value: '' }, parameter.required ? 'choose' : 'default'));
  control.value = parameter.required || at < 0 ? '' : String(at);
  return new Field(title, control, ({ value }) => {
    if (value !== '') return unlessDefault(parameter, choices[Number(value)]);
    if (parameter.required) throw new Wrong('a choice is needed');
    return UNSET;
  }, more);
}

/** @type {Record<string, [string, (value: unknown) => boolean]>} */
const SHAPES = {
  array: ['a JSON list is needed, for example [1, "two"]', Array.isArray],
  object: ['a JSON object is needed, for example {"count": 3}', (value) => value !== null && typeof value === 'object' && !Array.isArray(value)],
};

/** @param {string} title @param {Parameter} parameter @param {More} more @param {string} shape array, object or '' */
export function jsonField(title, parameter, more, shape) {
  const control = make('textarea', { rows: '2', spellcheck: 'false', placeholder: { array: '[]', object: '{}' }[shape] ?? 'JSON' });
  const hasDefault = !parameter.required && parameter.default_text === null && parameter.default !== null;
  if (hasDefault) control.value = JSON.stringify(parameter.default);
  return new Field(title, control, ({ value }) => {
    if (value.trim() === '') return empty(parameter);
    const found = parsed(value);
    const [needed, holds] = SHAPES[shape] ?? ['', () => true];
    if (!holds(found) && !(found === null && parameter.types?.includes('null'))) throw new Wrong(needed);
    return unlessDefault(parameter, found);
  }, { ...more, note: more.note || (shape || parameter.types ? 'JSON' : 'JSON: a text stands in quotes') });
}

/** @param {string} text */
function parsed(text) {
  try {
    return /** @type {unknown} */ (JSON.parse(text));
  } catch {
    throw new Wrong('this is not JSON');
  }
}
