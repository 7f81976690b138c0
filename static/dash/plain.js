// Pages that need no JavaScript: it only lists the keys there, which may be none but `?`.

import { offerHelp } from './shell.js';

offerHelp();
