"""Socket.IO packets in either form: as text, or packed by msgpack, as each connection begins.

With ``socketio_serializer = "msgpack"`` clients with the msgpack parser are served beside those without it, livetask's
own pages and terminal commands among them. The form of a connection is that of what it sent last. It is kept in a
context variable: a message is decoded, handled and answered in one context, that of its connection or its request.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any

from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, EVENT, Packet

from livetask.setting_errors import SettingInvalid

packed_here: ContextVar[bool] = ContextVar("livetask_packed_here", default=False)
"""Whether the connection whose message is being handled packs its packets."""


def _bounded(digits: str) -> int:
    if len(digits) > 100:
        raise ValueError("a number of so many digits takes too long to read")
    return int(digits)


class _Json:
    """JSON as python-socketio asks for it, by a reader and a writer that are made once in place of for each packet."""

    loads = staticmethod(json.JSONDecoder(parse_int=_bounded).decode)
    _encode = staticmethod(json.JSONEncoder(separators=(",", ":")).encode)

    @classmethod
    def dumps(cls, value: Any, **_: Any) -> str:
        """The value as short as it can be."""
        return cls._encode(value)


class TextPacket(Packet):  # type: ignore[misc]  # python-socketio has no types
    """A packet that is not looked through for bytes before it is written: there are hardly ever any in an answer."""

    json = _Json

    def __init__(
        self,
        packet_type: int = EVENT,
        data: Any = None,
        namespace: str | None = None,
        id: int | None = None,  # noqa: A002  # python-socketio's name for it
        binary: bool | None = None,
        encoded_packet: Any = None,
    ) -> None:
        super().__init__(packet_type, data, namespace, id, bool(binary), encoded_packet)

    def encode(self) -> Any:
        """The packet, as text, or as text and the bytes that belong to it."""
        try:
            return super().encode()
        except TypeError:
            return Packet(self.packet_type, self.data, self.namespace, self.id, True).encode()


class EitherPacket(TextPacket):
    """A packet that is read in the form it has, and written in that of the connection."""

    def encode(self) -> Any:
        """The packet in the form of this context."""
        if not packed_here.get():
            return super().encode()
        import msgpack

        kind = {BINARY_EVENT: EVENT, BINARY_ACK: ACK}.get(self.packet_type, self.packet_type)
        found = {"type": kind, "data": self.data, "nsp": self.namespace or "/"}
        return msgpack.packb(found if self.id is None else {**found, "id": self.id})

    def decode(self, encoded_packet: Any) -> Any:
        """Read a packet; raises ValueError if it is none."""
        packed_here.set(isinstance(encoded_packet, bytes))
        if not isinstance(encoded_packet, bytes):
            return super().decode(encoded_packet)
        import msgpack

        found = msgpack.unpackb(encoded_packet)
        if not isinstance(found, dict) or not isinstance(found.get("type"), int):
            raise ValueError("not a packet")
        self.packet_type = found["type"]
        self.data, self.id, self.namespace = found.get("data"), found.get("id"), found.get("nsp", "/")
        return 0


def serializer_named(name: str) -> Any:
    """What the Socket.IO server is given for 'default' or 'msgpack'; raises SettingInvalid if that is not installed."""
    if name != "msgpack":
        return TextPacket if name == "default" else name
    try:
        import msgpack  # noqa: F401
    except ImportError:
        raise SettingInvalid("socketio_serializer", name, "'default', or livetask[msgpack] to be installed") from None
    return EitherPacket
