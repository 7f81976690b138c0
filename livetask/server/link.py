"""A WebSocket on a bare connection: what is left when its HTTP is over.

aiohttp reads the request that asks for a WebSocket, and the middlewares answer for it. From then on the connection is
ours: what aiohttp keeps for a connection that may send more requests (a parser, two tasks, the request itself) is let
go, and that is most of what a viewer who only stands there would cost. Frames are still read by aiohttp's reader;
they are written as they are given, at once.

Must never know: Engine.IO, Socket.IO, viewers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from aiohttp import web

# not exported, but what aiohttp's own client and server are made of: tests/server/test_link.py says what is used
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import WS_KEY, WebSocketError, WebSocketReader, WSCloseCode, WSMsgType

from livetask.server.frames import frame

CLOSE_S = 0.5
"""How long the other end has to answer a close, and to take what was written before it."""

_READ_AHEAD_BYTES = 64 * 1024
"""Messages that wait for the one before them; reading stops at twice that."""
_FULL_BYTES = 1024 * 1024
"""Beyond this, what the other end says waits until it has taken what it was told."""
_CLOSE, _PONG = 0x8, 0xA
_MOST_PARTS = 1000
"""In one call: Linux takes 1,024."""
_read_into = memoryview(bytearray(64 * 1024))
"""One for all: what is read into it is taken out before anything else is read."""


class Holder(Protocol):
    """Whose link it is."""

    def received(self) -> None:
        """Messages have come: take them by ``Link.next``."""

    def lost(self) -> None:
        """The connection has ended. Called once."""


class Link(asyncio.BufferedProtocol):
    """See the module's docstring. ``holder``: see there. ``most_bytes``: a longer message ends the connection.

    ``write``: writes finished frames, and never waits. ``holds``: some of what was written is still in this process;
    ``unsent``: how many bytes of it. ``over``: nothing that is written now would arrive, as far as is known.
    """

    __slots__ = (
        "_queue", "_reader", "_reading_paused", "_room", "_said_close", "_socket", "holder", "holds", "over",
        "transport", "unsent", "write",
    )  # fmt: skip

    def __init__(self, transport: asyncio.Transport, holder: Holder, most_bytes: int) -> None:
        self.transport = transport
        self.holder = holder
        self._reading_paused = False
        self._said_close = self.over = self.holds = False
        self.write = transport.write  # bound once: these are called for each viewer and each piece of output
        self.unsent = transport.get_write_buffer_size
        is_bare = transport.get_extra_info("sslcontext") is None
        self._socket = transport.get_extra_info("socket") if is_bare else None
        self._room: asyncio.Future[None] | None = None
        loop = asyncio.get_running_loop()
        # the queue asks its protocol for two methods and a flag, which are below
        self._queue = WebSocketDataQueue(self, _READ_AHEAD_BYTES, loop=loop)  # type: ignore[arg-type]
        self._reader = WebSocketReader(self._queue, most_bytes, compress=False, decode_text=True)
        transport.set_write_buffer_limits(0)  # to be told when something stays here, and when nothing does

    # ---- to the other end

    @property
    def is_closing(self) -> bool:
        """Nothing that is written now would arrive."""
        return self._said_close or self.transport.is_closing()

    @property
    def _is_full(self) -> bool:
        return self.holds and self.unsent() > _FULL_BYTES

    def write_parts(self, parts: Sequence[bytes]) -> None:
        """Write frames that lie in parts. What the kernel takes at once is not copied before.

        asyncio joins parts before Python 3.12, and sends them itself only afterwards.
        """
        sent = 0
        if self._socket is not None and not self.unsent() and not self.transport.is_closing():
            with suppress(OSError):  # asyncio will meet the same, and end the connection as it always does
                sent = os.writev(self._socket.fileno(), parts[:_MOST_PARTS])
        if sent and sent == sum(map(len, parts)):
            return  # as nearly always
        for at, part in enumerate(parts):
            if sent < len(part):
                self.write(b"".join((memoryview(part)[sent:], *parts[at + 1 :])))
                return
            sent -= len(part)

    async def room(self) -> None:
        """Return when not much of what was written waits for the other end, or it is gone."""
        if not self._is_full:
            return
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._room)

    def close(self, code: int = WSCloseCode.OK) -> None:
        """Say that this is the end, and end when the other end has said so too, or after CLOSE_S."""
        if self.is_closing:
            return
        self._said_close = self.over = True
        self.transport.write(frame(_CLOSE, code.to_bytes(2, "big")))
        asyncio.get_running_loop().call_later(CLOSE_S, self.transport.abort)

    def abort(self) -> None:
        """Cut the connection, whatever is still on its way."""
        self.over = True
        self.transport.abort()

    # ---- from the other end

    def next(self) -> str | bytes | None:
        """The next message that has come, None if there is none. What belongs to WebSockets alone is answered here."""
        while self._queue._buffer:
            try:
                self._queue.read().send(None)  # never waits when there is something
            except StopIteration as found:
                kind, data, _ = found.value
            if kind in (WSMsgType.TEXT, WSMsgType.BINARY) and not self._said_close:
                return data  # type: ignore[no-any-return]
            if kind is WSMsgType.PING:
                self._pong(data)
            elif kind is WSMsgType.CLOSE:
                self.close()
                self.transport.close()
        return None

    def _pong(self, data: bytes) -> None:
        if not self._is_full and not self.is_closing:
            self.transport.write(frame(_PONG, bytes(data)))

    # ---- from the event loop

    def get_buffer(self, sizehint: int) -> memoryview:
        return _read_into

    def buffer_updated(self, nbytes: int) -> None:
        self.take(bytes(_read_into[:nbytes]))

    def take(self, data: bytes) -> None:
        """Bytes have come."""
        broken, _ = self._reader.feed_data(data)
        if broken:
            error = self._queue.exception()
            self.close(error.code if isinstance(error, WebSocketError) else WSCloseCode.PROTOCOL_ERROR)
        elif self._said_close:
            self.next()
        else:
            self.holder.received()

    def pause_writing(self) -> None:
        self.holds = True

    def resume_writing(self) -> None:
        self.holds = False
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def pause_reading(self) -> None:
        """What has come waits to be taken: see WebSocketDataQueue."""
        self._reading_paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """See WebSocketDataQueue."""
        self._reading_paused = False
        self.transport.resume_reading()

    def eof_received(self) -> None:
        self.over = True

    def connection_lost(self, error: BaseException | None) -> None:
        self.over = True
        self.resume_writing()
        self.holder.lost()


class Switched(web.StreamResponse):
    """The answer to a request whose connection is not HTTP's any more: it has been given already."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def switch(request: web.Request, holder: Holder, most_bytes: int, first: bytes = b"") -> Link:
    """Answer the request and make its connection a WebSocket. ``first``: frames that are written with the answer.

    The handler returns Switched(). Raises HTTPBadRequest if that is not what was asked for, ConnectionResetError if
    the connection has ended.
    """
    answer = _handshake(request)
    http, transport = request.protocol, request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError
    transport.write(answer + first)
    link = Link(transport, holder, most_bytes)
    early = _Early()
    http.set_parser(early)  # type: ignore[arg-type]  # gives what came after the request
    transport.set_protocol(link)
    http.transport = None  # it is not to be closed with what ends here
    http.connection_lost(None)
    if early.data:
        asyncio.get_running_loop().call_soon(link.take, early.data)
    return link


def _handshake(request: web.Request) -> bytes:
    """The answer that a WebSocket begins with (RFC 6455, 4.2). No extension: compression costs more than it saves."""
    headers = request.headers
    wants = {word.strip() for word in headers.get("Connection", "").lower().split(",")}
    if "upgrade" not in wants or headers.get("Upgrade", "").strip().lower() != "websocket":
        raise web.HTTPBadRequest(text="not a request for a WebSocket")
    if headers.get("Sec-WebSocket-Version") != "13":
        raise web.HTTPBadRequest(
            text="a WebSocket of version 13 is what there is", headers={"Sec-WebSocket-Version": "13"}
        )
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        whole = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        whole = False
    if not whole:
        raise web.HTTPBadRequest(text="Sec-WebSocket-Key is not 16 bytes in base64")
    accept = base64.b64encode(hashlib.sha1(key.encode() + WS_KEY, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


class _Early:
    """Takes what came after the request, in place of the reader that aiohttp would have."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """The HTTP has ended, and nothing else."""
