// Lays the rows of a view out in their natural heights, where long lines are wrapped. It touches no row itself.

/**
 * Downwards from the top row, or upwards from the last one when they end above.
 * @param {import('./view.js').View} view
 */
export function layOutWrapped(view) {
  const { count, height, following } = view;
  const most = view.rows.length;
  let first = following ? Math.max(0, count - most) : Math.floor(view.top);
  view.fill(first, first + most);
  let heights = heightsOf(view, first, Math.min(count, first + most));
  let y = -(view.top - Math.floor(view.top)) * (heights[0] ?? view.rowPx);
  const below = (/** @type {number} */ from) => heights.reduce((sum, px) => sum + px, from);
  const ends = following || (first + heights.length >= count && below(y) <= height);
  if (ends && !following && first > 0) {
    first = Math.max(0, count - most);
    view.fill(first, first + most);
    heights = heightsOf(view, first, count);
  }
  view.overflows = below(0) > height || first > 0;
  if (ends) y = view.overflows ? height - below(0) : 0;
  view.atEnd = ends;
  let at = y;
  heights.forEach((px, i) => {
    if (ends && at <= 0 && at + px > 0) view.top = first + i + -at / px;
    view.place(first + i, at);
    at += px;
  });
  for (let i = heights.length; i < most; i++) view.place(first + i, at);
}

/** @param {import('./view.js').View} view @param {number} from @param {number} to rows */
function heightsOf({ rows }, from, to) {
  const heights = [];
  for (let row = from; row < to; row++) heights.push(rows[row % rows.length]?.element.offsetHeight ?? 0);
  return heights;
}
