// The pages' Socket.IO client: its packets, and how it goes on after each way a connection can end; run by node through
// test_modules.py. The network is a fake here, and so is time; the real ones are in tests/system/test_reconnect.py.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { eventText, Reader } from '../../static/socket/packets.js';
import { Socket } from '../../static/socket/socket.js';

const OPENING = '0{"sid":"e1","upgrades":[],"pingInterval":20000,"pingTimeout":30000,"maxPayload":32768}';
const bytes = (...numbers) => new Uint8Array(numbers).buffer;

// ---- packets

test('an event is written as the server reads it fastest', () => {
  assert.equal(eventText('ack', { task_id: 't', cursor: '1.a.2-3' }), '2["ack",{"task_id":"t","cursor":"1.a.2-3"}]');
  assert.equal(eventText('watch', {}, 0), '20["watch",{}]');
});

test('packets of each type are read', () => {
  const reader = new Reader();
  assert.deepEqual(reader.read('0{"sid":"a"}'), { type: '0', id: 0, data: { sid: 'a' } });
  assert.equal(reader.read('1').type, '1');
  assert.deepEqual(reader.read('2["output",{"text":"1-[\\n"}]').data, ['output', { text: '1-[\n' }]);
  assert.deepEqual(reader.read('312[{"ok":true}]'), { type: '3', id: 12, data: [{ ok: true }] });
  assert.deepEqual(reader.read('4{"message":"no","data":{"code":"login_needed"}}').data.data, { code: 'login_needed' });
});

test('bytes that follow a packet stand where it has their places', () => {
  const reader = new Reader();
  assert.equal(reader.read('52-["output",{"b":{"_placeholder":true,"num":1},"a":{"_placeholder":true,"num":0}}]'), null);
  assert.equal(reader.read(bytes(1)), null);
  assert.deepEqual(reader.read(bytes(2, 3)), { type: '2', id: 0, data: ['output', { b: bytes(2, 3), a: bytes(1) }] });
  assert.equal(reader.read('61-7[{"_placeholder":true,"num":0}]'), null);
  assert.deepEqual(reader.read(bytes(9)), { type: '3', id: 7, data: [bytes(9)] });
});

test('what looks like the place of bytes is text where no bytes were announced', () => {
  const place = { _placeholder: true, num: 0 };
  assert.deepEqual(new Reader().read(`2["on_success",${JSON.stringify(place)}]`).data[1], place);
});

test('what is no packet is an error', () => {
  const bad = ['', '7', '2', '2{}', '2[', '3', '31{}', '0', '0[]', '4', '2/other,["a"]', '5["a"]', '5x-["a"]', '5999-["a"]', '{"a":1}', '\u0000', '2null', '0null'];
  for (const text of bad) assert.throws(() => new Reader().read(text), JSON.stringify(text));
});

test('bytes that nobody announced, and text in place of bytes, are errors', () => {
  const reader = new Reader();
  assert.throws(() => reader.read(bytes(1)));
  reader.read('51-["output",{"_placeholder":true,"num":0}]');
  assert.throws(() => reader.read('2["output",{}]'));
  const other = new Reader();
  other.read('51-["output",{"_placeholder":true,"num":1}]');
  assert.throws(() => other.read(bytes(1)));
});

// ---- connections

/** @type {FakeWebSocket[]} */
let sockets;
/** @type {{ url: URL, body?: string, signal?: AbortSignal, answer: (text: string) => void, fail: () => void }[]} */
let requests;
/** @type {{ polls: boolean, throws: boolean }} what the network is like */
let network;

class FakeWebSocket {
  constructor(url) {
    if (network.throws) throw new Error('not from here');
    this.url = new URL(url);
    this.sent = [];
    this.readyState = 0;
    sockets.push(this);
  }

  send(text) {
    this.sent.push(text);
  }

  close() {
    this.readyState = 3;
  }

  say(...all) {
    this.readyState = 1;
    for (const data of all) this.onmessage?.({ data });
  }

  break() {
    this.readyState = 3;
    this.onclose?.();
  }
}

function fetched(url, { body, signal } = {}) {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error('gone'));
    requests.push({ url: new URL(url), body, signal, fail, answer: (text) => resolve({ ok: true, text: async () => text }) });
    signal?.addEventListener('abort', fail);
    if (!network.polls) fail();
  });
}

