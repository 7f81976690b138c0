// The connection to a livetask server: one Socket.IO connection for a page, shared by all that follow tasks or the
// list on it. It connects for ever, and on every connect each follower says anew what it wants and from where; nothing
// depends on a session. Network only: what the answers mean is decided by the followers.

import { addressOf, BASE } from '../base.js';

/** @typedef {import('socket.io-client').Socket} Socket */
/** @typedef {'connecting' | 'live' | 'reconnecting' | 'refused'} Link */
/** @typedef {Record<string, any>} Message */
/**
 * @typedef {object} Follower
 * @property {() => Message} request  what to subscribe with, asked for at each subscribe
 * @property {(answer: Message) => void} answered
 * @property {(event: string, message: Message) => void} received
 * @property {() => void} linked  the connection's or the store's state has changed
 */

const EVENTS = ['output', 'gap', 'caught_up', 'run', 'reset', 'end', 'grown', 'task', 'counts', 'unlisted'];
const ANSWER_WITHIN_MS = 10_000;
const AGAIN_MS = 1000;
const LOGIN_AGAIN_MS = 5000;

/** @type {Map<string, Client>} */
const clients = new Map();

/**
 * The page's connection to a server.
 * @param {string} [base] the server's address, with the path it is served under; by default that of this file
 * @param {string} [share] the secret of a share link, by which it is let in
 */
export function clientOf(base = BASE, share = '') {
  const address = addressOf(new URL(base, location.href));
  const name = `${address} ${share}`;
  let client = clients.get(name);
  if (!client) {
    client = new Client(address, share);
    clients.set(name, client);
  }
  return client;
}

export class Client {
  /** @param {string} base @param {string} share */
  constructor(base, share) {
    this.base = base;
    this.share = share;
    /** @type {Link} */
    this.link = 'connecting';
    /** @type {'ok' | 'unreachable'} */
    this.store = 'ok';
    /** How far the server's clock is ahead of this one. */
    this.aheadMs = 0;
    /** @type {Map<string, Follower>} by task id: a server holds one subscription for each */
    this.followers = new Map();
    /** @type {Set<Follower>} those of the list of tasks */
    this.watchers = new Set();
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    /** @type {Socket | null} */
    this.socket = null;
    this.opening = this.open();
  }

  async open() {
    // by a computed name, so that the type checker does not read the minified file
    const name = `${BASE}/static/vendor/socket.io.esm.min.js`;
    const { io } = /** @type {typeof import('socket.io-client')} */ (await import(name));
    const { origin, pathname } = new URL(this.base);
    const socket = io(origin, {
      path: `${pathname.replace(/\/$/, '')}/socket.io`,
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      reconnectionDelay: 200,
      reconnectionDelayMax: 3000,
      timeout: 8000,
      ...(this.share && { auth: { share: this.share } }),
    });
    this.socket = socket;
    socket.on('connect', () => this.connected());
    socket.on('disconnect', () => this.lost());
    socket.on('connect_error', (error) => this.refused(error));
    socket.on('store', (message) => this.told(message?.state));
    socket.on('heartbeat', (message) => this.beaten(message));
    for (const event of EVENTS) socket.on(event, (message) => this.deliver(event, message));
    addEventListener('online', () => socket.connected || socket.disconnect().connect());
  }

  /** @param {string} taskId @param {Follower} follower in place of an earlier one */
  follow(taskId, follower) {
    this.followers.set(taskId, follower);
    this.subscribe(taskId, follower);
  }

  /** @param {string} taskId @param {Follower} follower */
  unfollow(taskId, follower) {
    if (this.followers.get(taskId) !== follower) return;
    this.followers.delete(taskId);
    if (this.socket?.connected) this.socket.emit('unsubscribe', { task_id: taskId });
  }

  /** @param {Follower} watcher @returns {() => void} stops it */
  watch(watcher) {
    this.watchers.add(watcher);
    this.ask('watch', watcher, () => this.watchers.has(watcher));
    return () => {
      this.watchers.delete(watcher);
      if (!this.watchers.size) this.socket?.emit('unwatch', {});
    };
  }

  /** @param {() => void} listener for changes of the connection @returns {() => void} stops it */
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** @param {string} taskId @param {Follower} follower */
  subscribe(taskId, follower) {
    return this.ask('subscribe', follower, () => this.followers.get(taskId) === follower);
  }

  /** Say that everything up to the cursor is taken over. @param {string} taskId @param {string} cursor */
  ack(taskId, cursor) {
    this.socket?.emit('ack', { task_id: taskId, cursor });
  }

  /**
   * Ask until there is an answer, as long as it is wanted and the connection lasts.
   * @param {string} event @param {Follower} follower @param {() => boolean} wanted
   */
  async ask(event, follower, wanted) {
    const socket = this.socket;
    // while there is no connection there is nothing to do: connecting asks for everything
    while (socket?.connected && wanted()) {
      const id = socket.id;
      try {
        const answer = await socket.timeout(ANSWER_WITHIN_MS).emitWithAck(event, follower.request());
        if (socket.id === id && wanted()) follower.answered(answer ?? {});
        return;
      } catch {
        if (socket.id !== id) return;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  connected() {
    this.link = 'live';
    this.changed();
    for (const watcher of this.watchers) this.ask('watch', watcher, () => this.watchers.has(watcher));
    for (const [taskId, follower] of this.followers) this.subscribe(taskId, follower);
  }

  /** The server did not let this page in, or did not answer. @param {Error & { data?: Message }} error */
  refused(error) {
    if (error.data?.code !== 'login_needed') return this.lost();
    this.link = 'refused';
    this.changed();
    // the login may be renewed in another tab
    setTimeout(() => this.socket?.connect(), LOGIN_AGAIN_MS);
  }

  lost() {
    this.link = this.link === 'connecting' ? 'connecting' : 'reconnecting';
    this.changed();
    // a server that ends the connection itself is not tried again by the library
    if (this.socket && !this.socket.active) setTimeout(() => this.socket?.connect(), AGAIN_MS * (0.5 + Math.random()));
  }

  /** @param {unknown} state */
  told(state) {
    if (state !== 'ok' && state !== 'unreachable') return;
    if (state === this.store) return;
    this.store = state;
    this.changed();
  }

  /** The time on the server's clock, in ms. */
  now() {
    return Date.now() + this.aheadMs;
  }

  /** @param {Message} message */
  beaten(message) {
    if (Number.isFinite(message?.at_ms)) this.aheadMs = message.at_ms - Date.now();
    this.told(message?.store);
    for (const [taskId, end] of Object.entries(message?.ends ?? {})) {
      this.followers.get(taskId)?.received('heartbeat', { end });
    }
  }

  /** @param {string} event @param {Message} message */
  deliver(event, message) {
    if (event === 'task' || event === 'counts' || event === 'unlisted') {
      for (const watcher of this.watchers) watcher.received(event, message);
      this.followers.get(message?.task?.id)?.received(event, message);
    } else this.followers.get(message?.task_id)?.received(event, message);
  }

  changed() {
    for (const follower of [...this.followers.values(), ...this.watchers]) follower.linked();
    for (const listener of this.listeners) listener();
  }
}
