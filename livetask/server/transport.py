"""The last step to a viewer: finished frames onto its WebSocket, or packets into the queue of one that polls.

A frame is written to the connection at once, so the order is that of the calls. What is written beyond what the
connection takes at once stays in its write buffer; ``drained`` says whether that is small, and more output is sent
only then.
"""

from __future__ import annotations

from engineio import packet as engine

from livetask.server.connection import Connection
from livetask.server.feed import Gone
from livetask.server.frames import Packet, Told

DRAINED_BYTES = 64 * 1024
"""A transport that holds less than this can be given more."""

MOST_BYTES = 4 * 1024 * 1024
MOST_PACKETS = 2000
"""Beyond these a viewer who takes nothing is cut off; it loses nothing, since it comes back with its cursors.

Output is never why: it is sent only to who has drained. News of many tasks can be, until the next ping finds out.
"""


class Transport:
    """The way to one viewer. ``packed``: packets go as the serializer 'msgpack' has them."""

    __slots__ = ("_connection", "_link", "packed")

    def __init__(self, connection: Connection, packed: bool = False) -> None:
        self._connection = connection
        self._link = connection.link  # once there is one, it stays
        self.packed = packed

    @property
    def drained(self) -> bool:
        """Little of what was sent is still on its way out of this process."""
        link = self._link or self._connection.link
        if link is None:
            queue = self._connection.queue
            return queue is None or queue.empty()
        return not link.holds or link.unsent() < DRAINED_BYTES

    @property
    def unsent_bytes(self) -> int:
        """How much of what was written to the viewer's WebSocket is still in this process; 0 for who polls."""
        link = self._connection.link
        return 0 if link is None else link.unsent()

    def send(self, packet: Packet) -> None:
        """Send a packet, after all that was sent before. Never waits. Raises Gone."""
        link = self._link
        if link is None:
            self._link = link = self._connection.link
            if self._connection.closed:
                raise Gone
            if link is None:
                self._queue(packet)
                return
        if link.over or (link.holds and link.unsent() > MOST_BYTES):
            link.abort()
            raise Gone
        if packet.is_large and not self.packed:
            link.write_parts(packet.parts)
        else:
            link.write(packet.packed_frames if self.packed else packet.frames)

    def _queue(self, packet: Packet) -> None:
        queue = self._connection.queue
        if queue is None or queue.qsize() > MOST_PACKETS:
            self.release()
            raise Gone
        for message in [packet.packed] if self.packed else [packet.text, *packet.attachments]:
            queue.put_nowait(engine.Packet(engine.MESSAGE, message))

    def release(self) -> None:
        """Let a poll that waits return, once all that is queued is taken: nothing more will come."""
        if self._connection.link is None and self._connection.queue is not None:
            self._connection.queue.put_nowait(None)

    def abort(self) -> None:
        """Cut the connection, whatever is still on its way."""
        if self._connection.link is not None:
            self._connection.link.abort()


class TaskSink(Transport):
    """The way to one viewer for one task. ``binary``: output goes as bytes. ``way``: see Sink."""

    __slots__ = ("_binary", "way")

    def __init__(self, transport: Transport, binary: bool) -> None:
        super().__init__(transport._connection, transport.packed)
        self._binary = binary
        self.way = None if self.packed else self._link

    def tell(self, told: Told) -> None:
        """See Sink."""
        self.send(told.packet(self._binary))
        if self.way is None and not self.packed:
            self.way = self._link  # one that polled has a WebSocket by now
