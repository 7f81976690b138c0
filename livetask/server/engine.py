"""The Socket.IO server itself, as livetask wants it: its connections, its origins, its bounds.

python-socketio speaks Socket.IO and python-engineio answers who polls. A WebSocket is opened here, and everything that
lasts as long as a connection is ours: see `connection`. Connections that never become viewers hold memory and are
counted nowhere else, so they are ended.

Must never know: who connects, and what is said.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any

import engineio
import socketio
from aiohttp import web
from engineio import exceptions, packet
from yarl import URL

from livetask.server.armour.origins import may_connect
from livetask.server.connection import Connection
from livetask.server.frames import TEXT, frame
from livetask.server.link import Switched
from livetask.server.members import Members
from livetask.server.packets import serializer_named
from livetask.server.rounds import Rounds

PING_INTERVAL_S = 25
PING_TIMEOUT_S = 30
"""A slow viewer has its window to take in before it sees the ping behind it."""

MUTE_S = 15.0
"""How long a connection may take to become a viewer."""

SPARE = 200
"""How many connections there may be beyond the viewers: those on their way in and out."""

_OWN_WORDS = ("connect", "disconnect", "*")
_LAST_S = 0.3

log = logging.getLogger(__name__)


class Engine(engineio.AsyncServer):  # type: ignore[misc]  # engineio has no types
    """Engine.IO with our connections. ``most``: how many there may be. ``kept``: what Socket.IO's handlers are given of
    a connection's first request. ``came``: told the name of each, and that. ``is_viewer``: whether the connection of
    this name has become one. All are set by ``socketio_server``.
    """

    most: int
    kept: Callable[[web.Request], object]
    came: Callable[[str, object], None]
    is_viewer: Callable[[str], bool]

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "monitor_clients": False})
        self.pings = Rounds(float(self.ping_interval), self._ping)
        self._patience = Rounds(float(self.ping_timeout), self._give_up)
        self._mute = Rounds(MUTE_S, self._look)
        self._tasks: set[asyncio.Task[None]] = set()
        self._around_sid: tuple[str, str] | None = None

    # ---- connections

    async def handle_request(self, request: web.Request) -> Any:
        """Answer a request of Engine.IO."""
        return Switched() if self.enter(request) else await super().handle_request(request)

    def enter(self, request: web.Request) -> bool:
        """Let a new client in by a WebSocket, if that is what it asks for as clients of today do, and nothing speaks
        against it. Else nothing has been done.
        """
        headers, query = request.headers, request.rel_url.raw_query_string
        if request.method != "GET" or not _asks_to_enter(query) or "websocket" not in self.transports:
            return False
        if not self.cors_allowed_origins(headers.get("Origin", ""), {"HTTP_HOST": headers.get("Host", "")}):
            return False
        if self._is_full:
            return False
        try:
            self._open(request)
        except (web.HTTPException, ConnectionError):
            return False
        return True

    @property
    def _is_full(self) -> bool:
        return len(self.sockets) >= self.most + SPARE

    def _open(self, request: web.Request) -> None:
        """Raises what ``switch`` raises, and has done nothing then."""
        sid: str = self.generate_id()
        connection = Connection(self, sid, polls=False)
        connection.open_link(request, self._opening_frame(sid))
        self._came(connection, request)

    def _came(self, connection: Connection, request: web.Request) -> None:
        self.sockets[connection.sid] = connection
        self.came(connection.sid, self.kept(request))
        connection.schedule_ping()
        self._mute.put(connection.sid)

    async def _handle_connect(
        self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None
    ) -> dict[str, Any] | Switched | web.Response:
        """In place of Engine.IO's own, for connections of ours."""
        if self._is_full:
            refusal = self._unauthorized("this server takes no more connections")
            return await self._make_response(refusal, {"REQUEST_METHOD": "GET"})  # type: ignore[no-any-return]
        request: web.Request = environ["aiohttp.request"]
        if transport == "websocket":
            self._open(request)
            return Switched()
        sid: str = self.generate_id()
        connection = Connection(self, sid, polls=True)
        self._came(connection, request)
        connection.connected = True
        await connection.send(packet.Packet(packet.OPEN, self._opening(sid, self._upgrades(sid, transport))))
        try:
            return self._ok(await connection.poll(), headers=self._cookies(sid))  # type: ignore[no-any-return]
        except exceptions.QueueEmpty:
            return self._bad_request()  # type: ignore[no-any-return]

    def _opening_frame(self, sid: str) -> bytes:
        if self._around_sid is None:
            before, _, after = json.dumps(self._opening("?", []), separators=(",", ":")).partition("?")
            self._around_sid = f"0{before}", after
        return frame(TEXT, sid.join(self._around_sid).encode())

    def _opening(self, sid: str, upgrades: list[str]) -> dict[str, Any]:
        return {
            "sid": sid,
            "upgrades": upgrades,
            "pingTimeout": int(self.ping_timeout * 1000),
            "pingInterval": int((self.ping_interval + self.ping_interval_grace_period) * 1000),
            "maxPayload": self.max_http_buffer_size,
        }

    def _cookies(self, sid: str) -> list[tuple[str, str]] | None:
        if not self.cookie:
            return None
        named = self.cookie if isinstance(self.cookie, dict) else {"name": self.cookie, "path": "/", "SameSite": "Lax"}
        return [("Set-Cookie", self._generate_sid_cookie(sid, named))]

    # ---- what connections need

    def run(self, todo: Coroutine[Any, Any, None]) -> None:
        """Do something for a connection; ``shutdown`` waits for it."""
        task = asyncio.get_running_loop().create_task(todo)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def heard(self, sid: str, data: str | bytes) -> None:
        """A client has said something. What is wrong with it never ends the connection."""
        try:
            await self.handlers["message"](sid, data)
        except Exception:
            self.logger.exception("a message could not be handled")

    async def ended(self, sid: str, reason: str) -> None:
        """A connection is over."""
        try:
            await self.handlers["disconnect"](sid, reason)
        except Exception:
            log.exception("the end of a connection could not be handled")

    async def shutdown(self) -> None:
        """Cut all connections, and return when their ends have been handled."""
        for rounds in (self.pings, self._patience, self._mute):
            rounds.stop()
        connections = list(self.sockets.values())
        for connection in connections:
            connection.cut()
        await asyncio.sleep(0)  # the event loop tells of lost connections in its next turn
        ends = {*self._tasks, *(connection.work for connection in connections if connection.work is not None)}
        if ends:
            await asyncio.wait(ends, timeout=_LAST_S)

    # ---- rounds

    def _ping(self, sid: str) -> None:
        connection = self.sockets.get(sid)
        if connection is not None and not connection.closing:
            connection.ping(asyncio.get_running_loop().time())
            self._patience.put(sid)

    def _give_up(self, sid: str) -> None:
        connection = self.sockets.get(sid)
        if connection is None or connection.pinged_s is None:
            return
        silent_s = asyncio.get_running_loop().time() - connection.pinged_s
        if silent_s >= self.ping_timeout * 0.9:  # else it is a later ping's answer that is awaited
            self.run(connection.close(reason=self.reason.PING_TIMEOUT))

    def _look(self, sid: str) -> None:
        connection = self.sockets.get(sid)
        if connection is not None and not self.is_viewer(sid):
            connection.cut()


