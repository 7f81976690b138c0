// Sets the theme before the first paint: 'light' or 'dark' if the reader has chosen one, else what the system says.
// A classic script on purpose: a module would run after the first paint and the page would flash.
(() => {
  const KEY = 'livetask-theme';
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
})();
