"""Packets of Socket.IO, encoded once for all viewers who are sent the same.

A packet is made into text when the first viewer needs it, and into finished WebSocket frames when the first one with
that transport does; everyone else is sent the same bytes. Output may travel as a binary attachment, untouched.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
import struct
from functools import cached_property
from typing import Any

from livetask.server.events import Event, Output
from livetask.server.wire import Json, event_json

_TEXT, _BINARY, _FINAL = 0x1, 0x2, 0x80
_PLACE: Json = {"_placeholder": True, "num": 0}


class Packet:
    """One event of the default namespace. ``attachment``: bytes that stand for the one placeholder in ``data``."""

    def __init__(self, name: str, data: Json, attachment: bytes | None = None) -> None:
        head = "2" if attachment is None else "51-"
        self.text = head + _dumped([name, data])
        self.attachment = attachment

    @cached_property
    def frames(self) -> bytes:
        """The packet as one or two WebSocket frames, with Engine.IO's mark of a message."""
        text = _frame(_TEXT, b"4" + self.text.encode("utf-8", "replace"))
        return text if self.attachment is None else text + _frame(_BINARY, self.attachment)


class Told:
    """An event of one task on its way to viewers, encoded at most once for each form."""

    __slots__ = ("_packets", "event", "task_id")

    def __init__(self, task_id: str, event: Event) -> None:
        self.task_id = task_id
        self.event = event
        self._packets: dict[bool, Packet] = {}

    def packet(self, binary: bool) -> Packet:
        """The packet to send. ``binary``: output goes as an attachment."""
        binary = binary and isinstance(self.event, Output)
        packet = self._packets.get(binary)
        if packet is None:
            name, data = event_json(self.task_id, self.event, binary)
            attachment = data["data"] if binary else None
            if binary:
                data["data"] = _PLACE
            packet = self._packets[binary] = Packet(name, data, attachment)
        return packet


def answer_text(ack_id: str, data: Json) -> str:
    """The packet that answers a client's event of that number."""
    return f"3{ack_id}" + _dumped([data])


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _frame(kind: int, payload: bytes) -> bytes:
    """One unmasked WebSocket frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((_FINAL | kind, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", _FINAL | kind, 126, size) + payload
    return struct.pack("!BBQ", _FINAL | kind, 127, size) + payload
