"""The web servers of the ways that are not livetask: ``python -m tests.bench.servers WAY REDIS_URL``.

Each prints ``listening PORT``. The two seeds run on what a fresh start would take today, aiohttp and python-socketio's
AsyncServer, with their own structure kept: a pub/sub connection for each viewer and an emit for each line, or a room
fed by AsyncRedisManager. The floor is a bare loop over sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
import redis.asyncio
import socketio
from aiohttp import web

from livetask.keys import Keys
from livetask.server.frames import Packet
from tests.bench import raw_read
from tests.bench.writers import NONCE, TASK

SEND_LIMIT_S = 5.0
CACHED_BYTES = 64 * 1024
READ_COUNT = 16


def tutorial(url: str) -> None:
    """Backlog by LRANGE, then a pub/sub connection for the viewer; an emit a line."""
    sio = socketio.AsyncServer(async_mode="aiohttp")
    pool = redis.asyncio.Redis.from_url(url, max_connections=100_000)  # each viewer holds one

    async def follow(sid: str, pubsub: Any) -> None:
        async for heard in pubsub.listen():
            if heard["type"] == "message":
                await sio.emit("line", {"data": heard["data"].decode()}, to=sid)

    async def subscribe(sid: str, data: Any) -> dict[str, Any]:
        backlog: list[Any] = await pool.lrange(TASK, 0, -1)
        for line in backlog:
            await sio.emit("line", {"data": line.decode()}, to=sid)
        pubsub = pool.pubsub()
        await pubsub.subscribe(TASK)
        sio.start_background_task(follow, sid, pubsub)
        return {"ok": True}

    sio.on("subscribe", subscribe)
    _serve(sio)


def stirfried(url: str) -> None:
    """A room of python-socketio's own manager; the worker's emits arrive through Redis."""
    sio = socketio.AsyncServer(async_mode="aiohttp", client_manager=socketio.AsyncRedisManager(url))

    async def subscribe(sid: str, data: Any) -> dict[str, Any]:
        await sio.enter_room(sid, TASK)
        return {"ok": True}

    sio.on("subscribe", subscribe)
    _serve(sio)


def bare_aiohttp(url: str) -> None:
    """One reader of the stream; every chunk is written to every WebSocket as it is. What Socket.IO's viewers say is
    answered as far as the viewers of the benchmark need it: there is no Socket.IO here."""
    sockets: set[web.WebSocketResponse] = set()
    store = redis.asyncio.Redis.from_url(url)

    async def follow(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.send_str('0{"sid":"x"}')
        async for message in socket:
            if message.data == "40":
                await socket.send_str('40{"sid":"x"}')
            elif str(message.data).startswith("42"):
                sockets.add(socket)
                await socket.send_str('430[{"ok":true}]')
        sockets.discard(socket)
        return socket

    async def read(_: web.Application) -> AsyncIterator[None]:
        reader = asyncio.ensure_future(pass_on())
        yield
        reader.cancel()

    async def pass_on() -> None:
        at = "$"
        while True:
            for _, entries in await store.xread({TASK: at}, count=READ_COUNT, block=1000):
                for entry_id, fields in entries:
                    at = entry_id
                    for follower in list(sockets):
                        await follower.send_bytes(fields[b"d"])

    app = web.Application()
    app.router.add_get("/socket.io/", follow)
    app.cleanup_ctx.append(read)
    asyncio.run(_listened(app))


def ready(url: str) -> None:
    """All that the stream of livetask's way holds, kept ready, written to whoever comes."""
    with redis.Redis.from_url(url) as store:
        name = Keys().output(TASK, NONCE)
        data = b"".join(fields[b"d"] for _, fields in store.xrange(name))

    class Giving(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(data)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Giving, "127.0.0.1", 0, backlog=1024)
        print("listening", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


def cached(url: str) -> None:
    """The trial that a storm is measured by: the same as finished frames, kept ready, written to whoever subscribes, as
    fast as it takes them. There are no cursors, no windows, no rights, and nothing is read."""
    with redis.Redis.from_url(url) as store:
        data = b"".join(fields[b"d"] for _, fields in store.xrange(Keys().output(TASK, NONCE)))
    parts = [data[at : at + CACHED_BYTES].decode() for at in range(0, len(data), CACHED_BYTES)]
    ready = [Packet("output", {"task_id": TASK, "cursor": f"1.{NONCE}.1-0", "text": text}).frames for text in parts]

    async def follow(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.send_str('0{"sid":"x"}')
        giving: asyncio.Task[None] | None = None
        async for message in socket:
            if message.data == "40":
                await socket.send_str('40{"sid":"x"}')
            elif str(message.data).startswith("420"):
                await socket.send_str('430[{"ok":true}]')
                giving = asyncio.ensure_future(give(request.transport))
        if giving is not None:
            giving.cancel()
        return socket

    async def give(transport: asyncio.Transport | None) -> None:
        for frames in ready:
            while transport is not None and transport.get_write_buffer_size() > CACHED_BYTES:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            if transport is not None:
                transport.write(frames)

    app = web.Application()
    app.router.add_get("/socket.io/", follow)
    asyncio.run(_listened(app))


def floor(url: str) -> None:
    """Write the bytes to every connection and nothing else.

    A connection says in its first line what it is: ``feed`` brings chunks, each after its length in 4 bytes; ``follow``
    gets each of them as it is; ``replay`` gets what XRANGE answers for all of the stream as it is when this starts: the
    same bytes, received and sent on, and not even looked at. Who does not read for SEND_LIMIT_S is given up.
    """
    asked = raw_read.questions(url)
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ)
    followers: list[socket.socket] = []
    print("listening", listening.getsockname()[1], flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listening:
                _welcome(listening.accept()[0], selector, followers, url, asked)
            else:
                _pass_on(key.fileobj, selector, followers)  # type: ignore[arg-type]  # only sockets are registered


def _welcome(
    who: socket.socket,
    selector: selectors.BaseSelector,
    followers: list[socket.socket],
    url: str,
    asked: Sequence[tuple[bytes, int]],
) -> None:
    who.settimeout(SEND_LIMIT_S)
    who.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    what = who.recv(64)
    if what.startswith(b"feed"):
        selector.register(who, selectors.EVENT_READ)
    elif what.startswith(b"follow"):
        followers.append(who)
        who.sendall(b"ok\n")
    else:
        _replay(who, url, asked)


def _pass_on(feed: socket.socket, selector: selectors.BaseSelector, followers: list[socket.socket]) -> None:
    head = feed.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        selector.unregister(feed)
        feed.close()
        return
    chunk = feed.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    for follower in list(followers):
        try:
            follower.sendall(chunk)
        except OSError:
            followers.remove(follower)


def _replay(who: socket.socket, url: str, asked: Sequence[tuple[bytes, int]]) -> None:
    place = urlsplit(url)
    with (
        socket.create_connection((place.hostname or "", place.port or 6379)) as link,
        contextlib.suppress(OSError),
        who,
    ):
        for piece in raw_read.answers(link, asked):
            who.sendall(piece)


def _serve(sio: socketio.AsyncServer) -> None:
    app = web.Application()
    sio.attach(app)
    asyncio.run(_listened(app))


async def _listened(app: web.Application) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print("listening", runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    ways = {
        "tutorial": tutorial,
        "stirfried": stirfried,
        "aiohttp": bare_aiohttp,
        "ready": ready,
        "cached": cached,
        "floor": floor,
    }
    ways[sys.argv[1]](sys.argv[2])
