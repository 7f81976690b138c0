"""Server-sent events as the protocol of durable streams has them: what ``live=sse`` with an offset gives.

``data`` holds output; the ``control`` that follows each says where the client stands: ``streamNextOffset``,
``streamCursor`` (for caches between), ``upToDate`` and ``streamClosed`` once they are true. What cannot be delivered is
a ``control`` of its own with ``streamGap``, as ``<from> <to> <reason>``; clients of the protocol pass over the field;
its offset stands after the gap. The ``id`` of a control is the cursor, so that a browser goes on by itself; that of the
last one has END_TOLD behind it, for a client that was cut before it stands at the same place.

A carriage return cannot stand in the data of an event and is shown as U+240D; ``encoding=base64`` gives the bytes.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from livetask.position import Cursor
from livetask.server.events import CaughtUp, Ended, Event, Missing, Output, Reset
from livetask.server.wire import text_of_output

END_TOLD = ".end"
"""What follows the cursor in an event's id once the client has been told how the run has ended, for good."""


class StreamEvents:
    """Makes the protocol's events of the hub's. ``base64``: data in base64. ``cursor``: what caches are told.

    ``over``: no event follows; the client comes again, or has all there is.
    """

    def __init__(self, *, base64: bool, cursor: str) -> None:
        self._base64 = base64
        self._cursor = cursor
        self._owed: Cursor | None = None
        self.over = False

    def of(self, event: Event) -> Iterator[bytes]:
        """What the client is sent. The control of a piece is left to the event after it, or to ``settled``."""
        if isinstance(event, Output):
            yield from self.settled()
            yield _event("data", self._data(event.data))
            self._owed = event.cursor
        elif isinstance(event, Missing):
            yield from self.settled()
            gap = event.gap
            yield self._control(event.cursor, streamGap=f"{gap.start} {gap.end} {gap.reason}")
        elif isinstance(event, CaughtUp):
            self._owed = None
            yield self._control(event.cursor, upToDate=True)
        elif isinstance(event, Ended) and event.run.how != "LOST":
            self._owed = None
            self.over = True
            yield self._control(event.run.cursor(event.run.end), upToDate=True, streamClosed=True)
        elif isinstance(event, Reset):
            self.over = True

    def settled(self) -> Iterator[bytes]:
        """The control that is still owed for the last piece, if nothing follows it yet."""
        if self._owed is not None:
            yield self._control(self._owed)
            self._owed = None

    def _control(self, cursor: Cursor, **more: object) -> bytes:
        told: dict[str, object] = {"streamNextOffset": cursor.offset}
        if "streamClosed" not in more:
            told["streamCursor"] = self._cursor
        event_id = cursor.offset + (END_TOLD if "streamClosed" in more else "")
        return _event("control", json.dumps(told | more, separators=(",", ":")), event_id)

    def _data(self, data: bytes) -> str:
        if self._base64:
            return base64.b64encode(data).decode("ascii")
        return text_of_output(data).replace("\r", "\u240d")


def _event(name: str, data: str, event_id: str = "") -> bytes:
    """One event. No blank after the colon where the data begins with none, as the protocol writes it."""
    head = f"id:{event_id}\n" if event_id else ""
    lines = "".join(f"data:{' ' if line.startswith(' ') else ''}{line}\n" for line in data.split("\n"))
    return f"{head}event: {name}\n{lines}\n".encode("utf-8", "replace")
