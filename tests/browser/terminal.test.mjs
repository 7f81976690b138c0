// What programs draw on a terminal ends as the same rows here as in xterm.js; run by node through test_modules.py.
// The fixtures are recordings of the programs in tests/real/terminal_programs.py.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

import headless from '@xterm/headless';

import { resolved } from '../../static/log/ansi.js';
import { CHUNK, Lines } from '../../static/log/chunks.js';
import { contextOf, putAll } from '../../static/log/numbered.js';
import { shown } from '../../static/log/sequences.js';
import { around } from '../../static/log/spans.js';
import { BOLD, DEFAULT, PLAIN, TRUE_COLOUR } from '../../static/log/style.js';
import '../../static/log/terminal.js';

const COLUMNS = 100;
const HERE = process.env.LIVETASK_TEST_RECORDINGS ? pathToFileURL(`${process.env.LIVETASK_TEST_RECORDINGS}/`) : new URL('./terminal/', import.meta.url);
const fixture = (name) => readFileSync(new URL(name, HERE), 'utf8');
const fixtures = readdirSync(HERE).filter((name) => name.endsWith('.out'));

/** The rows of a terminal of 100 rows, those that have scrolled away included. */
async function terminal(text) {
  const xterm = new headless.Terminal({ cols: COLUMNS, rows: 100, scrollback: 100_000, convertEol: true, allowProposedApi: true });
  await new Promise((done) => xterm.write(text, done));
  const { active } = xterm.buffer;
  return Array.from({ length: active.length }, (_, y) => active.getLine(y));
}

const texts = (rows) => trimmed(rows.map((row) => row.translateToString(true)));

function trimmed(rows) {
  const kept = rows.map((row) => row.trimEnd());
  while (kept.at(-1) === '') kept.pop();
  return kept;
}

/** The lines that have a row, from the first to the last. */
function heldLines(lines) {
  const found = [];
  for (let line = 1; line <= lines.tail.line; line++) {
    if (!around(lines.absorbed, line)) found.push(line === lines.tail.line ? lines.tail : lines.get(line));
  }
  return found;
}

const screenOf = (lines) => trimmed(heldLines(lines).map((line) => shown(line.text)));

function inPieces(text, size) {
  const lines = new Lines();
  for (let at = 0; at < text.length; at += size) lines.append(text.slice(at, at + size));
  return lines;
}

/** The same by number, as a page reads a log that was written before. */
function byNumber(text, order) {
  const all = text.split('\n').slice(0, -1);
  const lines = new Lines();
  for (const piece of order(Math.ceil(all.length / CHUNK))) putAll(lines, piece * CHUNK + 1, all.slice(piece * CHUNK, (piece + 1) * CHUNK), PLAIN, () => 0);
  lines.live.tail.line = all.length + 1;
  return lines;
}

for (const name of fixtures) {
  test(`${name} ends on the same screen as in xterm.js, wherever it is cut`, async () => {
    const text = fixture(name);
    const wanted = texts(await terminal(text));
    assert.ok(wanted.length > 1);
    for (const size of [Infinity, 4096, 1000, 61, 7, 1]) assert.deepEqual(screenOf(inPieces(text, size)), wanted, `in pieces of ${size}`);
  });

  test(`${name} looks the same at every moment as in xterm.js`, async () => {
    const text = fixture(name);
    const step = Math.ceil(text.length / 12);
    for (let end = step; end < text.length; end += step) {
      const part = text.slice(0, end).replace(/\x1b[^a-zA-Z\x07]*$/, '');
      assert.deepEqual(screenOf(inPieces(part, 4096)), texts(await terminal(part)), `after ${end}`);
    }
  });

  test(`${name} has the colours that it has in xterm.js`, async () => {
    const text = fixture(name);
    const rows = await terminal(text);
    heldLines(inPieces(text, 500)).forEach((line, y) => {
      let x = 0;
      for (const { text: run, style } of resolved(line.text, line.opening).runs) {
        for (const sign of run) {
          if (/\p{M}/u.test(sign)) continue;
          const cell = rows[y].getCell(x);
          x += Math.max(1, cell?.getWidth() ?? 1);
          if (!cell || sign === ' ') continue;
          assert.equal(cell.getChars(), sign, `row ${y}`);
          const ink = cell.isFgDefault() ? DEFAULT : cell.isFgRGB() ? TRUE_COLOUR + cell.getFgColor() : cell.getFgColor();
          assert.deepEqual([style.ink, style.flags & BOLD], [ink, cell.isBold() ? BOLD : 0], `row ${y}: ${run}`);
        }
      }
    });
  });
}

