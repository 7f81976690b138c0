// What a log needs besides plain and coloured text: output that writes over what it has written (bars, tables, anything
// with a cursor), links, control characters; lines without a row of their own; picked lines. Loaded behind the first lines;
// output that needs it waits for it.

import { equip } from './ansi.js';
import { Picked } from './picked.js';
import { liveOf } from './rewriting.js';
import { closing, compacted, resolved } from './sequences.js';
import { joined } from './spans.js';

export const parts = { Picked, closing, compacted, joined, liveOf, resolved };

equip(parts);
