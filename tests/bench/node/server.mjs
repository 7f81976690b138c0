// Socket.IO's own server in node, its Redis Streams adapter between it and the worker: node server.mjs REDIS_URL
// A viewer says `subscribe` and is put into its task's room; what the worker writes in the adapter's form comes to it.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const redis = createClient({ url: process.argv[2] });
await redis.connect();
const http = createServer();
const io = new Server(http, { adapter: createAdapter(redis) });
io.on("connection", (socket) => {
  socket.on("subscribe", (message, answer) => {
    socket.join(message.task);
    answer({ ok: true });
  });
});
http.listen(0, "127.0.0.1", 1024, () => console.log("listening", http.address().port));