/** A table of three rows that is drawn again and again, as rich does it. */
function redrawn(times) {
  let text = 'before\n';
  for (let i = 0; i < times; i++) text += `${i ? '\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K' : ''}a ${i}\nb ${i}\nc ${i}`;
  return `${text}\nafter\n`;
}

test('each row is there at every moment, wherever the pieces end in which it comes', async () => {
  const up = '\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K';
  const text = `before\na 0\nb 0\nc 0${up}half\na 1\nb 1\nc 1${up}a 2\nb 2\nc 2\nafter\n`;
  for (const size of [1, 2, 3, 5, 8, 13]) {
    const lines = new Lines();
    for (let end = size; end < text.length; end += size) {
      lines.append(text.slice(end - size, end));
      const part = text.slice(0, end);
      if (!/\x1b[^a-zA-Z]*$/.test(part)) assert.deepEqual(screenOf(lines), texts(await terminal(part)), `after ${end}, in pieces of ${size}`);
    }
  }
});

test('rows that were drawn again over thousands of lines are the same when they are read by number', async () => {
  const text = redrawn(1200);
  const wanted = texts(await terminal(text));
  assert.deepEqual(wanted, ['before', 'a 1199', 'b 1199', 'c 1199', 'after']);
  assert.deepEqual(screenOf(byNumber(text, (count) => [...Array(count).keys()])), wanted);
});

test('a bar of each piece is left where the lines before it have not come', () => {
  const text = redrawn(1200);
  const lines = byNumber(text, (count) => [count - 1]);
  assert.ok(lines.chunks.get(Math.floor(2400 / CHUNK))?.clipped);
  assert.equal(contextOf(lines, 2300, 2401), Math.floor(2400 / CHUNK) * CHUNK);
});

test('what is read again when the lines before it come replaces what was held', () => {
  const text = redrawn(300);
  const all = text.split('\n').slice(0, -1);
  const live = 450;
  const lines = new Lines();
  lines.skipTo(live);
  lines.append(`${all.slice(live - 1).join('\n')}\n`);
  assert.ok(lines.live.clipped);
  assert.equal(contextOf(lines, live, live + 10), live - 1);
  putAll(lines, 1, all.slice(0, 500), PLAIN, () => 0);
  assert.deepEqual(screenOf(lines), ['before', 'a 299', 'b 299', 'c 299', 'after']);
});

test('rows beyond the window are final', async () => {
  let text = '';
  for (let i = 1; i <= 150; i++) text += `row ${i}\n`;
  text += '\x1b[500Achanged\x1b[500B\r';
  const wanted = texts(await terminal(text));
  assert.equal(wanted[51], 'changed');
  assert.deepEqual(screenOf(inPieces(text, 4096)), wanted);
});

test('erasing, inserting, deleting and going home do what they do in xterm.js', async () => {
  const head = 'one\ntwo\nthree\nfour\n';
  for (const what of ['\x1b[2A\x1b[J', '\x1b[2J', '\x1b[H\x1b[2Jnew', '\x1b[2;3Hx', '\x1b[3A\x1b[M', '\x1b[3A\x1b[2M\x1b[L', '\x1b[3A\x1b[1J', '\x1b[2Fup', '\x1b[4Ao\x1b[Edown',
    '\x1b7\x1b[3Asaved\x1b8back', '\x1b[s\x1b[2Asaved\x1b[uback', '\x1bM\x1bMup', '\x1b[2A\x1b[2K', '\x1b[3Jkept', '\x1b[99Atop', '\x1b[A\x1b[31mred\x1b[m\x1b[K\n']) {
    assert.deepEqual(screenOf(inPieces(head + what, 3)), texts(await terminal(head + what)), JSON.stringify(what));
  }
});

test('a bomb of cursor movements costs little', () => {
  const begun = process.cpuUsage();
  const lines = new Lines();
  for (let i = 0; i < 50; i++) lines.append(`${'\x1b[99A\x1b[2J\x1b[99B\x1b[L'.repeat(400)}x\n`);
  assert.ok(process.cpuUsage(begun).user < 4_000_000);
  assert.ok(heldLines(lines).length <= 60);
});
