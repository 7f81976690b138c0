// The rules by which a feed takes over what the server says; run by node through test_modules.py.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CHUNK, Lines } from '../../static/log/chunks.js';
import { crc32 } from '../../static/log/crc.js';
import { Feed } from '../../static/log/feed.js';
import { Marks } from '../../static/log/marks.js';
import { missing, take } from '../../static/log/numbered.js';
import { marked } from '../../static/log/places.js';
import { Ranges } from '../../static/log/ranges.js';
import { Rows } from '../../static/log/rows.js';
import { PLAIN } from '../../static/log/style.js';
import '../../static/log/terminal.js';

const NONCE = 'abcdefghijkl';
const cursor = (at, run = 1) => `${run}.${NONCE}.${at}`;
const after = (at, text) => {
  const [line, byte] = at.split('-').map(Number);
  return `${line + text.split('\n').length - 1}-${byte + new TextEncoder().encode(text).length}`;
};

function begun(mode = 'screen', at = '1-0', end = at) {
  const feed = new Feed({ taskId: 't', run: null, mode });
  feed.answered({ ok: true, run: 1, cursor: cursor(at), task: { id: 't', runs: [{ run: 1, first: '1-0', first_why: '', end, how: null }] } });
  return feed;
}

function say(feed, from, text, run = 1) {
  return feed.received('output', { task_id: 't', run, from, cursor: cursor(after(from, text), run), text });
}

const texts = (feed) => Array.from({ length: feed.rows.last }, (_, i) => feed.line(i + 1)?.text);

test('text that follows is appended, wherever it is cut', () => {
  const text = 'one\ntwo \u20ac\nthree\n\nfive';
  for (let at = 0; at <= text.length; at++) {
    const feed = begun();
    const first = text.slice(0, at);
    say(feed, '1-0', first);
    say(feed, after('1-0', first), text.slice(at));
    assert.deepEqual(texts(feed), text.split('\n'));
  }
});

test('what was delivered before is left out', () => {
  const feed = begun();
  say(feed, '1-0', 'one\ntwo\n');
  say(feed, '1-0', 'one\ntwo\n');
  assert.deepEqual(texts(feed), ['one', 'two']);
  assert.equal(feed.journal.repeats, 1);
});

test('what overlaps by a part is asked for again from the cursor', () => {
  const feed = begun();
  say(feed, '1-0', 'one\ntwo\n');
  assert.equal(say(feed, '2-4', 'two\nthree\n'), 'again');
  assert.deepEqual(texts(feed), ['one', 'two']);
  assert.equal(feed.request().from, cursor('3-8'));
});

test('lines that were skipped are missing until they come by number', () => {
  const feed = begun();
  say(feed, '1-0', 'one\ntw');
  say(feed, '5-30', 'five\nsix\n');
  assert.deepEqual(texts(feed), ['one', undefined, undefined, undefined, 'five', 'six']);
  assert.deepEqual(missing(feed, 1, 6), { line: 2, count: CHUNK - 1 });
  take(feed, { first_line: 2, lines: ['two', 'three', 'four', 'five', 'six'], sgr: '', first_kept_line: 1, end: cursor('7-39'), complete: false, ended: false, gaps: [] });
  assert.deepEqual(texts(feed), ['one', 'two', 'three', 'four', 'five', 'six']);
  assert.equal(missing(feed, 1, 6), null);
});

test('an unfinished line of a range is not taken for a whole one', () => {
  const feed = begun('screen', '1-0');
  feed.received('grown', { run: 1, cursor: cursor('3-11') });
  take(feed, { first_line: 1, lines: ['one', 'two', 'thr'], sgr: '1;31', first_kept_line: 1, end: cursor('3-11'), complete: false, ended: false, gaps: [] });
  assert.equal(feed.rows.last, 2);
  assert.deepEqual(feed.lines.get(2)?.opening, { flags: 1, ink: 1, ground: -1 });
});

test('a gap has a row of its own and the lines keep their numbers', () => {
  const feed = begun();
  say(feed, '1-0', 'one\ntwo\n');
  feed.received('gap', { run: 1, from: '3-8', cursor: cursor('10-88'), bytes: 80, lines: 7, reason: 'dropped' });
  say(feed, '10-88', 'ten\n');
  assert.deepEqual(feed.rows.at(1), { line: 2 });
  assert.equal(feed.rows.at(2).gap.reason, 'dropped');
  assert.deepEqual(feed.rows.at(3), { line: 10 });
  assert.equal(feed.rows.count, 4);
  assert.equal(feed.rows.rowOf(5), 2);
  assert.equal(feed.rows.rowOf(10), 3);
});

test('a gap that begins within a line leaves its beginning to be read', () => {
  const feed = begun();
  say(feed, '1-0', 'one\ntw');
  feed.received('gap', { run: 1, from: '2-6', cursor: cursor('4-30'), bytes: 24, lines: 2, reason: 'lost' });
  say(feed, '4-30', 'r\n');
  assert.deepEqual(Array.from({ length: feed.rows.count }, (_, row) => feed.rows.at(row)?.line ?? 'gap'), [1, 2, 'gap', 4]);
  assert.equal(feed.lines.get(2)?.text, 'tw');
});

