// The two ways on which a connection's packets travel (Engine.IO, protocol 4): a WebSocket, and, where none gets
// through, HTTP requests of which one always waits for what comes. Must never know what the packets mean, but for the
// opening, which names a polled connection.

/**
 * @typedef {object} Holder
 * @property {(said: string | ArrayBuffer) => void} said  a packet has come; not called any more once it is closed
 * @property {() => void} over  nothing comes any more
 */
/**
 * @typedef {object} Transport
 * @property {(said: string) => void} send  never waits, never raises
 * @property {() => void} close
 */

const SEPARATOR = '\x1e';
// a server made with python-engineio takes no more at once
const MOST_AT_ONCE = 16;
// of UTF-8, for one unit of a string
const MOST_BYTES = 3;

/** @param {string} address @param {Holder} holder @returns {Transport} */
export function byWebSocket(address, holder) {
  const socket = new WebSocket(`${address.replace('http', 'ws')}&transport=websocket`);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }) => holder.said(data);
  socket.onclose = holder.over;
  return {
    send: (said) => socket.readyState === 1 && socket.send(said),
    close() {
      socket.onclose = socket.onmessage = null;
      socket.close();
    },
  };
}

/** @param {string} address @param {Holder} holder @returns {Transport} */
export function byPolling(address, holder) {
  const ends = new AbortController();
  /** @type {string[]} what the next request takes along, bounded by the server's patience with one that hangs */
  const waiting = [];
  let url = `${address}&transport=polling`;
  let mostBytes = 0;
  let posting = false;
  let asks = 0;

  /** @param {RequestInit} [how] */
  const ask = async (how) => {
    // a browser repeats a request whose connection was cut, and the server knows it by its name
    const answer = await fetch(`${url}&t=${asks++}`, { cache: 'no-store', signal: ends.signal, ...how });
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.text();
  };
  const poll = async () => {
    while (!ends.signal.aborted) {
      for (const said of (await ask()).split(SEPARATOR)) {
        if (ends.signal.aborted) return;
        if (!mostBytes) {
          const { sid, maxPayload } = JSON.parse(said.slice(1));
          url += `&sid=${sid}`;
          mostBytes = maxPayload;
        }
        try {
          holder.said(said[0] === 'b' ? bytesOf(said.slice(1)) : said);
        } catch (error) {
          reportError(error); // as with a WebSocket: what goes wrong in the page is no fault of the connection
        }
      }
    }
  };
  const post = async () => {
    posting = true;
    while (waiting.length) {
      let body = /** @type {string} */ (waiting.shift());
      for (let count = 1; count < MOST_AT_ONCE && waiting.length && (body.length + waiting[0].length) * MOST_BYTES < mostBytes; count++) {
        body += SEPARATOR + waiting.shift();
      }
      await ask({ method: 'POST', body });
    }
    posting = false;
  };
  const failed = () => {
    if (ends.signal.aborted) return;
    mostBytes = 0; // there is nobody to be told of the end
    holder.over();
  };

  poll().catch(failed);
  return {
    send(said) {
      waiting.push(said);
      if (!posting) post().catch(failed);
    },
    close() {
      ends.abort();
      // else the server would go on holding it until it owes an answer
      if (mostBytes) fetch(url, { method: 'POST', body: '1', keepalive: true }).catch(() => {});
    },
  };
}

/** @param {string} base64 */
const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer;
