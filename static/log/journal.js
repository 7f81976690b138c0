// What a feed has been given, in figures: how often it asked, what was delivered without a break, and whether it is
// what the task wrote. For people who want proof, and for tests. Pure.

import { terminal } from './ansi.js';

/** @typedef {import('./places.js').Position} Position */

export class Journal {
  /** @param {boolean} whole all bytes are delivered, so that their checksum can be kept */
  constructor(whole) {
    this.whole = whole;
    /** How often the server was asked to deliver. */
    this.subscribes = 0;
    /** Pieces of text taken over, and the bytes of the output they cover. */
    this.pieces = 0;
    this.bytes = 0;
    /** Pieces that had been delivered before and were left out. */
    this.repeats = 0;
    /** Ranges left to be asked for by line. */
    this.holes = 0;
    this.resets = 0;
    /** @type {{ from: Position, to: Position, reason: string }[]} */
    this.gaps = [];
    /** @type {Position | null} */
    this.from = null;
    this.crc = 0;
    /** Whether all that was delivered is what the task wrote, by its checksum; null: cannot be told. @type {boolean | null} */
    this.verified = null;
  }

  /** @param {Position} at */
  begin(at) {
    this.from ??= at;
  }

  /** @param {Position} from @param {Position} to @param {Uint8Array | null} bytes */
  took(from, to, bytes) {
    this.pieces++;
    this.bytes += to.byte - from.byte;
    // bytes are taken over when what knows the checksum has come; without it nothing can be told
    if (bytes && terminal) this.crc = terminal.crc32(bytes, this.crc);
    else this.whole = false;
  }

  /** @param {Position} from @param {Position} to @param {string} reason */
  missed(from, to, reason) {
    this.gaps.push({ from, to, reason });
  }

  /** @param {Record<string, any>} end */
  ended(end) {
    const complete = this.whole && this.from?.byte === 0 && !this.gaps.length && !this.holes;
    if (!complete || typeof end.crc !== 'string' || !end.crc) return;
    this.verified = Number.parseInt(end.crc, 16) === this.crc && this.bytes === end.bytes;
  }
}
