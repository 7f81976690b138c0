// Puts resolved output into an element: text nodes, class names and colours set through the CSSOM. Nothing here makes
// markup from text, so output cannot become markup, whatever it holds.

import { BOLD, DEFAULT, DIM, INVERSE, ITALIC, PLAIN, STRIKE, SYMBOL, UNDERLINE, css, isLight } from './style.js';

/** @typedef {import('./ansi.js').Run} Run */
/** @typedef {import('./style.js').Style} Style */

/** More pieces than this in one row would make the page slow; the rest is shown without colours. */
const MOST_PIECES = 400;

const NAMES = /** @type {[number, string][]} */ ([
  [BOLD, 'b'],
  [DIM, 'd'],
  [ITALIC, 'i'],
  [UNDERLINE, 'u'],
  [STRIKE, 's'],
  [SYMBOL, 'sym'],
]);

/**
 * Show the runs in an element, in place of what it held; at most `most` characters of them.
 * @param {Element} element
 * @param {Run[]} runs
 * @param {number} [most]
 * @returns {boolean} whether all of it is shown
 */
export function paint(element, runs, most = Infinity) {
  const [first] = runs;
  if (first && runs.length === 1 && first.style === PLAIN && first.text.length <= most) {
    write(element, first.text);
    return true;
  }
  const nodes = [];
  let left = most;
  for (let i = 0; i < runs.length && left > 0; i++) {
    let run = /** @type {Run} */ (runs[i]);
    if (i === MOST_PIECES) run = { text: runs.slice(i).map((rest) => rest.text).join(''), style: PLAIN };
    const text = cutAt(run.text, left);
    nodes.push(run.style === PLAIN ? document.createTextNode(text) : piece(text, run.style));
    left -= run.text.length;
    if (i === MOST_PIECES) break;
  }
  element.replaceChildren(...nodes);
  return left >= 0;
}

/** Show a text in an element, in place of what it held. @param {Element} element @param {string} text */
export function write(element, text) {
  const { firstChild, childNodes } = element;
  // a node that stays is laid out again and nothing more; a new one is styled and attached first
  if (firstChild instanceof Text && childNodes.length === 1) firstChild.data = text;
  else element.textContent = text;
}

/** @param {string} text @param {number} length */
function cutAt(text, length) {
  if (text.length <= length) return text;
  const code = text.charCodeAt(length - 1);
  return text.slice(0, code >= 0xd800 && code <= 0xdbff ? length - 1 : length);
}

/** @param {string} text @param {Style} style */
function piece(text, style) {
  const span = document.createElement(style.link ? 'a' : 'span');
  if (span instanceof HTMLAnchorElement) {
    Object.assign(span, { href: style.link, target: '_blank', rel: 'noopener noreferrer', title: style.link });
  }
  const names = NAMES.filter(([flag]) => style.flags & flag).map(([, name]) => name);
  const inverse = (style.flags & INVERSE) !== 0;
  const ink = inverse ? style.ground : style.ink;
  const ground = inverse ? style.ink : style.ground;
  if (inverse && ink === DEFAULT) names.push('ink-ground');
  if (inverse && ground === DEFAULT) names.push('ground-ink');
  if (ink !== DEFAULT && ink < 16) names.push(`f${ink}`);
  if (ground !== DEFAULT && ground < 16) names.push(`k${ground}`);
  if (ink >= 16) span.style.color = css(ink);
  if (ground >= 16) {
    span.style.backgroundColor = css(ground);
    if (ink === DEFAULT && !inverse) span.style.color = isLight(ground) ? '#111' : '#fff';
  }
  if (names.length) span.className = names.join(' ');
  span.textContent = text;
  return span;
}
