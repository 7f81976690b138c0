// What a log needs when its task writes over what it has written: bars, tables, anything with a cursor. Loaded behind the
// first lines; output that needs it waits for it.

import { equip } from './ansi.js';
import { Columns } from './columns.js';
import { Screen } from './screen.js';

equip({ Columns, Screen });
