// A call of a task as values, and the same call as text to copy: JSON, curl, Python. No DOM, no network.

/**
 * @typedef {{ name: string, kind: string, required: boolean, default: unknown, default_text: string | null,
 *   hint: string | null, types: string[] | null, choices: unknown[] | null }} Parameter
 * @typedef {{ name: string, doc: string, parameters: Parameter[] | null, queue: string | null,
 *   routing_key: string | null, rate_limit: string | null, bind: boolean, workers: string[] }} Startable
 * @typedef {{ task_name: string, args?: unknown[], kwargs?: Record<string, unknown>, queue?: string,
 *   countdown?: number, priority?: number }} Call
 */

/** @param {Call} call @param {string} form JSON, curl or Python @param {string} origin of the server */
export function written(call, form, origin) {
  if (form === 'curl') return asCurl(call, origin);
  return form === 'Python' ? asPython(call) : JSON.stringify(call, null, 2);
}

/** @param {Call} call @param {string} origin */
function asCurl(call, origin) {
  const body = JSON.stringify(call).replaceAll("'", "'\\''");
  return `curl ${origin}/task \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

/** @param {Call} call */
function asPython(call) {
  const { task_name: name, ...rest } = call;
  const given = Object.entries(rest).map(([key, value]) => `    ${key}=${literal(value)},\n`);
  return `app.send_task(\n    ${literal(name)},\n${given.join('')})`;
}

/** A value as Python writes it. @param {unknown} value @returns {string} */
export function literal(value) {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value === 'object') return `{${Object.entries(value).map(([key, held]) => `${literal(key)}: ${literal(held)}`).join(', ')}}`;
  return JSON.stringify(value);
}
