// What stands behind each page: which one it is, its body says.

/** @type {Record<string, () => Promise<unknown>>} */
const PAGES = {
  board: () => import('./board.js'),
  task: () => import('./task-page.js'),
  flow: () => import('./flow-page.js'),
  shared: () => import('./shared.js'),
  plain: () => import('./plain.js'),
};

// cards and workflows show bars too
await import('../log/extras.js');
await PAGES[document.body.dataset.page ?? '']?.();
document.dispatchEvent(new Event('livetask-page'));

export {};
