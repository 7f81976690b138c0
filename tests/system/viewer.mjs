// A viewer in node, with the standard client: follows one task and keeps its place over every cut.
//   node viewer.mjs URL TASK_ID FILE OPTIONS(JSON: ack, binary, transports)
// Writes the output to FILE. On stdout a JSON object a line: what happened, and at the end {"event":"done", ...}.
import { writeFileSync } from "node:fs";
import { io } from "socket.io-client";

const [url, taskId, file, optionsText] = process.argv.slice(2);
const options = { ack: true, binary: false, transports: ["websocket"], ...JSON.parse(optionsText ?? "{}") };

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

const socket = io(url, {
  transports: options.transports,
  reconnectionDelay: 30,
  reconnectionDelayMax: 150,
  timeout: 3000,
});

const LATER = ["redis_unavailable", "unavailable", "too_many"];

socket.on("connect", () => {
  connects += 1;
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
