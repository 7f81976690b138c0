"""The door: what a connection has before its first bytes.

Most connections that last begin by asking for Socket.IO's WebSocket. For those aiohttp would make what it keeps for any
client, have the request pass through three tasks and all middlewares, and then be told to let go of it: half of what
accepting a viewer cost. Such a request is read here, by aiohttp's own parser, and let in at once if nothing speaks
against it. Everything else is handed to aiohttp as it came: another request, one in two pieces, one that would be
refused. So this only ever says yes; what a refusal says, and to whom, is decided in one place behind it.

Must never know: Engine.IO, Socket.IO, who may come in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError

from livetask.server.rounds import Rounds

LetIn = Callable[[web.Request], bool]
"""Takes a request for a WebSocket, and makes its connection one; False: it does not, and nothing has been done."""

LET_IN: web.AppKey[LetIn] = web.AppKey("LET_IN")

PATH = "/socket.io/"

_LIMIT = 2**16
_MOST_HEADERS = 128


class Doors:
    """One for each connection: call it. ``server``: aiohttp's, which the others come to. ``let_in``: None for nobody.
    ``base``: the path before all others. ``line_bytes``: the longest line of a request. ``silent_s``: how long a
    connection may say nothing.
    """

    def __init__(self, server: web.Server, let_in: LetIn | None, base: str, line_bytes: int, silent_s: float) -> None:
        self.server = server
        self.let_in = let_in
        self.begins = () if let_in is None else (f"GET {PATH}?".encode(), f"GET {base}{PATH}?".encode())
        self.line_bytes = line_bytes
        self.waiting: set[Door] = set()
        self._silent = Rounds(silent_s, Door.give_up)

    def __call__(self) -> Door:
        door = Door(self)
        self.waiting.add(door)
        self._silent.put(door)
        return door

    def stop(self) -> None:
        """End the connections on which nothing was said yet."""
        self._silent.stop()
        for door in tuple(self.waiting):
            door.give_up()


class Door(asyncio.Protocol):
    """See the module's docstring. To the request that it reads it stands for aiohttp's protocol."""

    __slots__ = ("_doors", "_early", "transport")

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._early = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        doors, transport = self._doors, self.transport
        doors.waiting.discard(self)
        if transport is None or (data.startswith(doors.begins) and self._is_let_in(data)):
            return
        http = doors.server()
        http.connection_made(transport)
        transport.set_protocol(http)
        http.data_received(data)
        self.transport = None

    def _is_let_in(self, data: bytes) -> bool:
        doors, most = self._doors, self._doors.line_bytes
        parser = HttpRequestParser(
            self,  # type: ignore[arg-type]  # for bodies, and this takes none
            asyncio.get_running_loop(),
            _LIMIT,
            max_line_size=most,
            max_field_size=most,
            max_headers=_MOST_HEADERS,
        )
        try:
            messages, upgraded, self._early = parser.feed_data(data)
        except HttpProcessingError:
            return False
        if not upgraded or len(messages) != 1:
            return False
        message, body = messages[0]
        if not body.is_eof() or "Expect" in message.headers:
            return False
        request: Any = doors.server.request_factory(message, body, self, None, None)  # type: ignore[arg-type]
        return doors.let_in is not None and doors.let_in(request)

    def connection_lost(self, error: BaseException | None) -> None:
        self._doors.waiting.discard(self)
        self.transport = None

    def give_up(self) -> None:
        """Nothing was said: end it."""
        if self in self._doors.waiting and self.transport is not None:
            self.transport.abort()

    # ---- what a request asks of its protocol

    @property
    def peername(self) -> Any:
        """Where the client connects from."""
        return None if self.transport is None else self.transport.get_extra_info("peername")

    @property
    def sockname(self) -> Any:
        """Where it connects to."""
        return None if self.transport is None else self.transport.get_extra_info("sockname")

    @property
    def ssl_context(self) -> Any:
        """None where nothing is encrypted."""
        return None if self.transport is None else self.transport.get_extra_info("sslcontext")

    def set_parser(self, parser: Any) -> None:
        """Give what came after the request."""
        if self._early:
            parser.feed_data(self._early)
