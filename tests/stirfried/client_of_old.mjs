// A client as it is written for Stirfried, with socket.io-client: it knows nothing of livetask.
// `node client_of_old.mjs URL [msgpack]` prints a line of JSON for each thing that it is told.
import { createRequire } from "node:module";
import { io } from "socket.io-client";

const [url, serializer] = process.argv.slice(2);
const parser = serializer === "msgpack" ? createRequire(import.meta.url)("socket.io-msgpack-parser") : undefined;
const socket = io(url, parser ? { parser } : {});
const returned = new Set(); // an answer and the end of its task may come in one payload
let look = () => {};

const shown = (value) =>
  value instanceof Uint8Array || value instanceof ArrayBuffer
    ? `bytes:${Buffer.from(value).toString("base64")}`
    : value;
const say = (what, data) =>
  console.log(
    JSON.stringify([what, Object.fromEntries(Object.entries(data).map(([key, held]) => [key, shown(held)]))]),
  );

socket.on("on_progress", ({ current, total, info }) => say("progress", { current, total, info }));
socket.on("on_retry", ({ task_name }) => say("retry", { task_name }));
socket.on("on_failure", ({ task_name, einfo }) => say("failure", { task_name, einfo: Boolean(einfo) }));
socket.on("on_success", ({ task_name, retval }) => say("success", { task_name, retval }));
socket.on("on_return", ({ task_id, task_name, status }) => {
  say("return", { task_name, status });
  returned.add(task_id);
  look();
});

const call = (event, message) => new Promise((resolve) => socket.emit(event, message, resolve));

async function main() {
  const messages = [
    { task_name: "count", args: [2] },
    { task_name: "add", kwargs: { x: 1, y: 2 } },
    { task_name: "fails", args: ["no"] },
    { task_name: "again" },
    { task_name: "reverse", args: [Buffer.from([0, 1, 254, 255])] },
  ];
  let reply;
  for (const message of messages) {
    reply = await call("send_task", message);
    if (reply.status !== "success") throw new Error(JSON.stringify(reply));
    await new Promise((resolve) => {
      look = () => returned.has(reply.data) && resolve();
      look();
    });
  }
  const info = await call("task_info", reply.data);
  say("info", { state: info.state, result: info.result });
  reply = await call("send_task", { task_name: "add", args: [1] });
  socket.emit("revoke_task", reply.data);
  socket.disconnect();
}

socket.on("connect", () => main().catch((error) => { console.error(error); process.exit(1); }));
