// What a log needs besides plain and coloured text: output that writes over what it has written (bars, tables, anything
// with a cursor), links, control characters; lines without a row of their own; picked lines; what gaps and the end say; wrapping.
// Loaded behind the first lines; output that needs it waits for it.

import { equip } from './ansi.js';
import { crc32 } from './crc.js';
import { Picked } from './picked.js';
import { liveOf } from './rewriting.js';
import { closing, compacted, resolved } from './sequences.js';
import { joined } from './spans.js';
import { clock, endOf, gapText } from './words.js';
import { layOutWrapped } from './wrapped.js';

export const parts = { Picked, clock, closing, compacted, crc32, endOf, gapText, joined, layOutWrapped, liveOf, resolved };

equip(parts);
