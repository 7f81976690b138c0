"""Packets of Socket.IO, encoded once for all viewers who are sent the same.

A packet is made into text when the first viewer needs it, and into finished WebSocket frames when the first one with
that transport does; everyone else is sent the same bytes. Output may travel as a binary attachment, untouched.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from livetask.server.events import Emitted, Event, Output
from livetask.server.json_text import json_text
from livetask.server.wire import Json, event_json, output_json, text_of_output

TEXT, BINARY, _FINAL = 0x1, 0x2, 0x80
"""What a message holds (RFC 6455, 5.2)."""

_EVENT = 2
_PLACEHOLDER = {"_placeholder": True, "num": 0}


class Packet:
    """One event of the default namespace. ``binary``: there may be bytes in ``data``; they become ``attachments``.

    ``output``: what ``data`` holds besides, in parts: as its last field, ``text``, or with ``binary`` as the only
    attachment, in its field ``data``.
    """

    def __init__(self, name: str, data: Json, *, binary: bool = False, output: Sequence[bytes] | None = None) -> None:
        self._name = name
        self._data = data
        self._binary = binary
        self._output = output
        self._attached: list[Sequence[bytes]] = []
        if output is not None and binary:
            self._attached.append(output)
            self._shown: Any = {**data, "data": _PLACEHOLDER}
        else:
            self._shown = _without_bytes(data, self._attached) if binary else data

    @property
    def attachments(self) -> list[bytes]:
        """What follows the text, in this order."""
        return [b"".join(parts) for parts in self._attached]

    @property
    def text(self) -> str:
        """The packet as the default serializer has it."""
        return b"".join(self._text()).decode("utf-8")

    @cached_property
    def packed(self) -> bytes:
        """The packet as the serializer 'msgpack' has it: one message, bytes included."""
        import msgpack  # only where it is asked for is it installed

        data = self._data
        if self._output is not None:
            whole = b"".join(self._output)
            data = {**data, "data": whole} if self._binary else {**data, "text": text_of_output(whole)}
        found: bytes = msgpack.packb({"type": _EVENT, "data": [self._name, data], "nsp": "/"})
        return found

    @property
    def is_large(self) -> bool:
        """It is better written in ``parts`` than joined, and was not joined yet."""
        return self._output is not None and len(self._output) > 1 and "frames" not in self.__dict__

    @cached_property
    def parts(self) -> list[bytes]:
        """The text and its attachments as WebSocket frames, with Engine.IO's mark of a message."""
        text = self._text()
        parts = [frame_head(TEXT, 1 + sum(map(len, text))), b"4", *text]
        for held in self._attached:
            parts += frame_head(BINARY, sum(map(len, held))), *held
        return parts

    @cached_property
    def frames(self) -> bytes:
        """``parts`` in one; these are let go, since whoever is sent it next is sent the same."""
        whole = b"".join(self.parts)
        del self.__dict__["parts"]
        return whole

    def _text(self) -> list[bytes]:
        head = f"5{len(self._attached)}-" if self._attached else "2"
        shown = (head + _dumped([self._name, self._shown])).encode("utf-8", "replace")
        if self._output is None or self._binary:
            return [shown]
        return [shown[:-2] + b',"text":', *json_text(self._output), b"}]"]

    @cached_property
    def packed_frames(self) -> bytes:
        """The same for the serializer 'msgpack'."""
        return frame(BINARY, self.packed)


class Told:
    """An event of one task on its way to viewers, encoded at most once for each form."""

    __slots__ = ("_packets", "event", "task_id")

    def __init__(self, task_id: str, event: Event) -> None:
        self.task_id = task_id
        self.event = event
        self._packets: dict[bool, Packet] = {}

    def frames(self, binary: bool) -> bytes:
        """The packet as WebSocket frames, in one, as it is sent to several. ``binary``: as in ``packet``."""
        return self.packet(binary).frames

    def packet(self, binary: bool) -> Packet:
        """The packet to send. ``binary``: output goes as an attachment."""
        return self._packets.get(binary) or self._made(binary)

    def _made(self, binary: bool) -> Packet:
        if binary and not isinstance(self.event, Output):
            packet = self.packet(False)
        elif isinstance(self.event, Output):
            data = output_json(self.task_id, self.event)
            packet = Packet("output", data, binary=binary, output=self.event.parts)
        else:
            name, data = event_json(self.task_id, self.event)
            packet = Packet(name, data, binary=isinstance(self.event, Emitted))
        self._packets[binary] = packet
        return packet


def answer_text(ack_id: str, data: Json) -> str:
    """The packet that answers a client's event of that number."""
    return f"3{ack_id}" + _dumped([data])


def packed_answer(ack_id: int, data: Json) -> bytes:
    """The same for the serializer 'msgpack'."""
    import msgpack

    found: bytes = msgpack.packb({"type": 3, "data": [data], "nsp": "/", "id": ack_id})
    return found


def _without_bytes(value: Any, found: list[Sequence[bytes]]) -> Any:
    """The value with a placeholder for each of the bytes in it, which are added to ``found``."""
    if isinstance(value, bytes):
        found.append((value,))
        return {"_placeholder": True, "num": len(found) - 1}
    if isinstance(value, dict):
        return {key: _without_bytes(held, found) for key, held in value.items()}
    if isinstance(value, list):
        return [_without_bytes(held, found) for held in value]
    return value


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def frame(kind: int, payload: bytes) -> bytes:
    """One unmasked WebSocket frame (RFC 6455, 5.2)."""
    return frame_head(kind, len(payload)) + payload


def frame_head(kind: int, size_bytes: int) -> bytes:
    """What stands before the payload of such a frame."""
    if size_bytes < 126:
        return bytes((_FINAL | kind, size_bytes))
    if size_bytes < 65536:
        return struct.pack("!BBH", _FINAL | kind, 126, size_bytes)
    return struct.pack("!BBQ", _FINAL | kind, 127, size_bytes)
