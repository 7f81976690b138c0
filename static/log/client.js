// The connection to a livetask server: one Socket.IO connection for a page, shared by all that follow tasks or the
// list on it. It connects for ever, and on every connect each follower says anew what it wants and from where; nothing
// depends on a session. Network only: what the answers mean is decided by the followers.

import { addressOf, BASE } from '../base.js';
import { Socket } from '../socket/socket.js';

/** @typedef {'connecting' | 'live' | 'reconnecting' | 'refused'} Link */
/** @typedef {Record<string, any>} Message */
/**
 * @typedef {object} Follower
 * @property {() => Message} request  what to subscribe with, asked for at each subscribe
 * @property {(answer: Message) => void} answered
 * @property {(event: string, message: Message) => void} received
 * @property {() => void} linked  the connection's or the store's state has changed
 */

const AGAIN_MS = 1000;
const LOGIN_AGAIN_MS = 5000;

/** @type {Map<string, Client>} */
const clients = new Map();

/**
 * The page's connection to a server; another one where a task is shown twice, since a server has one subscription of it for each.
 * @param {string} [base] the server's address, with the path it is served under; by default that of this file
 * @param {string} [share] the secret of a share link, by which it is let in
 * @param {string} [taskId] the task that is to be followed
 */
export function clientOf(base = BASE, share = '', taskId = '') {
  const address = addressOf(new URL(base, location.href));
  for (let name = `${address} ${share}`; ; name += ' ') {
    const client = clients.get(name) ?? new Client(address, share);
    clients.set(name, client);
    if (!client.followers.has(taskId)) return client;
  }
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
    this.socket = new Socket(`${base}/socket.io/`, share ? { share } : null, this);
    const wake = () => document.hidden || this.socket.wake();
    addEventListener('online', wake);
    document.addEventListener('visibilitychange', wake);
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
    this.socket.emit('unsubscribe', { task_id: taskId });
  }

  /** @param {Follower} watcher @returns {() => void} stops it */
  watch(watcher) {
    this.watchers.add(watcher);
    this.ask('watch', watcher, () => this.watchers.has(watcher));
    return () => {
      this.watchers.delete(watcher);
      if (!this.watchers.size) this.socket.emit('unwatch', {});
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
    this.socket.emit('ack', { task_id: taskId, cursor });
  }

  /**
   * Ask until there is an answer, as long as it is wanted and the connection lasts; the next one asks for everything.
   * @param {string} event @param {Follower} follower @param {() => boolean} wanted
   */
  ask(event, follower, wanted) {
    const { session, heeded } = this.socket;
    const lasts = () => this.socket.session === session && wanted();
    if (!heeded || !lasts()) return;
    this.socket.ask(event, follower.request(), (answer) => {
      if (!lasts()) return;
      if (answer) follower.answered(answer);
      else setTimeout(() => lasts() && this.ask(event, follower, wanted), AGAIN_MS);
    });
  }

  connected() {
    this.link = 'live';
    this.changed();
  }

  /** Everybody asks at once: the way there and back is gone once, not three times. */
  knocks() {
    for (const watcher of this.watchers) this.ask('watch', watcher, () => this.watchers.has(watcher));
    for (const [taskId, follower] of this.followers) this.subscribe(taskId, follower);
  }

  /** There is no connection, or the server did not let this page in. @param {Message | null} refusal */
  lost(refusal) {
    const refused = refusal?.data?.code === 'login_needed';
    this.link = refused ? 'refused' : this.link === 'connecting' ? 'connecting' : 'reconnecting';
    this.changed();
    // the login may be renewed in another tab
    return refused ? LOGIN_AGAIN_MS : undefined;
  }

  /** @param {Client['store'] | undefined} state */
  told(state) {
    if (!state || state === this.store) return;
    this.store = state;
    this.changed();
  }

  /** The time on the server's clock, in ms. */
  now() {
    return Date.now() + this.aheadMs;
  }

  /** @param {Message} message */
  beaten(message) {
    if (Number.isFinite(message.at_ms)) this.aheadMs = message.at_ms - Date.now();
    this.told(message.store);
    for (const [taskId, end] of Object.entries(message.ends ?? {})) {
      this.followers.get(taskId)?.received('heartbeat', { end });
    }
  }

  /** @param {string} event @param {Message} message */
  received(event, message) {
    if (event === 'heartbeat') this.beaten(message);
    else if (event === 'store') this.told(message.state);
    // it says when it wants everybody back, each at another moment
    else if (event === 'bye') this.socket.end(message.retry_ms);
    else if (event === 'task' || event === 'counts' || event === 'unlisted') {
      for (const watcher of this.watchers) watcher.received(event, message);
      this.followers.get(message.task?.id)?.received(event, message);
    } else this.followers.get(message.task_id)?.received(event, message);
  }

  changed() {
    for (const follower of [...this.followers.values(), ...this.watchers]) follower.linked();
    for (const listener of this.listeners) listener();
  }
}
