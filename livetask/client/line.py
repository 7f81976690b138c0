"""One Socket.IO connection to the server, from its making to its loss; it never comes back, another one is made.

What the server tells is put in a queue in the order it came, and read at the reader's pace. The server bounds the
queue by its window, because nothing is acknowledged before it is consumed; should it not, the line is given up at
``QUEUE_BYTES``, and the reader goes on from its cursor on another one. What the queue holds when the line is lost is
still given out: it is right, wherever the line broke.

Must never know: what the events mean.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import socketio

from livetask.client.failures import Refused, reason_of
from livetask.errors import LivetaskError

QUEUE_BYTES = 8 * 1024 * 1024
"""The most that one line holds for its reader: many times the window of any sensible server."""

EVENTS = ("output", "gap", "caught_up", "run", "end", "reset", "task", "heartbeat", "store", "bye")

_CONNECT_S = 10.0
_CLOSE_S = 3.0
_EVENT_BYTES = 512
_FORBIDDEN = ("login_needed", "unauthorized", "forbidden", "origin_not_allowed")


class LineLost(LivetaskError):
    """There is no connection, or no more. ``reason``: what was seen."""

    code = "line_lost"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Line:
    """One connection. ``session``: what makes it; stays open. ``url``: the server's. ``transports``: in their order.

    ``headers``, ``auth``: what says who connects.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        headers: Mapping[str, str],
        auth: Mapping[str, str] | None,
        transports: tuple[str, ...],
    ) -> None:
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = f"{parts.path.strip('/')}/socket.io".lstrip("/")
        self._headers = dict(headers)
        self._auth = auth
        self._transports = list(transports)
        self._events: deque[tuple[str, Any, int]] = deque()
        self._size_bytes = 0
        self._came = asyncio.Event()
        self._lost: str | None = None
        self._rejection: object = None
        # signals are the program's own business
        self._sio: Any = socketio.AsyncClient(reconnection=False, handle_sigint=False, http_session=session)
        self._message = self._sio.eio.handlers["message"]
        self._sio.eio.on("message", self._hear)
        self._ended = asyncio.Event()
        self._end = self._sio.eio.handlers["disconnect"]
        self._sio.eio.on("disconnect", self._engine_ended)
        for event in EVENTS:
            self._sio.on(event, self._hearing(event))
        self._sio.on("connect_error", self._rejected)
        self._sio.on("disconnect", self._dropped)

    async def open(self) -> None:
        """Connect. Raises LineLost, or Refused when the server does not let this client in."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._connect()
        except (socketio.exceptions.ConnectionError, aiohttp.ClientError, OSError) as error:
            await self.close()
            raise self._explained(error) from None
        except BaseException:
            await self.close()
            raise

    async def _connect(self) -> None:
        """Connect, or raise as soon as the connection is lost.

        python-socketio waits out its whole patience for the greeting of a connection that was cut before it.
        """
        connecting = asyncio.ensure_future(
            self._sio.connect(
                self._origin,
                headers=self._headers,
                auth=self._auth,
                transports=self._transports,
                socketio_path=self._path,
                wait_timeout=_CONNECT_S,
            )
        )
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({connecting, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise ConnectionResetError("the connection was lost while it was made")
            await connecting
        finally:
            connecting.cancel()
            ended.cancel()
            await asyncio.gather(connecting, ended, return_exceptions=True)

    def _explained(self, error: Exception) -> LivetaskError:
        if isinstance(self._rejection, Mapping):
            data = self._rejection.get("data")
            code = str(data.get("code", "")) if isinstance(data, Mapping) else ""
            sentence = str(self._rejection.get("message", "")) or "the server does not let this client in"
            return Refused(code, sentence) if code in _FORBIDDEN else LineLost(sentence)
        if isinstance(error, TimeoutError):
            return LineLost(f"no answer in {_CONNECT_S:g} s")
        return LineLost(reason_of(error))

    async def send(self, event: str, message: Mapping[str, Any], *, answered: bool = False) -> None:
        """Send an event. ``answered``: what the server acknowledges it with comes as the event 'answer'.

        On a lost line nothing happens: the loss is found by ``next``.
        """
        callback = self._hearing("answer") if answered else None
        with contextlib.suppress(socketio.exceptions.SocketIOError, OSError):
            await self._sio.emit(event, dict(message), callback=callback)

    @property
    def empty(self) -> bool:
        """Nothing waits to be read."""
        return not self._events

    async def next(self, timeout_s: float) -> tuple[str, Any]:
        """The next event and its data. Raises TimeoutError; LineLost when there will be no more."""
        if not self._events and self._lost is None:
            self._came.clear()
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self._came.wait()
        if self._events:
            event, data, size_bytes = self._events.popleft()
            self._size_bytes -= size_bytes
            return event, data
        raise LineLost(self._lost or "the connection is lost")

    async def close(self) -> None:
        """Disconnect, within a bound: a line that is silent is left to the session's end."""
        self._lost = self._lost or "closed"
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await self._sio.disconnect()
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await self._sio.eio.disconnect(abort=True)

    # ---- what the connection tells; called in the loop, in order

    async def _hear(self, data: str | bytes) -> None:
        """A message came. Once the line is lost python-socketio has forgotten which event an attachment belongs to."""
        if self._lost is None:
            try:
                await self._message(data)
            except ValueError as error:
                self._lose(f"what came cannot be read ({error})")

    async def _engine_ended(self, reason: object = None) -> None:
        """The connection below Socket.IO is gone, a greeting heard on it or not."""
        self._ended.set()
        await self._end(reason)

    def _hearing(self, event: str) -> Any:
        def hear(data: Any = None) -> None:
            self._put(event, data)

        return hear

    def _put(self, event: str, data: Any) -> None:
        if self._lost is not None:
            return
        body = data.get("data", data.get("text", b"")) if isinstance(data, Mapping) else b""
        size_bytes = _EVENT_BYTES + (len(body) if isinstance(body, bytes | str) else 0)
        if self._events and self._size_bytes + size_bytes > QUEUE_BYTES:
            self._lose("more came than the program takes over")
            self._sio.start_background_task(self.close)
            return
        self._events.append((event, data, size_bytes))
        self._size_bytes += size_bytes
        self._came.set()

    def _rejected(self, data: object = None) -> None:
        self._rejection = data

    def _dropped(self, reason: object = None) -> None:
        self._lose(f"the connection is lost ({reason})" if reason else "the connection is lost")

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._came.set()