test('what is trimmed at the head is one row, and grows', () => {
  const feed = begun('screen', '1001-50000');
  const run = { run: 1, first: '901-45000', first_why: 'trimmed', end: '1001-50000', how: null };
  feed.received('run', { task_id: 't', run });
  assert.equal(feed.rows.at(0).gap.to.line, 901);
  assert.equal(feed.rows.rowOf(1000), 100);
  feed.received('run', { task_id: 't', run: { ...run, first: '951-47000' } });
  assert.equal(feed.gaps.length, 1);
  assert.equal(feed.rows.rowOf(1000), 50);
});

test('the end comes after the last line, and can be taken back', () => {
  const feed = begun();
  say(feed, '1-0', 'one\nlast without end');
  feed.received('end', { task_id: 't', run: 1, cursor: cursor('2-20'), how: 'LOST', detail: {}, crc: null, bytes: 20, lines: 1, last: true });
  assert.deepEqual([feed.state, feed.rows.at(1), feed.rows.at(2)], ['ended', { line: 2 }, 'end']);
  feed.received('run', { task_id: 't', run: { run: 1, first: '1-0', first_why: '', end: '2-20', how: null } });
  assert.equal(feed.state, 'live');
  say(feed, '2-20', '!\n');
  assert.deepEqual(texts(feed), ['one', 'last without end!']);
});

test('a reset forgets the run and goes on from where the server says', () => {
  const feed = begun();
  say(feed, '1-0', 'not valid\n');
  feed.received('reset', { task_id: 't', run: 1, cursor: cursor('1-0'), reason: 'lost' });
  say(feed, '1-0', 'valid\n');
  assert.deepEqual(texts(feed), ['valid']);
  assert.equal(feed.journal.resets, 1);
});

test('the next run is shown at once to who follows, and offered to who reads', () => {
  const feed = begun();
  say(feed, '1-0', 'first run\n');
  feed.following = false;
  say(feed, '1-0', 'second run\n', 2);
  assert.deepEqual([feed.run, feed.offered, texts(feed)], [1, 2, ['first run']]);
  feed.following = true;
  say(feed, '1-0', 'second run\n', 2);
  assert.deepEqual([feed.run, texts(feed)], [2, ['second run']]);
});

test('in mode all every byte counts: the checksum proves it', () => {
  const feed = begun('all');
  const bytes = new TextEncoder().encode('caf\u00e9 \u{1f600}\nend\n');
  for (let at = 0; at < bytes.length; at++) {
    const line = 1 + bytes.subarray(0, at).filter((byte) => byte === 10).length;
    const next = 1 + bytes.subarray(0, at + 1).filter((byte) => byte === 10).length;
    feed.received('output', { task_id: 't', run: 1, from: `${line}-${at}`, cursor: cursor(`${next}-${at + 1}`), data: bytes.slice(at, at + 1).buffer });
  }
  const end = { task_id: 't', run: 1, cursor: cursor(`3-${bytes.length}`), how: 'SUCCESS', detail: {}, bytes: bytes.length, lines: 2, last: true };
  feed.received('end', { ...end, crc: crc32(bytes).toString(16).padStart(8, '0') });
  assert.deepEqual(texts(feed), ['caf\u00e9 \u{1f600}', 'end']);
  assert.equal(feed.journal.verified, true);
});

test('an end that comes before the last of the text is not taken over: both are asked for', () => {
  const feed = begun('all');
  const end = { task_id: 't', run: 1, cursor: cursor('2-5'), how: 'SUCCESS', bytes: 5, crc: '00000001' };
  assert.equal(feed.received('end', end), 'again');
  assert.equal(feed.state, 'live');
  feed.received('output', { task_id: 't', run: 1, from: '1-0', cursor: cursor('2-5'), data: new TextEncoder().encode('text\n').buffer });
  assert.equal(feed.received('end', end), null);
  assert.equal(feed.state, 'ended');
});

test('an end that an earlier subscription still had under way is not taken over', () => {
  const feed = new Feed({ taskId: 't', run: null, mode: 'screen' });
  feed.request();
  feed.received('end', { task_id: 't', run: 1, cursor: cursor('2-5'), how: 'SUCCESS', bytes: 5, last: true });
  assert.equal(feed.state, 'live');
  feed.answered({ ok: true, run: 1, cursor: cursor('1-0'), task: { id: 't', runs: [{ run: 1, first: '1-0', first_why: '', end: '2-5', how: 'SUCCESS' }] } });
  say(feed, '1-0', 'text\n');
  feed.received('end', { task_id: 't', run: 1, cursor: cursor('2-5'), how: 'SUCCESS', bytes: 5, last: true });
  assert.deepEqual([feed.state, texts(feed)], ['ended', ['text']]);
});

