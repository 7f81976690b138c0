// A Python traceback taken apart: the frames of one's own code, and between them those of libraries. Pure.

/** @typedef {{ own: boolean, text: string, frames: number, names: string[] }} Part  one or more frames, or other lines */

const FRAME = /^ *(?:[|+] ?)*File "([^"]*)", line \d+/;
/** The first that fits says the library's name. */
const LIBRARIES = [/[\\/](?:site|dist)-packages[\\/]([^\\/]+)/, /[\\/]lib(?:64)?[\\/]python[\d.]+[\\/]([^\\/]+)/, /^<(frozen [^>]*)>/];

/**
 * The parts of a traceback in their order: neighbouring frames of libraries are one part, which can be folded.
 * @param {string} text
 * @returns {Part[]}
 */
export function parts(text) {
  /** @type {Part[]} */
  const found = [];
  let inFrame = false;
  for (const line of text.replace(/\n$/, '').split('\n')) {
    const path = FRAME.exec(line)?.[1];
    const last = found.at(-1);
    if (path !== undefined) {
      const name = libraryOf(path);
      if (last?.frames && last.own === (name === null)) {
        last.text += `\n${line}`;
        last.frames++;
        if (name && !last.names.includes(name)) last.names.push(name);
      } else found.push({ own: name === null, text: line, frames: 1, names: name ? [name] : [] });
      inFrame = true;
    } else if (last && (inFrame ? /^ {4}/.test(line) : !last.frames)) last.text += `\n${line}`;
    else {
      found.push({ own: true, text: line, frames: 0, names: [] });
      inFrame = false;
    }
  }
  return found;
}

/** The library that a file belongs to; null if it is one's own. @param {string} path */
function libraryOf(path) {
  for (const library of LIBRARIES) {
    const name = library.exec(path)?.[1];
    if (name) return name.replace(/\.py$/, '');
  }
  return null;
}
