// Sets the theme before the first paint: 'light' or 'dark' if the reader has chosen one, else what the system says.
// A classic script on purpose: a module would run after the first paint and the page would flash. So it also hears what
// is pressed before the modules stand, and says it again when they do.
(() => {
  const KEY = 'livetask-theme';
  const MOST_EARLY = 50;
  const root = document.documentElement;

  /** @returns {string | null} */
  function chosen() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is switched off: the system's theme is used
    }
  }

  const theme = chosen();
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;

  document.addEventListener('click', (event) => {
    const target = event.target;
    if (!(target instanceof Element) || !target.closest('#theme')) return;
    const dark = root.dataset.theme
      ? root.dataset.theme === 'dark'
      : matchMedia('(prefers-color-scheme: dark)').matches;
    const next = dark ? 'light' : 'dark';
    root.dataset.theme = next;
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // it lasts for this page then
    }
  });

  /** @type {KeyboardEvent[]} */
  const early = [];
  const press = (/** @type {KeyboardEvent} */ event) => {
    const typed = event.target instanceof Element && event.target.matches('input, textarea, select');
    if (!typed && early.length < MOST_EARLY) early.push(event);
  };
  document.addEventListener('keydown', press);
  const again = () => {
    document.removeEventListener('keydown', press);
    for (const event of early) {
      if (event.defaultPrevented) continue;
      event.preventDefault(); // so that the log does not say it again as well
      // where it would go now: what is pressed after `/` belongs to the filter
      (document.activeElement ?? document).dispatchEvent(new KeyboardEvent(event.type, event));
    }
  };
  document.addEventListener('livetask-page', again, { once: true });
})();