test('a checksum of something else is seen', () => {
  const feed = begun('all');
  const data = new TextEncoder().encode('text\n').buffer;
  feed.received('output', { task_id: 't', run: 1, from: '1-0', cursor: cursor('2-5'), data });
  feed.received('end', { task_id: 't', run: 1, cursor: cursor('2-5'), how: 'SUCCESS', bytes: 5, crc: '00000001' });
  assert.equal(feed.journal.verified, false);
});

test('a server that knows of more for a whole heartbeat is asked again', () => {
  const feed = begun();
  say(feed, '1-0', 'one\n');
  assert.equal(feed.received('heartbeat', { end: cursor('2-4') }), null);
  assert.equal(feed.received('heartbeat', { end: cursor('3-8') }), null);
  assert.equal(feed.received('heartbeat', { end: cursor('3-8') }), 'again');
});

test('the lines that are held are bounded, and the newest used stay', () => {
  const lines = new Lines(100_000);
  for (let line = 1; line <= 20_000; line++) lines.put(line, `line ${line} of many`, PLAIN);
  assert.ok(lines.size <= 100_000);
  assert.equal(lines.get(1), undefined);
  assert.equal(lines.get(20_000)?.text, 'line 20000 of many');
});

test('of a line of 8 MB only the beginning is held', () => {
  const lines = new Lines();
  for (let i = 0; i < 512; i++) lines.append('x'.repeat(16_384));
  lines.append('\nnext\n');
  assert.equal(lines.get(1)?.cut, 512 * 16_384);
  assert.ok((lines.get(1)?.text.length ?? 0) <= 16_384);
  assert.equal(lines.get(2)?.text, 'next');
});

test('rows and lines are found from each other', () => {
  const at = (line, byte) => ({ line, byte });
  const gaps = [{ from: at(1, 0), to: at(101, 900), reason: 'trimmed', bare: true }, { from: at(150, 1500), to: at(200, 2500), reason: 'lost', bare: false }];
  const rows = new Rows(gaps, 1_000_000, true);
  for (const line of [101, 149, 150, 200, 201, 5000, 1_000_000]) assert.deepEqual(rows.at(rows.rowOf(line)), { line });
  for (const line of [1, 100, 151, 199]) assert.ok('gap' in rows.at(rows.rowOf(line)));
  assert.equal(rows.at(rows.count - 1), 'end');
  assert.equal(rows.at(rows.count), null);
});

test('marks in an address are read either way round', () => {
  assert.deepEqual(marked('#L12'), [12, 12]);
  assert.deepEqual(marked('#L20-L10'), [10, 20]);
  for (const wrong of ['', '#L', '#L0', '#12', '#L1x', '#L-1']) assert.equal(marked(wrong), null);
});

test('what an earlier subscription still had under way does not decide where a new one begins', () => {
  const feed = new Feed({ taskId: 't', run: null, mode: 'all' });
  feed.request();
  say(feed, '900-9000', 'of the one before\n');
  feed.answered({ ok: true, run: 1, cursor: cursor('1-0'), task: { id: 't', runs: [] } });
  say(feed, '1-0', 'one\n');
  assert.deepEqual(texts(feed), ['one']);
  assert.equal(say(feed, '901-9018', 'beyond\n'), 'again');
  assert.equal(feed.request().from, cursor('2-4'));
  assert.equal(say(feed, '902-9025', 'beyond\n'), null);
});

test('what comes after lines that were skipped has the colours that the server tells', () => {
  const feed = begun();
  say(feed, '1-0', 'one\n');
  feed.received('output', { task_id: 't', run: 1, from: '900-9000', cursor: cursor('901-9005'), text: 'more\n', skipped: 8996, sgr: '1;31' });
  assert.deepEqual(feed.line(900)?.opening, { flags: 1, ink: 1, ground: -1 });
});

test('a view across two pieces asks for both at once, and marks are looked for when both have come', async () => {
  const feed = begun('screen', '1201-12000');
  const asked = [];
  const give = new Map();
  const outputs = {
    range(run, line, count) {
      asked.push(`${line}+${count}`);
      return new Promise((resolve) => give.set(line, resolve));
    },
    async marks() {
      asked.push('marks');
      return { to: '1201-12000', done: true, errors: [], warnings: [], stderr: [], groups: [] };
    },
  };
  const ranges = new Ranges(feed, outputs, (change) => change());
  ranges.want(480, 520);
  assert.deepEqual(asked, ['1+500', '501+500']);
  globalThis.document ??= { hidden: false };
  const looked = new Promise((resolve) => {
    const marks = new Marks(() => resolve(undefined), () => ranges.quiet());
    marks.start(outputs, 1);
    marks.more();
  });
  const piece = (line) => ({ first_line: line, lines: Array.from({ length: 500 }, () => 'x'), sgr: '', end: cursor('1201-12000'), complete: true });
  give.get(501)(piece(501));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(asked.includes('marks'), false);
  give.get(1)(piece(1));
  await looked;
  assert.deepEqual(asked, ['1+500', '501+500', 'marks']);
  assert.equal(feed.line(480)?.text, 'x');
});
