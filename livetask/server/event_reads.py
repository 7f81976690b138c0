"""What the server reads of events: those of a run, and those of a room. Part of the store, which gives it its voice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from livetask.keys import Keys
from livetask.parcel import unpacked
from livetask.position import START, EventCursor, Position
from livetask.server.answers import entries_of, text_of
from livetask.server.reels import StoredEvent

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """One event of a room. ``room_cursor``: stands after it, in the room. ``cursor``: among the events of its run."""

    room_cursor: str
    task_id: str
    cursor: EventCursor
    name: str
    data: dict[str, Any]


class EventReads:
    """``ask``: sends commands and gives Redis' answers; raises RedisUnavailable."""

    def __init__(self, ask: Ask, keys: Keys) -> None:
        self._ask = ask
        self._keys = keys

    async def of_run(self, task_id: str, nonce: str, after_seq: int, count: int) -> list[StoredEvent]:
        """The run's events after that number, at most ``count``."""
        (raw,) = await self._ask(
            [("XRANGE", self._keys.events(task_id, nonce), f"({after_seq}-0", "+", "COUNT", count)]
        )
        return [
            StoredEvent(int(text_of(entry_id).partition("-")[0]), _name(fields), _data(fields), _at(fields))
            for entry_id, fields in entries_of(raw)
        ]

    async def of_rooms(self, wanted: Sequence[tuple[str, str]], count: int) -> list[list[RoomEvent]]:
        """For each (room, cursor) the room's events after the cursor, at most ``count``."""
        asked = [("XRANGE", self._keys.room(room), f"({after}", "+", "COUNT", count) for room, after in wanted]
        return [
            [_room_event(text_of(entry_id), fields) for entry_id, fields in entries_of(raw)]
            for raw in await self._ask(asked)
        ]

    async def room_end(self, room: str) -> str:
        """The cursor that stands after the room's last event."""
        (raw,) = await self._ask([("XREVRANGE", self._keys.room(room), "+", "-", "COUNT", 1)])
        return text_of(raw[0][0]) if raw else "0-0"

    async def room_keeps(self, room: str, cursor: str) -> bool:
        """Whether the room still has all that came after the cursor."""
        held, oldest = await self._ask(
            [("XRANGE", self._keys.room(room), cursor, cursor), ("XRANGE", self._keys.room(room), "-", "+", "COUNT", 1)]
        )
        return bool(held) or (cursor == "0-0" and not oldest)


def _room_event(entry_id: str, fields: Mapping[bytes, bytes]) -> RoomEvent:
    cursor = EventCursor(int(fields[b"run"]), text_of(fields[b"nonce"]), int(fields[b"seq"]))
    return RoomEvent(entry_id, text_of(fields[b"task"]), cursor, _name(fields), _data(fields))


def _name(fields: Mapping[bytes, bytes]) -> str:
    return text_of(fields.get(b"name", b""))


def _data(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    found = unpacked(fields.get(b"data", b"{}"))
    return found if isinstance(found, dict) else {}


def _at(fields: Mapping[bytes, bytes]) -> Position:
    return Position.parse(fields[b"at"]) if b"at" in fields else START
