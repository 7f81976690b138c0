"""Who is connected to Socket.IO: the names of connections there and in Engine.IO, two entries for each.

python-socketio's own keeps rooms: three of its tables for each connection, and all of them are gone through when one
ends. livetask's rooms are streams (see `rooms`), and everything goes to one connection at a time.

Must never know: viewers, transports.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import socketio


class Members(socketio.AsyncManager):  # type: ignore[misc]  # socketio has no types
    """In place of python-socketio's own manager; there is the default namespace and no other."""

    def __init__(self) -> None:
        super().__init__()
        self._by_engine: dict[str, str] = {}
        self._engines: dict[str, str] = {}
        self._between: set[str] = set()
        """Those on their way in or out."""

    def get_namespaces(self) -> list[str]:
        """The default one."""
        return ["/"]

    def get_participants(self, namespace: str, room: str | None) -> Iterator[tuple[str, str]]:
        """One connection by its name, or all."""
        if room is None:
            yield from list(self._engines.items())
        elif room in self._engines:
            yield room, self._engines[room]

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """It is on its way in; None if it is in already."""
        if eio_sid in self._by_engine or namespace != "/":
            return None
        sid: str = self.server.eio.generate_id()
        self._by_engine[eio_sid], self._engines[sid] = sid, eio_sid
        self._between.add(sid)
        return sid

    async def connect(self, sid: str, namespace: str) -> str:
        """It is in."""
        self._between.discard(sid)
        return sid

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """It is on its way in."""
        return sid in self._between

    def is_connected(self, sid: str | None, namespace: str) -> bool:
        """It is in, and not on its way out."""
        return sid in self._engines and sid not in self._between

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """Its name in Socket.IO."""
        return self._by_engine.get(eio_sid) if namespace == "/" else None

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """Its name in Engine.IO."""
        return self._engines.get(sid)

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """It is on its way out."""
        self._between.add(sid)
        return self._engines.get(sid)

    async def disconnect(self, sid: str, namespace: str, **_: Any) -> None:
        """It is out."""
        self._between.discard(sid)
        self.callbacks.pop(sid, None)
        eio_sid = self._engines.pop(sid, None)
        if eio_sid is not None:
            self._by_engine.pop(eio_sid, None)

    def is_sid_room(self, namespace: str, room: str) -> bool:
        """It is the name of a connection."""
        return room in self._engines

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        """Its own."""
        return [sid] if sid in self._engines else []
