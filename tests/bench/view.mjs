// The log views that are compared: each puts itself into the page and says what it shows. `window.way` has newest(), the
// text of the last row that is shown; jump(line); shows(line); top(), the number of the first line that is shown; count(),
// of how many lines it knows that came since it was scrolled up, and before; held(), the characters of the log that it holds, NaN where it does not say. livetask alone
// has search(text). All are given the same output by the same server.

const query = new URLSearchParams(location.search);
const server = query.get('server');
const task = query.get('task');
const place = document.getElementById('place');
const ROW_PX = 20;
const DECODER = new TextDecoder();

/** All of the output, piece by piece, as a program would take it. @param {(text: string) => void} took */
async function followed(took) {
  const { io } = await import('./socket.io.esm.min.js');
  window.loaded = performance.now();
  const socket = io(server, { transports: ['websocket'] });
  socket.on('output', ({ data, cursor }) => {
    took(DECODER.decode(data, { stream: true }));
    socket.emit('ack', { task_id: task, cursor });
  });
  socket.on('connect', () => socket.emit('subscribe', { task_id: task, from: 'start', mode: 'all', binary: true }));
}

/** What it shows is read off the page alone, so that nothing but its public methods has to keep its name. */
async function livetask() {
  await import(`${server}/static/livetask-log.js`);
  window.loaded = performance.now();
  const log = document.createElement('livetask-log');
  log.setAttribute('task-id', task);
  place.replaceWith(log);
  const root = log.shadowRoot;
  const rows = () => [...root.querySelectorAll('.row.line')].map((row) => [Number(row.dataset.line), row]).sort(([a], [b]) => a - b);
  // asked with each frame, so without much ado
  const newest = () => {
    let [most, found] = [0, null];
    for (const row of root.querySelectorAll('.row.line')) if (Number(row.dataset.line) > most) [most, found] = [Number(row.dataset.line), row];
    return found?.querySelector('.text').textContent ?? '';
  };
  const number = (text) => Number(/([\d,]+)/.exec(text ?? '')?.[1].replaceAll(',', '') ?? 0);
  return {
    newest,
    jump: (line) => log.jump(line),
    shows: (line) => rows().some(([number]) => number === line),
    top: () => rows()[0]?.[0] ?? 0,
    count: () => number(root.querySelector('.pill')?.textContent),
    held: () => log.feed?.lines?.size ?? NaN,
    search: async (text) => {
      const begun = performance.now();
      await log.search(text);
      const said = () => /of ([\d,]+)(…?)$/.exec(root.querySelector('.count')?.textContent ?? '');
      const first = await window.until(() => number(said()?.[1]) > 0, 30_000);
      await window.until(() => said()?.[2] === '', 60_000);
      return { first_ms: first, all_ms: performance.now() - begun, matches: number(said()?.[1]) };
    },
  };
}

async function tanstack() {
  // it asks for the mode as in node
  window.process ??= { env: { NODE_ENV: 'production' } };
  const { Virtualizer, elementScroll, observeElementOffset, observeElementRect } = await import('./virtual-core/index.js');
  const lines = [];
  let tail = '';
  const inner = place.appendChild(document.createElement('div'));
  inner.style.position = 'relative';
  let asked = false;
  let follow = true;
  let shown = [];
  const options = () => ({
    count: lines.length, getScrollElement: () => place, estimateSize: () => ROW_PX, overscan: 5,
    observeElementRect, observeElementOffset, scrollToFn: elementScroll, onChange: () => later(),
  });
  const list = new Virtualizer(options());
  list._didMount();
  list._willUpdate();
  function later() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(draw);
  }
  function draw() {
    asked = false;
    list.setOptions(options());
    list._willUpdate();
    inner.style.height = `${list.getTotalSize()}px`;
    if (follow && lines.length) list.scrollToIndex(lines.length - 1, { align: 'end' });
    shown = list.getVirtualItems();
    inner.replaceChildren(...shown.map(({ index, start }) => {
      const row = document.createElement('div');
      row.className = 'line';
      row.style.transform = `translateY(${start}px)`;
      row.textContent = lines[index];
      return row;
    }));
  }
  await followed((text) => {
    const parts = (tail + text).split('\n');
    tail = parts.pop();
    for (const part of parts) lines.push(part);
    later();
  });
  const seen = (index) => {
    const at = index * ROW_PX - place.scrollTop;
    return at >= -ROW_PX && at < place.clientHeight;
  };
  return {
    newest: () => lines[shown.findLast(({ index }) => seen(index))?.index ?? -1] ?? '',
    jump: (line) => {
      follow = false;
      list.scrollToIndex(line - 1, { align: 'center' });
      later();
    },
    shows: (line) => shown.some(({ index }) => index === line - 1 && seen(index)),
    top: () => Math.floor(place.scrollTop / ROW_PX) + 1,
    count: () => lines.length,
    held: () => lines.reduce((sum, line) => sum + line.length, 0),
  };
}

