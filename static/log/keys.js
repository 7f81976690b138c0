// Keys without modifiers, also two in a row (`g g`). Off while somebody types.

/** @typedef {{ keys: string, does: string, run: () => void, left?: () => boolean }} Binding  `left`: to another binding of the page */

const SECOND_WITHIN_MS = 900;

/** @type {Binding[]} all that are bound on this page, for the list that `?` shows */
export const bound = [];

/**
 * Bind keys on the whole page.
 * @param {Binding[]} bindings `keys`: 'f', 'End' or two with a blank between them
 * @returns {() => void} unbinds them
 */
export function bind(bindings) {
  bound.push(...bindings);
  let first = '';
  let at = 0;
  /** @param {KeyboardEvent} event */
  const pressed = (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
    const both = performance.now() - at < SECOND_WITHIN_MS ? `${first} ${event.key}` : '';
    const binding = bindings.find(({ keys }) => keys === both) ?? bindings.find(({ keys }) => keys === event.key);
    [first, at] = binding ? ['', 0] : [event.key, performance.now()];
    if (!binding || binding.left?.()) return;
    event.preventDefault();
    binding.run();
  };
  document.addEventListener('keydown', pressed);
  return () => {
    document.removeEventListener('keydown', pressed);
    for (const binding of bindings) bound.splice(bound.indexOf(binding), 1);
  };
}

/** @param {KeyboardEvent} event */
function typing(event) {
  const [target] = event.composedPath();
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest('dialog[open]')) return true;
  return target.isContentEditable || target.matches('input, textarea, select');
}
