// Asks a livetask server for parts of a run's output over HTTP. Network only.

/**
 * @typedef {object} Range
 * @property {number} first_line
 * @property {string[]} lines
 * @property {string} sgr
 * @property {number} first_kept_line
 * @property {string} end
 * @property {boolean} complete
 * @property {boolean} ended
 * @property {{ from: string, to: string, reason: string }[]} gaps
 * @property {Record<string, number>} [cut]
 * @property {[line: number, atMs: number][]} [times]
 */

/**
 * @typedef {object} Found  a piece of a search
 * @property {string} to
 * @property {boolean} done
 * @property {number} lines
 * @property {number} total
 * @property {import('./search.js').Hit[]} hits
 * @property {number[]} [lines_hit]
 * @property {unknown[]} [gaps]
 */
/**
 * @typedef {object} MarksFound
 * @property {string} to
 * @property {boolean} done
 * @property {number[]} errors
 * @property {number[]} warnings
 * @property {import('./spans.js').Span[]} stderr
 * @property {import('./marks.js').GroupMark[]} groups
 */

/** What was there is not kept any more. */
const GONE = 410;

/** The server does not have it, or not now. `status`: 0 if it did not answer. */
export class Refused extends Error {
  /** @param {number} status @param {string} text @param {unknown} [field] which one of what was sent is wrong */
  constructor(status, text, field = '') {
    super(text);
    this.status = status;
    this.field = String(field);
  }
}

export class Outputs {
  /** @param {string} base the server's address @param {string} taskId @param {string} [share] a share link's secret */
  constructor(base, taskId, share) {
    this.base = base;
    this.taskId = taskId;
    this.headers = /** @type {Record<string, string>} */ (share ? { Authorization: `Share ${share}` } : {});
  }

  /** @param {number | 'last'} run @param {string} [rest] */
  address(run, rest = '') {
    return `${this.place(run)}/log${rest}`;
  }

  /** @param {number | 'last'} run */
  place(run) {
    return `${this.base}/api/tasks/${encodeURIComponent(this.taskId)}/runs/${run}`;
  }

  /**
   * @param {number} run @param {number} line @param {number} count
   * @returns {Promise<Range>}
   */
  async range(run, line, count) {
    return (await this.asked(this.address(run, `?line=${line}&count=${count}`))).json();
  }

  /**
   * @param {number} run @param {import('./search.js').Query} query
   * @param {string | null} from a position; null: the first one kept
   * @param {number} limit @param {AbortSignal} signal
   * @returns {Promise<Found>}
   */
  async search(run, { text, cased, regex }, from, limit, signal) {
    const query = new URLSearchParams({ q: text, limit: String(limit) });
    if (cased) query.set('case', '1');
    if (regex) query.set('regex', '1');
    if (from) query.set('from', from);
    return (await this.asked(`${this.place(run)}/search?${query}`, signal)).json();
  }

  /** @param {number} run @param {string | null} from @param {AbortSignal} signal @returns {Promise<MarksFound>} */
  async marks(run, from, signal) {
    return (await this.asked(`${this.place(run)}/marks${from ? `?from=${from}` : ''}`, signal)).json();
  }

  /** The whole text that is kept. @param {number | 'last'} run */
  async text(run) {
    return (await this.asked(this.address(run, '.txt'))).text();
  }

  /**
   * The bytes from a position on, as many as the server gives at once, and where they end.
   * @param {number} run @param {string} offset @param {AbortSignal} [signal]
   * @returns {Promise<{ bytes: Uint8Array, next: string, upToDate: boolean }>}
   */
  async read(run, offset, signal) {
    const response = await this.asked(this.address(run, `?offset=${encodeURIComponent(offset)}`), signal, GONE);
    const head = (/** @type {string} */ name) => response.headers.get(`Stream-${name}`);
    const gone = response.status === GONE;
    return {
      bytes: gone ? new Uint8Array() : new Uint8Array(await response.arrayBuffer()),
      next: (gone ? head('First-Offset') : head('Next-Offset')) ?? offset,
      upToDate: !gone && head('Up-To-Date') === 'true',
    };
  }

  /** @param {string} address @param {AbortSignal} [signal] @param {number} [also] */
  asked(address, signal, also) {
    return asked(address, { headers: this.headers, signal: signal ?? null }, also);
  }
}

/** What the server answers; throws Refused. @param {string} address @param {RequestInit} options @param {number} [also] a status that is no refusal */
export async function asked(address, options, also) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refused(0, 'the server does not answer');
  }
  if (!response.ok && response.status !== also) throw refused(response, await response.json().catch(() => ({})));
  return response;
}

/** What it found wrong, in words. @param {Response} response @param {Record<string, unknown>} body */
export function refused({ status }, { error, data, field }) {
  return new Refused(status, String(error ?? data ?? `the server answered ${status}`), field ?? '');
}
