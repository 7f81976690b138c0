// The strip beside the scroll bar: where errors, warnings, matches and groups lie in the whole log, and what is seen of
// it now. A picture only: everything that it shows can be reached by keys too.

/**
 * @typedef {object} Layer
 * @property {string} colour  a variable of the theme
 * @property {number[]} rows  in their order
 * @property {number} [from] and [to]: the part of the strip's width that it takes, 0 to 1
 * @property {number} [to]
 */

const LEAST_PX = 2;
/** So long the theme is believed to be what it was. */
const COLOURS_MS = 1000;

export class Minimap {
  /** @param {HTMLCanvasElement} canvas @param {(share: number) => void} chosen a place from 0 to 1 */
  constructor(canvas, chosen) {
    this.canvas = canvas;
    this.drawn = '';
    /** @type {Map<string, string>} */
    this.colours = new Map();
    this.asked = 0;
    // told by the browser: asking for it with every frame would make it lay out the page once more
    this.width = this.height = 0;
    this.watcher = new ResizeObserver(([entry]) => {
      if (entry) [this.width, this.height] = [entry.contentRect.width, entry.contentRect.height];
    });
    this.watcher.observe(canvas);
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.point(event, chosen);
    });
    canvas.addEventListener('pointermove', (event) => event.buttons === 1 && this.point(event, chosen));
  }

  /** @param {PointerEvent} event @param {(share: number) => void} chosen */
  point(event, chosen) {
    const { top, height } = this.canvas.getBoundingClientRect();
    chosen(Math.max(0, Math.min(1, (event.clientY - top) / height)));
  }

  /** What a variable stands for in the theme of now. @param {string} name */
  colour(name) {
    if (performance.now() - this.asked > COLOURS_MS) this.colours.clear();
    let colour = this.colours.get(name);
    if (colour === undefined) {
      this.canvas.style.color = `var(${name})`;
      this.colours.set(name, (colour = getComputedStyle(this.canvas).color));
      this.asked = performance.now();
    }
    return colour;
  }

  /**
   * @param {number} count of rows
   * @param {number} top the first row that is seen @param {number} fits how many are
   * @param {Layer[]} layers later ones lie above
   * @param {unknown} key what the layers depend on
   */
  draw(count, top, fits, layers, key) {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    const now = `${count}/${Math.round(top)}/${fits}/${width}/${height}/${key}`;
    if (now === this.drawn || !width || !height) return;
    this.drawn = now;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext('2d');
    if (!context) return;
    const scale = height / Math.max(count, fits, 1);
    context.clearRect(0, 0, width, height);
    context.fillStyle = this.colour('--map-seen');
    context.fillRect(0, Math.floor(top * scale), width, Math.max(LEAST_PX * ratio, fits * scale));
    for (const { colour, rows, from = 0, to = 1 } of layers) {
      context.fillStyle = this.colour(colour);
      let last = -1;
      for (const row of rows) {
        const y = Math.round(row * scale);
        if (y === last) continue;
        last = y;
        context.fillRect(from * width, Math.min(y, height - LEAST_PX * ratio), (to - from) * width, LEAST_PX * ratio);
      }
    }
  }
}
