// Packets of Socket.IO (protocol 5) in its default namespace, as the text and the bytes that travel. What does not fit
// the protocol is an error: whoever reads ends that connection, and what was half read of it is gone with its reader.
// No network, no clock.

/** @typedef {Record<string, any>} Message */
/**
 * @typedef {object} Packet
 * @property {string} type  of TYPE
 * @property {number} id  what an answer answers
 * @property {any} data  of an event its name and message, of an answer its message as the one item, of the others an object
 */

export const TYPE = { connect: '0', disconnect: '1', event: '2', answer: '3', refusal: '4' };
// the types that announce bytes, as what they are without them
const WITH_BYTES = /** @type {Record<string, string>} */ ({ 5: TYPE.event, 6: TYPE.answer });
const HEAD = /^(?:([0-4])|([56])(\d\d?)-)(\d*)/;

/** @param {string} event @param {Message} message @param {number | string} [id] by which it is answered */
export const eventText = (event, message, id = '') => TYPE.event + id + JSON.stringify([event, message]);

/** Reads the packets of one connection, in their order. */
export class Reader {
  constructor() {
    this.text = '';
    this.lacking = 0;
    /** @type {ArrayBuffer[]} of the packet that lacks more */
    this.bytes = [];
  }

  /**
   * @param {string | ArrayBuffer} said
   * @returns {Packet | null} null while the packet lacks bytes
   * @throws {Error} where that is no packet, or not the one that is awaited
   */
  read(said) {
    if (typeof said === 'string' ? this.lacking : !this.lacking) throw new SyntaxError('out of turn');
    if (typeof said === 'string') this.text = said;
    else this.bytes.push(said);
    const [head, plain, marked, count = 0, id] = HEAD.exec(this.text) ?? [''];
    this.lacking = Number(count) - this.bytes.length;
    if (this.lacking) return null;
    const { bytes } = this;
    this.bytes = [];
    const type = plain ?? WITH_BYTES[marked ?? ''] ?? '';
    const body = this.text.slice(head.length);
    const data = body ? JSON.parse(body, plain ? undefined : (_, value) => (value?._placeholder ? taken(bytes, value.num) : value)) : null;
    return { type, id: Number(id), data: fitting(type, data) };
  }
}

/** @param {ArrayBuffer[]} bytes @param {number} index */
function taken(bytes, index) {
  if (!bytes[index]) throw new SyntaxError('no such bytes');
  return bytes[index];
}

/** The data of a packet, if it is what one of that type has. @param {string} type @param {any} data */
function fitting(type, data) {
  if (type === TYPE.disconnect) return {};
  const list = type === TYPE.event || type === TYPE.answer;
  if (!type || !data || Array.isArray(data) !== list) throw new SyntaxError('no packet');
  return data;
}
