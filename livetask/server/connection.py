"""One connection, as Engine.IO has it: it polls, or it has a WebSocket, or it changes from the one to the other.

A WebSocket needs very little of Engine.IO: an opening, a ping that is answered, messages. What is sent is written at
once; what comes is handled one message after the other, by a task that lives only while there is something to
handle. Nothing runs for a connection that is silent: pings come from rounds that all share.

| state | connected | upgrading | upgraded | what is sent goes |
|---|---|---|---|---|
| polls | yes | no | no | into the queue, until the next poll |
| tries a WebSocket | yes | yes | no | the same |
| has a WebSocket | yes | no | yes | onto the link |
| over | | | | nowhere; ``closed`` |

Must never know: Socket.IO, viewers.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from engineio import exceptions, packet, payload
from engineio.async_socket import AsyncSocket

from livetask.errors import TooLarge
from livetask.server.frames import BINARY, TEXT, answer_text, frame, packed_answer
from livetask.server.link import Link, Switched, switch
from livetask.server.outbox import Outbox
from livetask.server.wire import error_json

if TYPE_CHECKING:
    from aiohttp import web

    from livetask.server.engine import Engine

REFUSED = 8
"""A message beyond the limit is answered with an error; one beyond this many times the limit ends the connection."""

_PING = frame(TEXT, b"2")
_PROBED = frame(TEXT, b"3probe")
_EVENT = re.compile(r"42([0-9]{1,9})\[")


class Connection(AsyncSocket):  # type: ignore[misc]  # engineio has no types
    """``server``: whose it is. ``sid``: its name there. ``polls``: it begins without a WebSocket.

    ``link``: its WebSocket, when that is what it uses. ``queue``: what waits for the next poll.
    ``pinged_s``: since when it owes the answer to a ping, on the loop's clock; None when it owes none.
    ``work``: handles its messages, and its end. ``heard``: is given each text first; what it says True to goes no
    further.
    """

    def __init__(self, server: Engine, sid: str, polls: bool) -> None:
        # not Engine.IO's own: it makes a queue for everyone, which is a tenth of what a viewer costs
        self.server = server
        self.sid = sid
        self.connected = self.upgrading = self.upgraded = self.closing = self.closed = False
        self.session = None
        self.queue = Outbox() if polls else None
        self.link: Link | None = None
        self.pinged_s: float | None = None
        self.heard: Callable[[str], bool] | None = None
        self._context: contextvars.Context | None = None
        self.work: asyncio.Task[None] | None = None

    # ---- a WebSocket

    def open_link(self, request: web.Request, opening: bytes) -> None:
        """Begin with a WebSocket, and this frame. Raises what ``switch`` raises."""
        self.connected = self.upgraded = True
        self._context = contextvars.copy_context()  # what is done for its messages belongs to this request
        self.link = switch(request, self, REFUSED * self.server.max_http_buffer_size, opening)

    async def _upgrade_websocket(self, environ: dict[str, Any]) -> Switched:
        """One that polls asks for a WebSocket; until that is tried, it goes on polling."""
        if self.upgraded or self.upgrading:
            raise OSError("this connection has a WebSocket, or tries one")
        self.upgrading = True
        probe = _Probe(self)
        try:
            probe.link = switch(environ["aiohttp.request"], probe, REFUSED * self.server.max_http_buffer_size)
        except BaseException:
            self.upgrading = False
            raise
        self._context = contextvars.copy_context()
        return Switched()

    def upgrade(self, link: Link) -> None:
        """The WebSocket works: it is used from now on."""
        assert self.queue is not None
        self.link, link.holder = link, self
        self.upgraded, self.upgrading = True, False
        while not self.queue.empty():
            waiting = self.queue.get_nowait()
            if waiting is not None and waiting.packet_type != packet.NOOP:
                self._put(waiting)

    # ---- polls

    async def poll(self, name: str = "") -> list[packet.Packet]:
        """What a poll is given; see Outbox. Raises QueueEmpty when nothing has come in a long time."""
        assert self.queue is not None
        try:
            return await self.queue.poll(name, self.server.ping_interval + self.server.ping_timeout)
        except TimeoutError:
            raise exceptions.QueueEmpty from None

    async def handle_get_request(self, environ: dict[str, Any]) -> Any:
        """A poll, or the wish to change to a WebSocket."""
        if "HTTP_UPGRADE" in environ or self.upgrading or self.upgraded:
            return await super().handle_get_request(environ)
        try:
            return await self.poll(_name(environ))
        except exceptions.QueueEmpty:
            await self.close(wait=False, reason=self.server.reason.TRANSPORT_ERROR)
            raise

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """Packets of a client that polls. Raises ContentTooLongError."""
        length = int(environ.get("CONTENT_LENGTH", "0"))
        if length > self.server.max_http_buffer_size:
            raise exceptions.ContentTooLongError
        body = (await environ["wsgi.input"].readexactly(length)).decode("utf-8")
        assert self.queue is not None
        if self.queue.is_new(_name(environ)):
            for pkt in payload.Payload(encoded_payload=body).packets:
                await self.receive(pkt)

    # ---- to the client

    async def send(self, pkt: packet.Packet) -> None:
        """Send a packet, after all that was sent before."""
        if self.closed:
            raise exceptions.SocketIsClosedError
        self._put(pkt)

    def say(self, message: str | bytes) -> None:
        """Send a message of Socket.IO's, after all that was sent before."""
        link = self.link
        if link is None:
            self._put(packet.Packet(packet.MESSAGE, message))
        elif not link.is_closing:
            link.write(frame(BINARY, message) if isinstance(message, bytes) else _text_frame(message))

    def _put(self, pkt: packet.Packet) -> None:
        if self.link is None:
            assert self.queue is not None
            self.queue.put_nowait(pkt)
        elif not self.link.is_closing:
            said = pkt.encode()
            self.link.write(
                frame(BINARY, said) if isinstance(said, bytes) else frame(TEXT, said.encode("utf-8", "replace"))
            )

    def ping(self, now_s: float) -> None:
        """Ask whether it is still there."""
        self.pinged_s = now_s
        if self.link is None:
            self._put(packet.Packet(packet.PING))
        elif not self.link.is_closing:
            self.link.write(_PING)

    def schedule_ping(self) -> None:
        """It has come, or has answered a ping: the next one comes after Engine.IO's interval."""
        self.pinged_s = None
        self.server.pings.put(self.sid)

    async def check_ping_timeout(self) -> bool:
        """Whether it may still be there; the rounds look after those who are not."""
        if self.closed:
            raise exceptions.SocketIsClosedError
        return True

    # ---- from the client

    def received(self) -> None:
        """As the holder of a link: what came is handled now, or when what came before it has been."""
        if self.work is None and (todo := self._next()) is not None:
            self._begin(todo)

    def lost(self) -> None:
        """As the holder of a link."""
        if self.work is None and not self.closed:
            self._begin(None)

    def _begin(self, todo: Coroutine[Any, Any, None] | None) -> None:
        self.work = asyncio.get_running_loop().create_task(self._handle(todo), context=self._context)

    async def _handle(self, todo: Coroutine[Any, Any, None] | None) -> None:
        """Handle messages until there are none; and the end of the connection, after the last of them."""
        link = self.link
        assert link is not None
        try:
            while todo is not None:
                await todo
                await link.room()
                todo = self._next()
        finally:
            self.work = None
        if link.transport.is_closing():
            await self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)

    def _next(self) -> Coroutine[Any, Any, None] | None:
        """How to handle the next message that is not handled by this itself; None when there is none."""
        link = self.link
        assert link is not None
        while not self.closed and (said := link.next()) is not None:
            if len(said) > self.server.max_http_buffer_size:
                self._refuse(said)
            elif isinstance(said, bytes):
                return self.server.heard(self.sid, said)
            elif said == "3":
                if self.pinged_s is not None:
                    self.schedule_ping()
            elif self.heard is not None and self.heard(said):
                continue
            elif said.startswith("4"):
                return self.server.heard(self.sid, said[1:])
            elif said == "1":
                return self.close(wait=False, abort=True, reason=self.server.reason.CLIENT_DISCONNECT)
            # anything else is nothing that a client has to say, and is passed over
        return None

    async def receive(self, pkt: packet.Packet) -> None:
        """As Engine.IO has it, for who polls."""
        if pkt.packet_type != packet.PONG:
            await super().receive(pkt)
        elif self.pinged_s is not None:
            self.schedule_ping()

    def _refuse(self, said: str | bytes) -> None:
        """Answer a message that is too large, if it wants an answer."""
        assert self.link is not None
        refusal = {"ok": False, **error_json(TooLarge(self.server.max_http_buffer_size))}
        if isinstance(said, bytes):
            ack_id = _packed_id(said)
            if ack_id is not None:
                self.link.write(frame(BINARY, packed_answer(ack_id, refusal)))
        elif (match := _EVENT.match(said)) is not None:
            self.link.write(frame(TEXT, b"4" + answer_text(match[1], refusal).encode()))

    # ---- the end

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """End it: tell Socket.IO, and the client unless ``abort``, and forget it. ``wait`` is Engine.IO's, not used."""
        if self.closed or self.closing:
            return
        self.closing = True
        await self.server.ended(self.sid, reason or self.server.reason.SERVER_DISCONNECT)
        if not abort:
            self._put(packet.Packet(packet.CLOSE))
        self.closed = True
        self.server.sockets.pop(self.sid, None)
        if self.link is not None:
            self.link.close()
        elif self.queue is not None:
            self.queue.put_nowait(None)  # a poll that waits returns

    def cut(self) -> None:
        """End it now, whatever is still on its way."""
        if self.link is not None:
            self.link.abort()
        else:
            self.server.run(self.close(abort=True, reason=self.server.reason.SERVER_DISCONNECT))


