// Node's `ws` as it is, fed with chunks by one reader of a Redis stream: node ws.mjs REDIS_URL STREAM
// What Socket.IO's viewers say is answered as far as the viewers of the benchmark need it: there is no Socket.IO here.
import { createClient, RESP_TYPES } from "redis";
import { WebSocketServer } from "ws";

const redis = createClient({ url: process.argv[2] });
await redis.connect();
const bytes = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
const followers = new Set();
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 1024, perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.send('0{"sid":"x"}');
  socket.on("close", () => followers.delete(socket));
  socket.on("message", (data) => {
    const text = data.toString();
    if (text === "40") socket.send('40{"sid":"x"}');
    else if (text.startsWith("42")) {
      followers.add(socket);
      socket.send('430[{"ok":true}]');
    }
  });
});
server.on("listening", () => console.log("listening", server.address().port));

let at = "$";
for (;;) {
  const found = await bytes.xRead({ key: process.argv[3], id: at }, { COUNT: 16, BLOCK: 1000 });
  for (const { messages } of found ?? []) {
    for (const { id, message } of messages) {
      at = id.toString();
      for (const socket of followers) socket.send(message.d);
    }
  }
}
