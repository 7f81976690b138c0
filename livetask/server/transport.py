"""The last step to a viewer: finished frames onto its WebSocket, or packets into the queue of one that polls.

Engine.IO keeps its state, its pings and its end; livetask's packets pass it by. A frame is written to the connection at
once, when nothing that Engine.IO has queued for the viewer waits before it, so the order is that of the calls. What is
written beyond what the connection takes at once stays in its write buffer; ``drained`` says whether that is small,
and more output is sent only then.

It uses what aiohttp makes public, and of Engine.IO its driver class, its socket's queue and its flags.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from aiohttp import WSMsgType, web
from engineio import packet as engine
from engineio.async_drivers import aiohttp as driver

from livetask.errors import TooLarge
from livetask.server.feed import Gone
from livetask.server.frames import Packet, answer_text, packed_answer
from livetask.server.wire import error_json

DRAINED_BYTES = 64 * 1024
"""A transport that holds less than this can be given more."""

MOST_BYTES = 4 * 1024 * 1024
MOST_PACKETS = 2000
"""Beyond these a viewer who takes nothing is cut off; it loses nothing, since it comes back with its cursors.

Output is never why: it is sent only to who has drained. News of many tasks can be, until the next ping finds out.
"""

_REFUSED = 8
"""A message beyond the limit is answered with an error; one beyond this many times the limit ends the connection."""

_CLOSE_S = 0.5
_PACKET = re.compile(r"[0-6]", re.ASCII)
_EVENT = re.compile(r"42([0-9]{1,9})\[")


class SocketDriver(driver.WebSocket):  # type: ignore[misc]  # engineio has no types
    """How Engine.IO uses a WebSocket: without compression, which costs six times the CPU and 0.24 MB a connection.

    Messages that are none are passed over, and those that are too large are answered; neither ends the connection. A
    text that Engine.IO's ``socket.heard`` has dealt with goes no further.
    """

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        request: web.Request = environ["aiohttp.request"]
        limit = self.server.max_http_buffer_size
        self._sock = web.WebSocketResponse(max_msg_size=_REFUSED * limit, compress=False, timeout=_CLOSE_S)
        await self._sock.prepare(request)
        self.environ = environ
        socket = self.handler.__self__
        socket.link = request.transport
        socket.writing = False
        socket.poll = _Poll(socket)
        socket.heard = getattr(socket, "heard", None) or _not_heard
        await self.handler(self)
        return self._sock

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self._sock.send_bytes(message)
        else:
            await self._sock.send_str(message)

    async def wait(self) -> str | bytes:
        socket = self.handler.__self__
        while True:
            message = await self._sock.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                raise OSError
            data: str | bytes = message.data
            if len(data) > self.server.max_http_buffer_size:
                await self._refuse(data)
            elif isinstance(data, str) and socket.heard(data):
                continue
            elif isinstance(data, bytes) or _PACKET.match(data):
                return data

    async def _refuse(self, data: str | bytes) -> None:
        refusal = {"ok": False, **error_json(TooLarge(self.server.max_http_buffer_size))}
        if isinstance(data, bytes):
            ack_id = _packed_id(data)
            if ack_id is not None:
                await self.send(packed_answer(ack_id, refusal))
            return
        match = _EVENT.match(data)
        if match is not None:
            await self.send("4" + answer_text(match[1], refusal))


def _not_heard(_: str) -> bool:
    """Before there is a viewer, everything is for the Socket.IO server."""
    return False


def _packed_id(data: bytes) -> int | None:
    """The number of an event of the serializer 'msgpack' that wants an answer."""
    try:
        import msgpack

        found = msgpack.unpackb(data)
    except (ImportError, ValueError, TypeError):
        return None
    number = found.get("id") if isinstance(found, dict) else None
    return number if isinstance(number, int) else None


class _Poll:
    """What Engine.IO's writer waits in, in place of its own: without a task for each packet.

    ``writing`` is true from when packets leave the queue until they are sent: nothing may be written past them.
    """

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def __call__(self) -> list[Any]:
        socket = self._socket
        socket.writing = False
        queue: asyncio.Queue[Any] = socket.queue
        packets = [await queue.get()]
        queue.task_done()
        if packets == [None]:
            return []
        socket.writing = True
        while not queue.empty():
            packet = queue.get_nowait()
            queue.task_done()
            if packet is None:
                queue.put_nowait(None)
                break
            packets.append(packet)
        return packets


class Transport:
    """The way to one viewer. ``socket``: Engine.IO's. ``packed``: packets go as the serializer 'msgpack' has them."""

    __slots__ = ("_socket", "packed")

    def __init__(self, socket: Any, packed: bool = False) -> None:
        self._socket = socket
        self.packed = packed

    @property
    def drained(self) -> bool:
        """Little of what was sent is still on its way out of this process."""
        if not self._socket.queue.empty():
            return False
        link = self._link()
        return link is None or link.get_write_buffer_size() < DRAINED_BYTES

    def send(self, packet: Packet) -> None:
        """Send a packet, after all that was sent before. Never waits. Raises Gone."""
        socket = self._socket
        if socket.closed:
            raise Gone
        link = self._link()
        if link is not None and (link.is_closing() or link.get_write_buffer_size() > MOST_BYTES):
            link.abort()
            raise Gone
        if socket.queue.qsize() > MOST_PACKETS:
            self.release()
            raise Gone
        if link is not None and not socket.writing and socket.queue.empty():
            link.write(packet.packed_frames if self.packed else packet.frames)
            return
        for message in [packet.packed] if self.packed else [packet.text, *packet.attachments]:
            socket.queue.put_nowait(engine.Packet(engine.MESSAGE, message))

    def release(self) -> None:
        """Let a poll that waits return, once all that is queued is taken: nothing more will come."""
        if self._link() is None:
            self._socket.queue.put_nowait(None)

    def abort(self) -> None:
        """Cut the connection, whatever is still on its way."""
        link = self._link()
        if link is not None and not link.is_closing():
            link.abort()

    def _link(self) -> asyncio.WriteTransport | None:
        """The connection, if the viewer has a WebSocket and the change to it is over."""
        if not self._socket.upgraded or self._socket.upgrading:
            return None
        link: asyncio.WriteTransport | None = getattr(self._socket, "link", None)
        return link