class _Probe:
    """Tries whether a WebSocket works, as Engine.IO's clients do: it says ``2probe``, is told so, and says ``5``."""

    def __init__(self, connection: Connection) -> None:
        self.link: Link | None = None
        self._connection = connection
        self._awaited = "2probe"

    def received(self) -> None:
        """See Holder."""
        link, connection = self.link, self._connection
        while link is not None and link.holder is self and (said := link.next()) is not None:
            if said != self._awaited or connection.closed:
                link.close()
            elif said == "2probe":
                self._awaited = "5"
                link.write(_PROBED)
                if connection.queue is not None:  # one that polls has one
                    connection.queue.put_nowait(packet.Packet(packet.NOOP))  # a poll that waits ends
            else:
                connection.upgrade(link)
                connection.received()

    def lost(self) -> None:
        """See Holder."""
        self._connection.upgrading = False


def _text_frame(message: str) -> bytes:
    return frame(TEXT, b"4" + message.encode("utf-8", "replace"))


def _name(environ: dict[str, Any]) -> str:
    """What the client calls this request, and calls it again when it is repeated."""
    name: str = environ["aiohttp.request"].query.get("t", "")
    return name[:64]


def _packed_id(data: bytes) -> int | None:
    """The number of an event of the serializer 'msgpack' that wants an answer."""
    try:
        import msgpack

        found = msgpack.unpackb(data)
    except (ImportError, ValueError, TypeError):
        return None
    number = found.get("id") if isinstance(found, dict) else None
    return number if isinstance(number, int) else None
