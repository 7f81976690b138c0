// CRC-32 as zlib has it, to prove that what arrived is what the task wrote. Pure.

const TABLE = new Uint32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/**
 * @param {Uint8Array} bytes
 * @param {number} [before] the CRC of the bytes before these
 */
export function crc32(bytes, before = 0) {
  let value = ~before;
  for (let i = 0; i < bytes.length; i++) {
    value = /** @type {number} */ (TABLE[(value ^ /** @type {number} */ (bytes[i])) & 255]) ^ (value >>> 8);
  }
  return ~value >>> 0;
}
