// Lines that are asked for by number: which are missing, and what happens to a feed when they come. They may have been
// written again by what was held before them, and may write again over what is held. Pure.

import { opened } from './ansi.js';
import { CHUNK, LINE_COST, pieceOf } from './chunks.js';
import { cursor as cursorOf, position as positionOf } from './places.js';
import { Rewriting, liveOf } from './rewriting.js';
import { REACHES } from './sequences.js';
import { around, remove } from './spans.js';

/** @typedef {import('./feed.js').Feed} Feed */
/** @typedef {import('./chunks.js').Lines} Lines */
/** @typedef {import('./places.js').Position} Position */
/** @typedef {import('./style.js').Style} Style */

/** So many pieces are asked for only because later ones write into their rows. */
const MOST_CONTEXTS = 24;

/**
 * What to ask for so that lines can be shown; null if all are held. Pieces are asked for whole, so that browsers and
 * proxies can keep the answers, unless an answer was cut short before.
 * @param {Feed} feed @param {number} from @param {number} to
 * @returns {{ line: number, count: number } | null}
 */
export function missing({ lines, firstLine, finished }, from, to) {
  for (let line = Math.max(from, firstLine); line <= Math.min(to, finished); line++) {
    const absorbed = around(lines.absorbed, line);
    if (absorbed) {
      line = absorbed[1];
      continue;
    }
    if (line % CHUNK === 0 || line === from) touch(lines, line);
    if (lines.get(line)) continue;
    const begin = pieceOf(line) * CHUNK + 1;
    const known = begin < line && lines.get(Math.max(begin, firstLine));
    return known ? { line, count: begin + CHUNK - line } : { line: begin, count: CHUNK };
  }
  const context = contextOf(lines, from, to);
  return context >= firstLine ? { line: pieceOf(context) * CHUNK + 1, count: CHUNK } : null;
}

/** A known position before a line's beginning, the nearest one. @param {Feed} feed @param {number} line @returns {Position} */
export function before({ marks, firstKept }, line) {
  return marks.reduce((best, mark) => (mark.line < line && mark.byte > best.byte ? mark : best), firstKept);
}

/**
 * Lines that came.
 * @param {Feed} feed @param {import('./http.js').Range} range
 */
export function take(feed, range) {
  const end = cursorOf(range.end);
  if (!end || end.run !== feed.run) return;
  const { first_line: first } = range;
  for (const gap of range.gaps ?? []) {
    const [from, to] = [positionOf(gap.from), positionOf(gap.to)];
    // what stands before the gap in its first line is known only if that line was asked for
    const held = range.lines[(from?.line ?? 0) - first];
    if (from && to) feed.note({ from, to, reason: gap.reason, bare: !held }, held !== undefined);
  }
  for (const [line, atMs] of range.times ?? []) feed.times.add(line, atMs);
  const cut = (/** @type {number} */ line) => range.cut?.[line] ?? 0;
  const ended = range.lines.slice(0, Math.max(0, end.line - first));
  ended.forEach((text, index) => {
    if (cut(first + index) && text.includes('\r')) feed.rewritten.add(first + index);
  });
  putAll(feed.lines, first, ended, opened(range.sgr), cut);
  feed.growTo(end);
}

/**
 * Hold consecutive lines that have ended.
 * @param {Lines} lines
 * @param {number} first the number of the first one
 * @param {string[]} texts
 * @param {Style} opening the style in force there
 * @param {(line: number) => number} cut how long a line is that is given in part; else 0
 */
export function putAll(lines, first, texts, opening, cut) {
  const live = liveOf(lines);
  const reaching = texts.some((text) => text.includes('\x1b') && REACHES.test(text));
  const newer = Math.max(first, live.from);
  // what came by itself has been written again since: it stays
  if ((reaching || live.reaches) && newer < first + texts.length && lines.get(newer)) texts = texts.slice(0, newer - first);
  if (!texts.length) return;
  const next = first + texts.length;
  remove(lines.absorbed, first, next - 1);
  const strand = new Rewriting(lines, first, opening, screenBefore(lines, first));
  strand.until = next - 1;
  texts.forEach((text, index) => {
    const whole = cut(first + index);
    if (whole && !strand.screen) strand.tail = { ...strand.tail, text, cut: whole };
    else strand.extend(text);
    strand.newline();
  });
  strand.finish();
  ended(lines, first, next, strand);
}

/** Where the lines before this one left the cursor, if that was in a row written again. @param {Lines} lines @param {number} line */
function screenBefore(lines, line) {
  const next = lines.chunks.get(pieceOf(line - 1))?.next;
  return next?.line === line ? next.screen : null;
}

/**
 * Remember how lines ended that came by number; what follows them and depends on that is read again.
 * @param {Lines} lines @param {number} first @param {number} next @param {Rewriting} strand
 */
function ended(lines, first, next, { screen, reaches, clipped }) {
  const chunk = lines.chunks.get(pieceOf(next - 1));
  if (chunk) {
    chunk.next = screen && { line: next, screen };
    chunk.reaches ||= reaches;
    chunk.clipped = clipped || (pieceOf(first) * CHUNK + 1 !== first && chunk.clipped);
  }
  const { live } = lines;
  const after = lines.chunks.get(pieceOf(next));
  if (first < live.from && live.from < next) live.raw = null;
  else if (live.from === next && (screen || live.reaches)) replay(lines);
  else if (after && after !== chunk && (screen || after.reaches)) drop(lines, pieceOf(next), live.from);
}

/** Read again what comes now. @param {Lines} lines */
function replay(lines) {
  const { from, opening, raw, tail } = lines.live;
  if (raw === null) return;
  remove(lines.absorbed, from, tail.line);
  lines.live = new Rewriting(lines, from, opening, screenBefore(lines, from));
  lines.live.append(raw);
}

/**
 * The line to ask for so that rows can be shown that were written again by what is held; 0 if none is missing.
 * @param {Lines} lines
 * @param {number} from @param {number} to lines that are shown
 */
export function contextOf(lines, from, to) {
  const { chunks, contexts, live } = lines;
  const piece = pieceOf(from);
  let line = chunks.get(piece)?.clipped ? piece * CHUNK : 0;
  if (!line && to >= live.from && live.clipped && live.raw !== null) line = live.from - 1;
  if (line < 1 || lines.get(line)) return 0;
  if (contexts.size < MOST_CONTEXTS) contexts.add(line);
  return contexts.has(line) ? line : 0;
}

/** Give up the lines of a piece. @param {Lines} lines @param {number} piece @param {number} until lines from here on stay */
function drop(lines, piece, until) {
  const chunk = lines.chunks.get(piece);
  if (!chunk) return;
  const stay = until - piece * CHUNK - 1;
  chunk.lines.forEach((line, at) => {
    if (!line || at >= stay) return;
    lines.size -= line.text.length + LINE_COST;
    chunk.size -= line.text.length + LINE_COST;
    delete chunk.lines[at];
  });
  Object.assign(chunk, { reaches: false, clipped: false, next: null });
  if (stay >= CHUNK) lines.chunks.delete(piece);
}

/** Say that the lines around are being looked at. @param {Lines} lines @param {number} line */
function touch({ chunks }, line) {
  const piece = pieceOf(line);
  const chunk = chunks.get(piece);
  if (!chunk) return;
  chunks.delete(piece);
  chunks.set(piece, chunk);
}
