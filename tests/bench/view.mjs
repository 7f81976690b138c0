// The log views that are compared: each puts itself into the page and says what it shows. `window.way` has newest(), the
// text of the last row that is shown; jump(line); shows(line); top(), the number of the first line that is shown; count(),
// how many lines it knows of; held(), the characters of the log that it holds, NaN where it does not say. livetask alone
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

async function livetask() {
  await import(`${server}/static/livetask-log.js`);
  window.loaded = performance.now();
  const log = document.createElement('livetask-log');
  log.setAttribute('task-id', task);
  place.replaceWith(log);
  const rows = () => log.view.painted().filter(({ item }) => item.kind === 'line');
  return {
    newest: () => rows().at(-1)?.text.textContent ?? '',
    jump: (line) => log.jump(line),
    shows: (line) => rows().some(({ item }) => item.number === line),
    top: () => log.extras.lineAt(log.view.top),
    count: () => log.feed.finished,
    held: () => log.feed.lines.size,
    search: async (text) => {
      const begun = performance.now();
      await log.search(text);
      const { search } = log.extras;
      const first = await window.until(() => search.total > 0, 30_000);
      await window.until(() => search.state === 'done', 60_000);
      return { first_ms: first, all_ms: performance.now() - begun, matches: search.total };
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

/** Frames for a while: how many a second, how far apart, and how old the newest line was that each showed. */
window.watched = async (seconds) => {
  const [gaps, ages] = [[], []];
  const begun = performance.now();
  let last = begun;
  for (;;) {
    const now = await new Promise(requestAnimationFrame);
    gaps.push(now - last);
    last = now;
    const at = Number(/^\d+ (\d{13})/.exec(window.way.newest())?.[1]);
    if (at) ages.push(Date.now() - at);
    if (now - begun > seconds * 1000) break;
  }
  const share = (values, part) => values.sort((a, b) => a - b)[Math.floor(values.length * part)] ?? NaN;
  return { fps: gaps.length / ((last - begun) / 1000), gap95: share(gaps, 0.95), age50: share(ages, 0.5), age95: share(ages, 0.95) };
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
