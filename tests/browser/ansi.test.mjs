// What a line of output looks like; run by node through test_modules.py.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { closing, resolved } from '../../static/log/ansi.js';
import { parameters } from '../../static/log/columns.js';
import { compacted, shown } from '../../static/log/sequences.js';
import { BOLD, PLAIN, TRUE_COLOUR, styled } from '../../static/log/style.js';
import '../../static/log/terminal.js';

const styleOf = (text) => resolved(`${text}x`).runs.at(-1).style;

test('text without escape codes is one run as it is', () => {
  assert.deepEqual(resolved('a <b>bold</b> claim').runs, [{ text: 'a <b>bold</b> claim', style: PLAIN }]);
  assert.deepEqual(resolved('').runs, []);
});

test('the 16, the 256 and the true colours are told apart', () => {
  assert.equal(styleOf('\x1b[31m').ink, 1);
  assert.equal(styleOf('\x1b[91m').ink, 9);
  assert.equal(styleOf('\x1b[38;5;208m').ink, 208);
  assert.equal(styleOf('\x1b[38;2;1;2;3m').ink, TRUE_COLOUR + 0x010203);
  assert.equal(styleOf('\x1b[48;5;17m').ground, 17);
  assert.equal(styleOf('\x1b[38;2;999;2;3m').ink, -1);
  assert.deepEqual(styleOf('\x1b[1;31m\x1b[0m'), PLAIN);
});

test('a colour that is open at the end of a line is known to the next', () => {
  const open = closing('a \x1b[1;32mgreen', PLAIN);
  assert.deepEqual(open, { flags: BOLD, ink: 2, ground: -1 });
  assert.deepEqual(resolved('still', open).runs, [{ text: 'still', style: open }]);
  assert.deepEqual(styled(PLAIN, parameters(open)), open);
});

test('a carriage return writes the line again', () => {
  assert.equal(shown('  1%|#   |\r 50%|##  |\r100%|####|'), '100%|####|');
  assert.equal(shown('long text\rnew'), 'newg text');
  assert.equal(shown('long text\r\x1b[Knew'), 'new');
  assert.equal(shown('windows line end\r'), 'windows line end');
});

test('backspace, cursor movements and erasing do what a terminal does', () => {
  assert.equal(shown('abc\b\bX'), 'aXc');
  assert.equal(shown('abc\x1b[2DX'), 'aXc');
  assert.equal(shown('abc\r\x1b[2CX'), 'abX');
  assert.equal(shown('abcdef\x1b[3G\x1b[K'), 'ab');
  assert.equal(shown('abcdef\x1b[2K\x1b[1Gz'), 'z');
  assert.equal(shown('abcdef\r\x1b[2P'), 'cdef');
  assert.equal(shown('a\r\tb'), 'a       b');
  assert.equal(shown('\u65e5\u672c\rab'), 'ab\u672c');
});

test('control characters and turns of direction become visible', () => {
  assert.equal(shown('a\x00b\x07c\x7fd'), 'a\u2400b\u2407c\u2421d');
  assert.equal(shown('user\u202egnp.exe'), 'user<U+202E>gnp.exe');
  assert.equal(shown('\ud800 lone'), '\ufffd lone');
  assert.equal(shown('emoji \u{1f600} stays'), 'emoji \u{1f600} stays');
});

test('titles, links and unknown sequences are left out, their text stays', () => {
  assert.equal(shown('\x1b]0;a title\x07text'), 'text');
  assert.equal(shown('\x1b]8;;https://example.org\x1b\\a link\x1b]8;;\x1b\\'), 'a link');
  assert.equal(shown('\x1b[?25lhidden cursor\x1b[?25h'), 'hidden cursor');
  assert.equal(shown('\x1bPq data \x1b\\after'), 'after');
  assert.equal(shown('\x1b(Bcharset'), 'charset');
});

test('a sequence that does not end cannot hide what follows', () => {
  assert.equal(shown('\x1b]0;no end, then text'), '\u241b]0;no end, then text');
  assert.equal(shown('cut \x1b['), 'cut \u241b[');
  assert.equal(shown(`\x1b]${'x'.repeat(10_000)}\x07`).length, 10_003);
});

test('a line that was rewritten often becomes short and goes on the same way', () => {
  const steps = Array.from({ length: 500 }, (_, i) => `\r\x1b[32m${i}/500\x1b[0m ${'#'.repeat(i % 40)}\x1b[K`);
  let text = '';
  let short = '';
  for (const step of steps) {
    text += step;
    short = compacted(short + step, PLAIN);
    assert.deepEqual(resolved(short).runs, resolved(text).runs);
  }
  assert.ok(short.length < 200);
  assert.equal(shown(`${short}tail`), shown(`${text}tail`));
});

test('a bomb of escape codes is resolved within its limits', () => {
  assert.ok(shown(`${'\x1b[31;1;4m'.repeat(20_000)}x`).endsWith('x'));
  assert.ok(shown(`\x1b[999999999Cx\x1b[999999999@`).length <= 65_537);
  assert.equal(shown('\r'.repeat(100_000)), '');
});

const linkOf = (text) => resolved(text).runs.find((run) => run.text === 'x')?.style.link;

test('links lead to web pages and nowhere else', () => {
  assert.equal(linkOf('\x1b]8;;https://example.org/a?b=c\x1b\\x\x1b]8;;\x1b\\y'), 'https://example.org/a?b=c');
  assert.equal(linkOf('\x1b]8;id=1;http://example.org\x07x'), 'http://example.org');
  for (const bad of ['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', '//example.org', 'https://', ' https://a.b', 'https://a.b/\u202e', `https://a.b/${'c'.repeat(3000)}`]) {
    assert.equal(linkOf(`\x1b]8;;${bad}\x07x`), undefined, bad);
  }
});

test('a link that is open at the end of a line is known to the next', () => {
  const open = closing('a \x1b]8;;https://a.example/\x07link', PLAIN);
  assert.equal(open.link, 'https://a.example/');
  assert.equal(closing('end\x1b]8;;\x07', open), PLAIN);
  const bar = compacted('one \x1b]8;;https://a.example/\x07two\x1b]8;;\x07\rone', PLAIN);
  assert.deepEqual(resolved(bar).runs.map((run) => [run.text, run.style.link]), [['one ', undefined], ['two', 'https://a.example/']]);
});

test('colours written with colons are understood', () => {
  assert.equal(styleOf('\x1b[38:5:208m').ink, 208);
  assert.equal(styleOf('\x1b[38:2:1:2:3m').ink, TRUE_COLOUR + 0x010203);
  assert.equal(styleOf('\x1b[38:2::1:2:3m').ink, TRUE_COLOUR + 0x010203);
  assert.equal(styleOf('\x1b[4:3m').flags, 8);
  assert.equal(styleOf('\x1b[4m\x1b[4:0m').flags, 0);
});

test('strings that never end hide nothing and cost little', () => {
  const begun = process.cpuUsage();
  const text = shown(`${'\x1b]0;'.repeat(60_000)}secret`);
  assert.ok(text.endsWith('secret'));
  assert.ok(process.cpuUsage(begun).user < 1_500_000);
  assert.equal(shown(`a\x1bP${'x'.repeat(4000)}\x1b\\b`), 'ab');
  assert.ok(shown(`a\x1b]${'x'.repeat(5000)}\x07b`).includes('xxx'));
});
