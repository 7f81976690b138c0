// The rules of the dashboard's list and paces; run by node through test_modules.py.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ORDERS, TaskList } from '../../static/dash/list.js';
import { Pace, rateText } from '../../static/dash/pace.js';
import { parts } from '../../static/dash/traceback.js';

const task = (id, more = {}) => ({ id, name: `n-${id}`, state: 'RUNNING', began_at: 100, changed_at: 100, ...more });
const ids = (list, now = 0) => list.shown(now).map(({ id }) => id);

test('tasks are shown in each order as the server has it', () => {
  const list = new TaskList();
  list.put(task('a', { began_at: 30, name: 'Zoo', state: 'SUCCESS', ended_at: 90 }));
  list.put(task('b', { began_at: 20, name: 'ape' }));
  list.put(task('c', { began_at: null, queued_at: 40, name: null, state: 'QUEUED' }));
  const found = {};
  for (const order of Object.keys(ORDERS)) {
    list.order = order;
    found[order] = ids(list, 60).join('');
  }
  assert.deepEqual(found, { newest: 'cab', oldest: 'bac', name: 'bac', duration: 'abc', state: 'bca' });
});

test('what comes after the last page is not shown before that page is here', () => {
  const list = new TaskList();
  list.answered({ tasks: [task('a', { began_at: 90 }), task('b', { began_at: 80 })], next: 'token' }, 0);
  list.put(task('c', { began_at: 10 }));
  list.put(task('d', { began_at: 95 }));
  assert.deepEqual(ids(list), ['d', 'a', 'b']);
  list.add({ tasks: [task('e', { began_at: 20 })], next: null }, 0);
  assert.deepEqual(ids(list), ['d', 'a', 'b', 'e', 'c']);
});

test('pinned tasks stand before the others, and those that are not listed nowhere', () => {
  const list = new TaskList();
  list.answered({ tasks: [task('a', { began_at: 90 }), task('b', { began_at: 80 })], next: 'token' }, 0);
  list.pinned = new Set(['b', 'old']);
  list.put(task('old', { began_at: 1 }));
  assert.deepEqual(ids(list), ['b', 'old', 'a']);
  list.put(task('old', { began_at: 1 }), false);
  assert.deepEqual(ids(list), ['b', 'a']);
  list.drop('b');
  assert.deepEqual(ids(list), ['a']);
});

test('an answer takes the place of all that was known', () => {
  const list = new TaskList();
  list.put(task('a'));
  list.answered({ tasks: [task('b')], counts: { RUNNING: 1 } }, 0);
  assert.deepEqual([ids(list), list.countOf([]), list.countOf(['FAILURE'])], [['b'], 1, 0]);
});

test('who follows a task and is told of it says nothing about the list', () => {
  const list = new TaskList();
  list.answered({ tasks: [task('a')], counts: { RUNNING: 1 } }, 0);
  list.heard(task('a', { lines: 5 }));
  list.heard(task('b'));
  assert.deepEqual([ids(list), list.tasks.get('a').lines, list.tasks.has('b')], [['a'], 5, false]);
  list.heard(task('a', { state: 'SUCCESS' }), false);
  list.heard(task('a', { state: 'SUCCESS' }));
  assert.deepEqual([ids(list), list.tasks.get('a').state], [[], 'SUCCESS']);
  list.heard(task('b'), true);
  assert.deepEqual(ids(list), ['b']);
});

test('a tab asks for its states', () => {
  const list = new TaskList();
  list.tab = 'failed';
  list.text = 'name:x';
  assert.deepEqual(list.request(), { q: 'name:x', state: 'FAILURE,LOST,REJECTED', sort: 'newest' });
});

test('the rate is that of the last seconds, and one look a second counts', () => {
  const pace = new Pace();
  for (let ms = 0; ms <= 10_000; ms += 500) pace.look(ms, ms / 10);
  assert.equal(pace.rates.length, 10);
  assert.equal(Math.round(pace.rate), 100);
  assert.match(pace.points(56, 14), /^[\d., -]+$/);
  pace.look(200_000, 1000);
  assert.equal(pace.rates.length, 60);
  assert.equal(pace.rate, 0);
});

test('a run that begins again does not count backwards, and silence draws nothing', () => {
  const pace = new Pace();
  pace.look(0, 500);
  pace.look(1000, 3);
  assert.deepEqual(pace.rates, []);
  pace.look(2000, 3);
  assert.equal(pace.points(56, 14), '');
});

test('what is left follows the last minute, else the whole time, and is not guessed without a total', () => {
  const pace = new Pace();
  assert.equal(pace.left({ current: 25, total: 100 }, 1000, 0), null);
  assert.equal(pace.left({ current: 25, total: 100 }, 10_000, 5000), 15_000);
  assert.equal(pace.left({ current: 50, total: 100 }, 20_000, 5000), 50 * 19_000 / 25);
  for (const wrong of [null, { current: 3, total: null }, { current: 0, total: 9 }, { current: 9, total: 9 }, { current: 'x', total: 9 }]) {
    assert.equal(new Pace().left(wrong, 10, 5), null);
  }
});

test('rates are short', () => {
  assert.deepEqual([0.01, 0.5, 51, 5100].map(rateText), ['', '0.5/s', '51/s', '5.1k/s']);
});

const TRACEBACK = `Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
                 ^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/contextlib.py", line 81, in inner
    return func(*args, **kwds)
  File "/srv/app/report.py", line 88, in build
    rows = table["rows"]
  File "<frozen importlib._bootstrap>", line 3, in load
KeyError: 'rows'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "C:\\app\\lib\\site-packages\\redis\\client.py", line 1, in get
    go()
ValueError: two
lines
`;

test('a traceback is taken apart into own frames and those of libraries, and no line is lost', () => {
  const found = parts(TRACEBACK);
  assert.equal(`${found.map(({ text }) => text).join('\n')}\n`, TRACEBACK);
  assert.deepEqual(found.map(({ own, frames, names }) => [own, frames, names.join()]), [
    [true, 0, ''], [false, 2, 'celery,contextlib'], [true, 1, ''], [false, 1, 'frozen importlib._bootstrap'], [true, 0, ''], [false, 1, 'redis'], [true, 0, ''],
  ]);
});

test('what is no traceback stays one text', () => {
  assert.deepEqual(parts('KeyError'), [{ own: true, text: 'KeyError', frames: 0, names: [] }]);
  assert.equal(parts('').length, 1);
});
