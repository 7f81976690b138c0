// Reads one line whole, however long: from a known position on, piece by piece, up to its end.

/** @typedef {import('./places.js').Position} Position */

const NEWLINE = 10;
/** No more of one line is read. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * @param {import('./http.js').Outputs} outputs
 * @param {number} run
 * @param {number} line
 * @param {Position} from a position at or before the line's beginning
 * @param {{ signal?: AbortSignal, progress?: (bytes: number) => void }} [options]
 * @returns {Promise<string>}
 */
export async function wholeLine(outputs, run, line, from, { signal, progress } = {}) {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let text = '';
  let at = from.line;
  let offset = `${from.line}-${from.byte}`;
  let size = 0;
  for (;;) {
    const piece = await outputs.read(run, offset, signal);
    let begin = 0;
    while (at < line && begin >= 0) {
      begin = piece.bytes.indexOf(NEWLINE, begin) + 1;
      if (begin === 0) break;
      at++;
    }
    if (at === line) {
      const rest = piece.bytes.subarray(begin);
      const end = rest.indexOf(NEWLINE);
      text += decoder.decode(end < 0 ? rest : rest.subarray(0, end), { stream: end < 0 });
      size += end < 0 ? rest.length : end;
      if (end >= 0 || size >= MOST_BYTES) return text;
    }
    if (piece.next === offset || (piece.upToDate && !piece.bytes.length)) return text + decoder.decode();
    offset = piece.next;
    // a piece that could not be read leaves the position as the only truth about the line it is in
    if (!piece.bytes.length) at = Number.parseInt(offset.split('.').at(-1) ?? '', 10) || at;
    progress?.(size);
  }
}