beforeEach(() => {
  sockets = [];
  requests = [];
  network = { polls: false, throws: false };
  globalThis.WebSocket = FakeWebSocket;
  mock.method(globalThis, 'fetch', fetched);
  mock.method(Math, 'random', () => 0.5);
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

// promises are kept in the real order of turns; none of them waits for a timer
const turns = () => new Promise((resolve) => setImmediate(resolve));
const pass = async (ms) => {
  mock.timers.tick(ms);
  await turns();
};

function opened(auth = null, lostMs = undefined, knocks = () => {}) {
  const told = [];
  const socket = new Socket('http://here.test/way/socket.io/', auth, {
    knocks: () => knocks(socket),
    connected: () => told.push('connected'),
    lost: (refusal) => {
      told.push(refusal ? `refused: ${refusal.data?.code}` : 'lost');
      return lostMs;
    },
    received: (event, message) => told.push([event, message]),
  });
  return { socket, told };
}

async function connected() {
  const it = opened();
  sockets[0].say(OPENING, '40{"sid":"s1"}');
  return { ...it, link: sockets[0] };
}

test('it connects by a WebSocket, says who it is, and is told events', async () => {
  const { socket, told } = opened({ share: 'secret' });
  const [link] = sockets;
  assert.equal(link.url.href, 'ws://here.test/way/socket.io/?EIO=4&transport=websocket');
  assert.equal(link.binaryType, 'arraybuffer');
  link.say(OPENING);
  assert.deepEqual(link.sent, ['40{"share":"secret"}']);
  assert.equal(socket.connected, false);
  link.say('40{"sid":"s1"}', '42["run",{"run":1}]', '6', '2', '42["plain"]');
  assert.deepEqual(told, ['connected', ['run', { run: 1 }], ['plain', {}]]);
  assert.equal(link.sent.at(-1), '3', 'a ping is answered');
  socket.emit('unwatch', {});
  assert.equal(link.sent.at(-1), '42["unwatch",{}]');
});

test('what is asked goes with the wish to be let in, and is answered after it', () => {
  const answers = [];
  const { told } = opened(null, undefined, (socket) => socket.ask('subscribe', {}, (answer) => answers.push([told.at(-1), answer])));
  sockets[0].say(OPENING);
  assert.deepEqual(sockets[0].sent, ['40', '420["subscribe",{}]']);
  assert.deepEqual(told, []);
  sockets[0].say('40{"sid":"s1"}', '430[{"ok":true}]');
  assert.deepEqual(answers, [['connected', { ok: true }]]);
});

test('who is not let in has no answer to what it asked', () => {
  const answers = [];
  opened(null, 5000, (socket) => socket.ask('subscribe', {}, (answer) => answers.push(answer)));
  sockets[0].say(OPENING, '44{"message":"no"}', '430[{"ok":true}]');
  assert.deepEqual(answers, [null]);
});

test('what was asked of a connection that then fails is asked again of the next', async () => {
  network.polls = true;
  const answers = [];
  const { socket } = opened(null, undefined, (one) => one.ask('subscribe', {}, (answer) => answers.push(answer)));
  sockets[0].say(OPENING);
  sockets[0].break();
  requests[0].answer(OPENING);
  await turns();
  requests[1].answer('ok');
  await turns();
  assert.deepEqual([requests[1].body, requests.at(-1).body], ['40', '421["subscribe",{}]']);
  requests[2].answer('40{"sid":"s1"}\x1e431[{"ok":true}]');
  await turns();
  assert.equal(socket.connected, true);
  assert.deepEqual(answers.at(-1), { ok: true });
});

test('a server of HTTPS is spoken to by a WebSocket of TLS', () => {
  new Socket('https://here.test/socket.io/', null, { knocks() {}, connected() {}, lost() {}, received() {} });
  assert.equal(sockets[0].url.protocol, 'wss:');
});

test('where neither way gets through it tries again, ever later, a WebSocket first', async () => {
  const { told } = opened();
  const pauses = [200, 400, 800, 1600, 3000, 3000];
  for (const [index, ms] of pauses.entries()) {
    assert.equal(sockets.length, index + 1);
    sockets[index].break();
    await turns();
    assert.equal(requests.length, index + 1, 'polling is tried at once');
    assert.equal(told.length, index + 1);
    await pass(ms - 1);
    assert.equal(sockets.length, index + 1);
    await pass(1);
  }
  assert.equal(sockets.length, pauses.length + 1);
  assert.deepEqual(new Set(told), new Set(['lost']));
});

test('a pause is half as long to half as long again', async () => {
  for (const [chance, ms] of [[0, 100], [0.75, 250]]) {
    Math.random.mock.mockImplementation(() => chance);
    const { link } = await connected();
    const count = sockets.length;
    link.break();
    await pass(ms - 1);
    assert.equal(sockets.length, count);
    await pass(1);
    assert.equal(sockets.length, count + 1);
    sockets = [];
  }
});

test('a WebSocket that is not allowed or never opens is given up for polling', async () => {
  network = { polls: true, throws: true };
  opened();
  assert.equal(requests.length, 1);
  network.throws = false;
  opened();
  await pass(7999);
  assert.equal(requests.length, 1);
  await pass(1);
  assert.equal(requests.length, 2);
  assert.equal(sockets[0].readyState, 3);
});

test('who is refused is told why, and asks again when it wants to', async () => {
  const { told } = opened(null, 5000);
  sockets[0].say(OPENING, '44{"message":"no","data":{"code":"login_needed"}}');
  assert.deepEqual(told, ['refused: login_needed']);
  assert.equal(sockets[0].readyState, 3);
  await pass(4999);
  assert.equal(sockets.length, 1);
  assert.equal(requests.length, 0, 'a refusal is no reason to poll');
  await pass(1);
  assert.equal(sockets.length, 2);
});

test('a server that is silent for its interval and its patience is left', async () => {
  const { socket, told, link } = await connected();
  await pass(49_999);
  link.say('42["heartbeat",{}]');
  await pass(49_999);
  link.say('2');
  await pass(49_999);
  assert.equal(socket.connected, true);
  await pass(1);
  assert.equal(socket.connected, false);
  assert.equal(told.at(-1), 'lost');
  assert.equal(link.readyState, 3);
  await pass(200);
  assert.equal(sockets.length, 2);
});

test('a packet that is none ends the connection, and nothing else', async () => {
  for (const bad of ['42[', '4', '', '9', '0', '0{', '4/x,2[]', '{"a":1}', bytes(1), '1', '41', '45-["a"]']) {
    sockets = [];
    const { socket, told, link } = await connected();
    link.say(bad);
    assert.equal(socket.connected, false, String(bad));
    assert.equal(told.at(-1), 'lost');
    link.say('42["late",{}]');
    assert.equal(told.at(-1), 'lost', 'a connection that was left is not heard any more');
    await pass(200);
    sockets[1].say(OPENING, '40{"sid":"s2"}');
    assert.equal(told.at(-1), 'connected');
    socket.close();
  }
});

test('half a packet of a connection that was cut is never taken', async () => {
  const { socket, told, link } = await connected();
  link.say('451-["output",{"data":{"_placeholder":true,"num":0}}]');
  link.break();
  await pass(200);
  sockets[1].say(OPENING, '40{"sid":"s2"}', bytes(1, 2));
  assert.equal(socket.connected, false);
  assert.deepEqual(told, ['connected', 'lost', 'connected', 'lost']);
});

test('a question is answered once: by its answer, by its time, or by the end of its connection', async () => {
  const { socket, link } = await connected();
  const answers = [];
  const ask = (name, ms) => socket.ask(name, {}, (answer) => answers.push([name, answer]), ms);
  ask('a');
  ask('b', 100);
  ask('c');
  ask('d');
  assert.deepEqual(link.sent.slice(-4), ['a', 'b', 'c', 'd'].map((name, id) => `42${id}["${name}",{}]`));
  link.say('432[{"ok":true}]', '432[{"ok":false}]', '433[]', '4399[{}]');
  assert.deepEqual(answers, [['c', { ok: true }], ['d', {}]]);
  await pass(100);
  assert.deepEqual(answers.at(-1), ['b', null]);
  link.break();
  assert.deepEqual(answers.at(-1), ['a', null]);
  ask('e');
  assert.equal(answers.length, 4);
  await pass(0);
  assert.deepEqual(answers.at(-1), ['e', null]);
  await pass(200);
  sockets[1].say(OPENING, '40{"sid":"s2"}', '430[{"ok":true}]');
  await pass(20_000);
  assert.equal(answers.length, 5);
  assert.equal(socket.asked.size, 0);
});

test('what is said while there is no connection is not kept', async () => {
  const { socket, link } = await connected();
  link.break();
  socket.emit('ack', {});
  await pass(200);
  socket.emit('ack', {});
  sockets[1].say(OPENING, '40{"sid":"s2"}');
  assert.deepEqual(sockets[1].sent, ['40']);
});

test('a tab that wakes tries again at once, and leaves a connection that has slept through the silence', async () => {
  const { socket, link } = await connected();
  socket.wake();
  assert.equal(socket.connected, true);
  link.break();
  socket.wake();
  await pass(0);
  assert.equal(sockets.length, 2);
  sockets[1].say(OPENING, '40{"sid":"s2"}');
  mock.timers.setTime(Date.now() + 50_001); // no timer ran meanwhile
  socket.wake();
  assert.equal(socket.connected, false);
  await pass(0);
  assert.equal(sockets.length, 3);
});

// ---- polling

async function polling() {
  network.polls = true;
  const it = opened();
  sockets[0].break();
  requests[0].answer(OPENING);
  await turns();
  assert.equal(requests[1].body, '40');
  assert.equal(requests[1].url.search, '?EIO=4&transport=polling&sid=e1&t=1');
  assert.equal(new Set(requests.map(({ url }) => url.searchParams.get('t'))).size, requests.length, 'each has a name of its own');
  requests[1].answer('ok');
  requests[2].answer('40{"sid":"s1"}');
  await turns();
  assert.equal(it.socket.connected, true);
  return it;
}

const polls = () => requests.filter(({ body }) => body === undefined);
const posts = () => requests.filter(({ body }) => body !== undefined);

test('over polling packets come together, and bytes as base64', async () => {
  const { told } = await polling();
  polls().at(-1).answer(['451-["output",{"data":{"_placeholder":true,"num":0}}]', 'bAQID', '2', '42["end",{}]'].join('\x1e'));
  await turns();
  assert.deepEqual(told, ['connected', ['output', { data: bytes(1, 2, 3) }], ['end', {}]]);
  assert.equal(posts().at(-1).body, '3');
  assert.equal(polls().at(-1).url.searchParams.get('sid'), 'e1');
});

test('over polling one request at a time takes along what waits, no more than the server takes', async () => {
  const { socket } = await polling();
  const before = posts().length;
  for (let index = 0; index < 40; index++) socket.emit('e', { index });
  socket.emit('long', { text: 'x'.repeat(10_000) });
  socket.emit('long', { text: 'y'.repeat(10_000) });
  const seen = [];
  for (let index = 0; index < 5; index++) {
    const made = posts().slice(before);
    assert.equal(made.length, index + 1);
    seen.push(made.at(-1).body.split('\x1e').length);
    assert.ok(made.at(-1).body.length < 32_768 / 3);
    made.at(-1).answer('ok');
    await turns();
  }
  assert.deepEqual(seen, [1, 16, 16, 8, 1]);
});

test('over polling a request that fails is the end, and an end of ours is told', async () => {
  const { socket, told } = await polling();
  polls().at(-1).fail();
  await turns();
  assert.equal(told.at(-1), 'lost');
  assert.equal(posts().length, 1);
  socket.close();
  sockets = [];
  requests = [];
  const other = await polling();
  other.socket.wake();
  polls().at(-1).answer('42[');
  await turns();
  assert.equal(other.told.at(-1), 'lost');
  assert.equal(posts().at(-1).body, '1');
  assert.ok(polls().at(-1).signal.aborted);
});

test('what a page does wrong with an event over polling is reported, and ends nothing', async () => {
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  const { socket } = await polling();
  socket.holder.received = () => {
    throw new Error('mine');
  };
  polls().at(-1).answer('42["end",{}]');
  await turns();
  assert.deepEqual(reported, ['mine']);
  assert.equal(socket.connected, true);
});

test('one that polls goes over to a WebSocket as soon as one gets through', async () => {
  const { told } = await polling();
  for (const count of [2, 3]) {
    for (let quarter = 0; quarter < 4; quarter++) {
      assert.equal(sockets.length, count - 1);
      await pass(30_000);
      polls().at(-1).answer('2');
      await turns();
    }
    assert.equal(sockets.length, count);
    if (count === 2) sockets[1].break();
  }
  assert.deepEqual(told, ['connected']);
  sockets[2].say(OPENING);
  await pass(0);
  assert.equal(sockets[2].readyState, 3);
  sockets[3].say(OPENING, '40{"sid":"s2"}');
  assert.deepEqual(told, ['connected', 'lost', 'connected']);
});
