// A viewer in node, with the standard client or with the pages' own: follows one task and keeps its place over every cut.
//   node viewer.mjs URL TASK_ID FILE OPTIONS(JSON: ack, binary, transports, page)
// Writes the output to FILE. On stdout a JSON object a line: what happened, and at the end {"event":"done", ...}.
import { writeFileSync } from "node:fs";
import { io } from "socket.io-client";
import WebSocket from "ws";
import { Socket } from "../../static/socket/socket.js";

const [url, taskId, file, optionsText] = process.argv.slice(2);
const options = { ack: true, binary: false, transports: ["websocket"], page: false, ...JSON.parse(optionsText ?? "{}") };

const pieces = []; // {run, from, to, data}: what was received, in order
const gaps = [];
const faults = [];
let cursor = "start";
let connects = 0;

const tell = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const byteOf = (position) => Number(position.split("-")[1]);
const positionOf = (text) => text.split(".")[2];

// the place where the next piece of a run has to begin
function expected(run) {
  const last = pieces.at(-1);
  return last && last.run === run ? last.to : 0;
}

function taken(run, from, to, data) {
  const want = expected(run);
  if (from !== want) faults.push({ run, want, got: from });
  pieces.push({ run, from, to, data });
}

const socket = options.page ? ownSocket() : io(url, {
  transports: options.transports,
  reconnectionDelay: 30,
  reconnectionDelayMax: 150,
  timeout: 3000,
});

// the pages' client, as far as a viewer asks of it what it asks of the standard one
function ownSocket() {
  const handlers = {};
  // without one it polls
  if (options.transports.includes("websocket")) globalThis.WebSocket = class extends WebSocket {
    constructor(address) {
      super(address);
      this.on("error", () => {}); // as in a browser: its end is told as well
    }
  };
  const own = new Socket(`${url}/socket.io/`, null, {
    knocks() {}, // it subscribes when it is told that it is connected
    connected: () => handlers.connect(),
    lost: () => 30 + 120 * Math.random(),
    received: (event, message) => handlers[event]?.(message),
  });
  const emit = (event, message, answered) => {
    if (!answered) return own.emit(event, message);
    const { session } = own;
    own.ask(event, message, (answer) => {
      if (answer) answered(answer);
      else if (own.connected && own.session === session) emit(event, message, answered);
    });
  };
  return { emit, on: (event, handler) => (handlers[event] = handler), disconnect: () => own.close(), get connected() { return own.connected; } };
}

const LATER = ["redis_unavailable", "unavailable", "too_many"];

socket.on("connect", () => {
  connects += 1;
  tell("connected");
  subscribe();
});

function subscribe() {
  socket.emit("subscribe", { task_id: taskId, from: cursor, binary: options.binary, wait: true }, (answer) => {
    if (answer.ok && connects === 1) tell("subscribed");
    if (!answer.ok) tell("refused", answer);
    const asked = connects; // a new connection subscribes by itself
    if (LATER.includes(answer.code)) setTimeout(() => socket.connected && asked === connects && subscribe(), 200);
  });
}

socket.on("disconnect", (reason) => {
  // the client does not come back by itself when the server says goodbye
  if (reason === "io server disconnect") setTimeout(() => socket.connect(), 50);
});

socket.on("output", (message) => {
  const data = options.binary ? Buffer.from(message.data) : Buffer.from(message.text, "utf8");
  const from = byteOf(message.from);
  const to = byteOf(positionOf(message.cursor));
  if (to - from !== data.length) faults.push({ run: message.run, length: data.length, said: to - from });
  taken(message.run, from, to, data);
  cursor = message.cursor;
  if (options.ack) socket.emit("ack", { task_id: taskId, cursor });
});

socket.on("gap", (message) => {
  const from = byteOf(message.from);
  const to = byteOf(positionOf(message.cursor));
  taken(message.run, from, to, null);
  gaps.push({ run: message.run, from, to, reason: message.reason });
  cursor = message.cursor;
  if (options.ack) socket.emit("ack", { task_id: taskId, cursor });
});

socket.on("reset", (message) => {
  tell("reset", message);
  for (let at = pieces.length - 1; at >= 0; at -= 1) if (pieces[at].run === message.run) pieces.splice(at, 1);
  const place = byteOf(positionOf(message.cursor));
  if (place > 0) taken(message.run, 0, place, null);
  cursor = message.cursor;
});

socket.on("end", (message) => {
  const to = byteOf(positionOf(message.cursor));
  if (to !== expected(message.run)) faults.push({ run: message.run, want: to, got: expected(message.run), at: "end" });
  if (!message.last) {
    tell("run_ended", { run: message.run, how: message.how });
    return;
  }
  writeFileSync(file, Buffer.concat(pieces.filter((piece) => piece.data !== null).map((piece) => piece.data)));
  tell("done", { connects, faults, gaps, end: message, pieces: pieces.length });
  socket.disconnect();
});
