// What stands behind each page: which one it is, its body says.

// cards and workflows show bars too
import '../log/terminal.js';
import { offerHelp } from './shell.js';

/** @type {Record<string, () => unknown>} */
const PAGES = {
  board: () => import('./board.js'),
  task: () => import('./task-page.js'),
  flow: () => import('./flow-page.js'),
  shared: () => import('./shared.js'),
};

// the others need no JavaScript: only their keys are listed, which may be none but `?`
await (PAGES[document.body.dataset.page ?? ''] ?? offerHelp)();
document.dispatchEvent(new Event('livetask-page'));
