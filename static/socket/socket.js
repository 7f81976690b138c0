// A connection to a Socket.IO server that is made again for ever, whatever ends it.
//
// | state     | link | heeded | connected | timer                             | goes on with                            |
// |-----------|------|--------|-----------|-----------------------------------|-----------------------------------------|
// | waits     |      | false  | false     | until it tries again              | opens                                   |
// | opens     | set  | false  | false     | gives this transport up           | knocks; opens by the next one; waits    |
// | knocks    | set  | true   | false     | the same                          | connected; opens by the next one; waits |
// | connected | set  | true   | true      | how long the server may be silent | waits                                   |
//
// A WebSocket is tried first, then polling; one that polls looks now and then whether a WebSocket gets through. One that
// knocks says at once what is to be said: a server hears a connection's words in their order, and none of one that it
// does not let in. Nothing is kept for a connection that is not there: what is emitted then is dropped, what is asked has
// no answer. A packet that is none ends the connection. Must never know what the events mean.

import { eventText, Reader, TYPE } from './packets.js';
import { byPolling, byWebSocket } from './transports.js';

/** @typedef {import('./packets.js').Message} Message */
/**
 * @typedef {object} Holder
 * @property {() => void} knocks  what is said from now on is heard, if the server lets this connection in
 * @property {() => void} connected  it has
 * @property {(refusal: Message | null) => number | void} lost  there is no connection any more, or none could be made;
 *   refusal: what the server said to that. Answers after how many ms to try again, if it minds.
 * @property {(event: string, message: Message) => void} received
 */

const TRANSPORTS = [byWebSocket, byPolling];
const OPEN_WITHIN_MS = 8000;
const ANSWER_WITHIN_MS = 10_000;
const AGAIN_MS = 200;
const AGAIN_MOST_MS = 3000;
const LOOK_OUT_MS = 120_000;
// Engine.IO's mark of what is Socket.IO's
const MESSAGE = '4';

export class Socket {
  /** @param {string} address  of the server's Socket.IO path @param {Message | null} auth @param {Holder} holder */
  constructor(address, auth, holder) {
    this.address = `${address}?EIO=4`;
    this.auth = auth;
    this.holder = holder;
    this.heeded = this.connected = false;
    /** How often it has knocked. */
    this.session = 0;
    /** @type {import('./transports.js').Transport | null} */
    this.link = null;
    /** @type {import('./transports.js').Transport | null} tries whether a WebSocket gets through */
    this.scout = null;
    this.way = 0;
    this.tries = 0;
    this.heardAt = 0;
    this.patienceMs = 0;
    this.timer = this.scoutTimer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
    /** @type {Map<number, (answer: Message | null) => void>} */
    this.asked = new Map();
    this.asks = 0;
    this.open(0);
  }

  /** Send an event, if there is a connection. @param {string} event @param {Message} message @param {number} [id] */
  emit(event, message, id) {
    if (this.heeded) this.link?.send(MESSAGE + eventText(event, message, id));
  }

  /**
   * Send an event that is answered.
   * @param {string} event @param {Message} message
   * @param {(answer: Message | null) => void} answered called once; null: there was no answer in time, or no connection
   * @param {number} [withinMs]
   */
  ask(event, message, answered, withinMs = ANSWER_WITHIN_MS) {
    const id = this.asks++;
    this.asked.set(id, answered);
    setTimeout(() => this.answer(id, null), this.heeded ? withinMs : 0);
    this.emit(event, message, id);
  }

  /** The tab or the network is back: what has slept through the server's silence, or still waits, is made anew at once. */
  wake() {
    if (!this.connected || Date.now() - this.heardAt > this.patienceMs) this.end(0);
  }

  /** End this connection, or this trial, and go on. @param {number} [afterMs] when; else soon, and ever later @param {Message | null} [refusal] */
  end(afterMs, refusal = null) {
    this.close();
    const fallsBack = !this.connected && afterMs === undefined && !refusal;
    if (fallsBack && this.way + 1 < TRANSPORTS.length) return this.open(this.way + 1);
    this.connected = false;
    const wishedMs = this.holder.lost(refusal);
    const laterMs = Math.min(AGAIN_MOST_MS, AGAIN_MS * 2 ** this.tries++) * (0.5 + Math.random());
    this.wait(afterMs ?? wishedMs ?? laterMs, () => this.open(0));
    for (const id of this.asked.keys()) this.answer(id, null);
  }

  /** Let go of the connection, and do nothing more. */
  close() {
    clearTimeout(this.timer);
    clearTimeout(this.scoutTimer);
    this.link?.close();
    this.scout?.close();
    this.link = this.scout = null;
    this.heeded = false;
  }

  /** @param {number} way which transport */
  open(way) {
    this.way = way;
    const reader = new Reader();
    this.wait(OPEN_WITHIN_MS, () => this.end());
    try {
      this.link = TRANSPORTS[way](this.address, { said: (said) => this.take(said, reader), over: () => this.end() });
    } catch {
      this.end();
    }
  }

  /** @param {number} ms @param {() => void} then */
  wait(ms, then) {
    clearTimeout(this.timer);
    this.timer = setTimeout(then, ms);
  }

  /** @param {string | ArrayBuffer} said @param {Reader} reader */
  take(said, reader) {
    if (this.connected) this.heard();
    let packet = null;
    try {
      const type = typeof said === 'string' ? said[0] : MESSAGE;
      const rest = typeof said === 'string' ? said.slice(1) : said;
      if (type === MESSAGE) packet = reader.read(rest);
      else if (type === '0') this.knock(JSON.parse(`${rest}`));
      else if (type === '2') this.link?.send('3');
      else if (type !== '6') this.end();
    } catch {
      this.end();
    }
    if (packet) this.handle(packet);
  }

  /** @param {{ pingInterval: number, pingTimeout: number }} opening */
  knock({ pingInterval, pingTimeout }) {
    this.patienceMs = pingInterval + pingTimeout;
    this.heeded = true;
    this.session++;
    this.link?.send(MESSAGE + TYPE.connect + (this.auth ? JSON.stringify(this.auth) : ''));
    this.holder.knocks();
  }

  /** @param {import('./packets.js').Packet} packet */
  handle({ type, id, data }) {
    if (type === TYPE.event) this.holder.received(data[0], data[1] ?? {});
    else if (type === TYPE.answer) this.answer(id, data[0] ?? {});
    else if (type === TYPE.connect) this.began();
    else this.end(undefined, type === TYPE.refusal ? data : null);
  }

  began() {
    this.connected = true;
    this.tries = 0;
    this.heard();
    if (this.way) this.lookOut();
    this.holder.connected();
  }

  heard() {
    this.heardAt = Date.now();
    this.wait(this.patienceMs, () => this.end());
  }

  /** @param {number} id @param {Message | null} answer */
  answer(id, answer) {
    const answered = this.asked.get(id);
    this.asked.delete(id);
    answered?.(answer);
  }

  /** A WebSocket that gets through is taken, in place of polling. */
  lookOut() {
    this.scoutTimer = setTimeout(() => {
      this.scout = byWebSocket(this.address, { said: () => this.end(0), over: () => this.lookOut() });
    }, LOOK_OUT_MS);
  }
}