@lru_cache(64)
def _asks_to_enter(query: str) -> bool:
    """Whether the request is a new client's that wants a WebSocket; their queries are alike."""
    found = URL.build(query_string=query, encoded=True).query
    return found.get("transport") == "websocket" and found.get("EIO") == "4" and "sid" not in found


class _Server(socketio.AsyncServer):  # type: ignore[misc]  # socketio has no types
    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        """In place of python-socketio's own: straight to the connection, which has no queue."""
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None and not connection.closed:
            said = pkt.encode()
            for message in said if isinstance(said, list) else (said,):
                connection.say(message)

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        """In place of python-socketio's own, which asks each handler at each event what it is: ours are coroutines."""
        return await self.handlers[namespace][event](*args)

    async def _handle_event_internal(
        self, server: object, sid: str, eio_sid: str, data: list[Any], namespace: str, number: int | None
    ) -> None:
        """A client's event. Python-socketio would take ``connect`` from a client for its own word for a connection."""
        event, *args = data
        handlers = self.handlers[namespace]
        if isinstance(event, str) and event in handlers and event not in _OWN_WORDS:
            answer = await handlers[event](sid, *args)
        else:
            answer = await handlers["*"](event, sid, *args)
        if number is not None:
            said = [] if answer is None else [answer]
            ack = self.packet_class(socketio.packet.ACK, namespace=namespace, id=number, data=said)
            await self._send_packet(eio_sid, ack)


def socketio_server(
    origins: tuple[str, ...],
    inbound_bytes: int,
    max_viewers: int,
    options: Mapping[str, Any],
    kept: Callable[[web.Request], object] = lambda request: request,
) -> Any:
    """A Socket.IO server with our connections. Its own logs are off: they would show what clients send.

    ``origins``: others whose pages may connect. ``inbound_bytes``: the largest message. ``max_viewers``: a few more
    connections are taken. ``options``: more of its options; they win over ours. ``kept``: what the handler of
    ``connect`` is given of a connection's first request.
    """
    serializer = serializer_named(options.get("serializer", "default"))
    quiet = logging.getLogger("livetask.server.socketio")
    quiet.setLevel(logging.CRITICAL)
    server = _Server(
        async_mode="aiohttp",
        async_handlers=False,  # a viewer's messages are answered one after the other
        client_manager=Members(),
        cors_allowed_origins=may_connect(origins),
        max_http_buffer_size=inbound_bytes,
        logger=quiet,
        engineio_logger=quiet,
        **{"ping_interval": PING_INTERVAL_S, "ping_timeout": PING_TIMEOUT_S, **options, "serializer": serializer},
    )
    engine: Engine = server.eio
    engine.most, engine.kept, engine.came = max_viewers, kept, server.environ.__setitem__
    engine.is_viewer = lambda sid: server.manager.sid_from_eio_sid(sid, "/") is not None
    return server