async function xterm() {
  // its file is no module: what it defines is the page's
  const terminal = new window.Terminal({ cols: 140, rows: 40, scrollback: 2_000_000, convertEol: true, fontSize: 13 });
  terminal.open(place);
  await followed((text) => terminal.write(text));
  const { active } = terminal.buffer;
  const text = (y) => active.getLine(y)?.translateToString(true) ?? '';
  return {
    newest: () => text(active.viewportY + terminal.rows - 1) || text(active.viewportY + terminal.rows - 2),
    jump: (line) => terminal.scrollToLine(Math.max(0, line - 20)),
    shows: (line) => line - 1 >= active.viewportY && line - 1 < active.viewportY + terminal.rows && text(line - 1) !== '',
    top: () => active.viewportY + 1,
    count: () => active.length,
    held: () => NaN,
  };
}

/** When the newest line was printed of which a text tells, by the time in it. @param {string} text */
const printedAt = (text) => Number([...text.matchAll(/(?:^|\n|\\n)\d+ (\d{13}) words/g)].at(-1)?.[1]);

/** How old the newest line was in each message when it came. @type {number[]} */
let came = [];
const hear = async ({ data }) => {
  const now = Date.now();
  // output comes as text, whose end is the newest; or as bytes
  const text = typeof data === 'string' ? data.slice(-300) : DECODER.decode((await new Blob([data]).arrayBuffer()).slice(-300));
  const at = printedAt(text);
  if (at) came.push(now - at);
};
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...how) {
    super(...how);
    this.addEventListener('message', hear);
  }
};

/** The value below which a part of the weights lies. @param {[value: number, weight: number][]} values @param {number} part */
function share(values, part) {
  let left = values.reduce((sum, [, weight]) => sum + weight, 0) * part;
  for (const [value, weight] of values.sort(([a], [b]) => a - b)) if ((left -= weight) <= 0) return value;
  return NaN;
}
const STEPS = 8;

/**
 * Frames for a while: how many a second, and how far apart; how old each line was in the first frame that showed it or
 * one after it; and how old the newest line was in any frame. Lines between two that were seen were printed evenly.
 */
window.watched = async (seconds) => {
  const [gaps, ages, stale] = [[], [], []];
  const begun = performance.now();
  let [last, line, printed] = [begun, 0, 0];
  came = [];
  for (;;) {
    const now = await new Promise(requestAnimationFrame);
    gaps.push([now - last, 1]);
    last = now;
    await new Promise((resolve) => setTimeout(resolve)); // all that is drawn in this frame has been
    const seen = /^(\d+) (\d{13})/.exec(window.way.newest());
    if (seen) {
      const [number, at, shown] = [Number(seen[1]), Number(seen[2]), Date.now()];
      stale.push([shown - at, 1]);
      const fresh = line ? number - line : 0;
      const steps = Math.min(fresh, STEPS);
      for (let step = 1; step <= steps; step++) ages.push([shown - printed - ((at - printed) * step) / steps, fresh / steps]);
      if (number > line) [line, printed] = [number, at];
    }
    if (now - begun > seconds * 1000) break;
  }
  return {
    fps: gaps.length / ((last - begun) / 1000), gap95: share(gaps, 0.95), shown50: share(ages, 0.5), shown95: share(ages, 0.95),
    came95: share(came.map((age) => [age, 1]), 0.95), stale95: share(stale, 0.95),
  };
};

/** How long it takes until something holds, in ms, looked at with every frame. */
window.until = async (holds, withinMs) => {
  const begun = performance.now();
  while (!holds()) {
    if (performance.now() - begun > withinMs) return NaN;
    await new Promise(requestAnimationFrame);
  }
  return performance.now() - begun;
};
window.tailShown = (line, withinMs) => window.until(() => window.way?.newest().startsWith(`${line} `) ?? false, withinMs).then(() => performance.now());
window.jumped = (line, withinMs) => {
  window.way.jump(line);
  return window.until(() => window.way.shows(line), withinMs);
};
/** How many lines a view that was scrolled up moves while so many lines come, at most, as each frame shows it. */
window.moved = async (lines, withinMs) => {
  const [top, count, begun] = [window.way.top(), window.way.count(), performance.now()];
  let most = 0;
  while (window.way.count() < count + lines) {
    if (performance.now() - begun > withinMs) return NaN;
    await new Promise(requestAnimationFrame);
    most = Math.max(most, Math.abs(window.way.top() - top));
  }
  return most;
};
window.way = await { livetask, tanstack, xterm }[query.get('way')]();
