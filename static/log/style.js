// How a piece of text looks: the colours and attributes of SGR escape sequences, as plain values.
//
// A colour is -1 (the default), 0 to 255 (the palette) or TRUE_COLOUR + 0xRRGGBB. Styles are never changed, only
// replaced, so they can be compared and shared; the default is PLAIN itself. Knows nothing of the DOM and nothing of other
// escape sequences.

export const DEFAULT = -1;
export const TRUE_COLOUR = 0x1000000;

export const BOLD = 1;
export const DIM = 2;
export const ITALIC = 4;
export const UNDERLINE = 8;
export const INVERSE = 16;
export const STRIKE = 32;
/** A control character made visible; not from SGR. */
export const SYMBOL = 64;

/**
 * @typedef {object} Style
 * @property {number} flags
 * @property {number} ink  the text's colour
 * @property {number} ground  the colour behind it
 * @property {string} [link]  where it leads; http or https only
 */

/** @type {Readonly<Style>} */
export const PLAIN = Object.freeze({ flags: 0, ink: DEFAULT, ground: DEFAULT });

/** @type {Record<number, number>} the flag that a code sets */
export const ON = { 1: BOLD, 2: DIM, 3: ITALIC, 4: UNDERLINE, 7: INVERSE, 9: STRIKE, 21: UNDERLINE };
/** @type {Record<number, number>} */
const OFF = { 22: BOLD | DIM, 23: ITALIC, 24: UNDERLINE, 27: INVERSE, 29: STRIKE };

/**
 * The style after an SGR sequence.
 * @param {Style} style the one before
 * @param {string} parameters what stands between `ESC [` and `m`
 * @returns {Style}
 */
export function styled(style, parameters) {
  const codes = parameters.split(/[;:]/, 64).map(Number);
  let { flags, ink, ground } = style;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] ?? 0;
    // 90 to 97 and 100 to 107 are the bright ones of 30 to 37 and 40 to 47
    const [bright, dark] = code < 90 ? [0, code] : [8, code - 60];
    if (code === 0) [flags, ink, ground] = [0, DEFAULT, DEFAULT];
    else if (ON[code]) flags |= ON[code] ?? 0;
    else if (OFF[code]) flags &= ~(OFF[code] ?? 0);
    else if (code === 39) ink = DEFAULT;
    else if (code === 49) ground = DEFAULT;
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes, i + 1);
      if (code === 38) ink = colour ?? ink;
      else ground = colour ?? ground;
      i += used;
    } else if (dark >= 30 && dark <= 37) ink = dark - 30 + bright;
    else if (dark >= 40 && dark <= 47) ground = dark - 40 + bright;
  }
  return made(flags, ink, ground, style.link);
}

/** @param {number} flags @param {number} ink @param {number} ground @param {string} [link] @returns {Style} */
export function made(flags, ink, ground, link) {
  if (link) return { flags, ink, ground, link };
  return flags === 0 && ink === DEFAULT && ground === DEFAULT ? PLAIN : { flags, ink, ground };
}

/**
 * The colour that follows 38 or 48, and how many codes it takes.
 * @param {number[]} codes @param {number} at
 * @returns {[number | null, number]}
 */
function extended(codes, at) {
  const index = codes[at + 1] ?? 256;
  if (codes[at] === 5) return [index < 256 ? index : null, 2];
  if (codes[at] !== 2) return [null, 1];
  const [r = 0, g = 0, b = 0] = codes.slice(at + 1, at + 4);
  return [Math.max(r, g, b) < 256 ? TRUE_COLOUR + (r << 16) + (g << 8) + b : null, 4];
}

/**
 * A colour of the palette beyond the first 16, or a true colour, as CSS text.
 * @param {number} colour 16 or more
 */
export function css(colour) {
  return `rgb(${parts(colour)})`;
}

/** Whether dark text is the one to be read on it. @param {number} colour 16 or more */
export function isLight(colour) {
  const [r, g, b] = parts(colour);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140;
}

/** @param {number} colour @returns {[number, number, number]} red, green and blue */
function parts(colour) {
  if (colour >= TRUE_COLOUR) return [(colour >> 16) & 255, (colour >> 8) & 255, colour & 255];
  const grey = 8 + (colour - 232) * 10;
  if (grey > 0) return [grey, grey, grey];
  const cube = colour - 16;
  const level = (/** @type {number} */ step) => step && 55 + step * 40;
  return [level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)];
}
