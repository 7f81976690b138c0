// The form of one task, made from its published signature: fields for its arguments, how to send it, and the call that
// comes of it. Nothing is guessed: a task of which nobody has said what it takes gets two fields for JSON.

import { make } from '../log/frame.js';
import { contentOf, copyOf, one } from './elements.js';
import { Field, UNSET, Wrong, fieldFor, jsonField, numberIn, textInput } from './fields.js';

/** @typedef {import('./calls.js').Startable} Startable */
/** @typedef {import('./calls.js').Call} Call */
/** @typedef {import('./calls.js').Parameter} Parameter */

const IN_PLACE = ['positional_only', 'positional_or_keyword'];

export class TaskForm {
  /** @param {Startable} task */
  constructor(task) {
    this.task = task;
    /** @type {Map<string, Field>} by what the server calls them */
    this.fields = new Map();
    this.element = make('div', { class: 'task-form' });
    if (task.parameters) for (const parameter of task.parameters) this.add(this.element, parameter.name, fieldFor(parameter));
    else this.addBare();
    if (task.parameters?.length === 0) this.element.append(contentOf('takes-nothing'));
    /** @type {Map<string, Field>} */
    this.options = new Map(optionFields(task));
    this.sending = /** @type {HTMLDetailsElement} */ (copyOf('sending'));
    one(this.sending, 'div').append(...[...this.options.values()].map((field) => field.element));
    this.element.append(this.sending);
  }

  /** @param {HTMLElement} place @param {string} name @param {Field} field */
  add(place, name, field) {
    this.fields.set(name, field);
    place.append(field.element);
  }

  addBare() {
    this.element.append(contentOf('takes-anything'));
    this.add(this.element, 'args', jsonField('Arguments, a JSON list', bare('args'), {}, 'array'));
    this.add(this.element, 'kwargs', jsonField('Keyword arguments, a JSON object', bare('kwargs'), {}, 'object'));
  }

  /** The call as far as it can be made, and whether nothing is wrong. @param {boolean} [saying] say what is wrong */
  read(saying = false) {
    let good = true;
    /** @param {Field} field */
    const valueOf = (field) => {
      try {
        const value = field.read();
        field.say('');
        return value;
      } catch (error) {
        if (!(error instanceof Wrong)) throw error;
        good = false;
        if (saying) field.say(error.message);
        return UNSET;
      }
    };
    /** @type {Record<string, unknown>} */
    const values = Object.fromEntries([...this.fields].map(([name, field]) => [name, valueOf(field)]));
    /** @type {Record<string, unknown>} */
    const call = { task_name: this.task.name, ...this.arranged(values, (name, text) => {
      good = false;
      if (saying) this.fields.get(name)?.say(text);
    }) };
    for (const [name, field] of this.options) {
      const value = valueOf(field);
      if (value !== UNSET) call[name] = value;
      if (saying && field.error.textContent) this.sending.open = true;
    }
    return { call: /** @type {Call} */ (call), good };
  }

  /**
   * The values as args and kwargs. By name where that is possible; by place where it must be.
   * @param {Record<string, unknown>} values @param {(name: string, text: string) => void} wrong
   */
  arranged(values, wrong) {
    const { parameters } = this.task;
    /** @type {unknown[]} */
    const args = [];
    /** @type {[string, unknown][]} */
    const named = [];
    if (!parameters) return { ...(values.args !== UNSET && { args: values.args }), ...(values.kwargs !== UNSET && { kwargs: values.kwargs }) };
    const rest = parameters.find(({ kind }) => kind === 'var_positional');
    const more = rest && Array.isArray(values[rest.name]) ? /** @type {unknown[]} */ (values[rest.name]) : [];
    const places = parameters.filter(({ kind }) => IN_PLACE.includes(kind));
    const last = more.length ? places.length - 1 : places.findLastIndex(({ kind, name }) => kind === 'positional_only' && values[name] !== UNSET);
    places.forEach((parameter, i) => {
      const value = values[parameter.name];
      if (i > last) value !== UNSET && named.push([parameter.name, value]);
      else if (value !== UNSET) args.push(value);
      else if (!parameter.required && parameter.default_text === null) args.push(parameter.default);
      else wrong(parameter.name, 'a value is needed, because one follows by its place');
    });
    for (const { name, kind } of parameters) {
      if (values[name] === UNSET) continue;
      if (kind === 'keyword_only') named.push([name, values[name]]);
      if (kind === 'var_keyword') named.push(...Object.entries(/** @type {object} */ (values[name])));
    }
    args.push(...more);
    // not assigned one by one: an argument may be called __proto__
    return { ...(args.length && { args }), ...(named.length && { kwargs: Object.fromEntries(named) }) };
  }

  /** Say beside the field what the server found wrong; false if it has no such field. @param {string} name @param {string} text */
  refuse(name, text) {
    const rest = this.task.parameters?.find(({ kind }) => kind === 'var_keyword')?.name ?? '';
    const option = this.options.get(name);
    const field = this.fields.get(name) ?? option ?? this.fields.get(rest);
    if (!field) return false;
    if (field === option) this.sending.open = true;
    field.say(text);
    field.control.focus();
    return true;
  }

  /** Go to the first field that is wrong. */
  focusWrong() {
    const all = [...this.fields.values(), ...this.options.values()];
    all.find((field) => field.error.textContent)?.control.focus();
  }
}

/** @param {string} name @returns {Parameter} */
function bare(name) {
  return { name, kind: '', required: false, default: null, default_text: null, hint: null, types: null, choices: null };
}

/** @param {Startable} task @returns {[string, Field][]} */
function optionFields(task) {
  /** @param {string} text @param {(text: string) => unknown} read */
  const unlessEmpty = (text, read) => (text.trim() === '' ? UNSET : read(text.trim()));
  /** @param {number} number @param {number} most */
  const within = (number, most) => {
    if (number < 0 || number > most) throw new Wrong(`0 to ${most} is possible`);
    return number;
  };
  return [
    ['queue', new Field('Queue', textInput({ placeholder: task.queue ?? '' }), ({ value }) => unlessEmpty(value, (text) => text))],
    ['countdown', new Field('Start in, seconds', textInput({ inputmode: 'decimal', placeholder: '0' }), ({ value }) => unlessEmpty(value, (text) => within(numberIn(text, false), 31_622_400)))],
    ['priority', new Field('Priority, 0 to 255', textInput({ inputmode: 'numeric' }), ({ value }) => unlessEmpty(value, (text) => within(numberIn(text, true), 255)))],
  ];
}
