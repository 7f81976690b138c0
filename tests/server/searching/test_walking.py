"""The way of a run's bytes to a finder: all of them, in order, and never two askers at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from livetask.errors import RedisUnavailable
from livetask.position import START, Cursor, Entry, Position
from livetask.server.searching.walking import walked
from livetask.server.slices import Slice

CURSOR = Cursor(1, "nonce", START)


class Room:
    """A finder that has room for a few bytes, and finds what it was given."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.looked = b""
        self.looks = 0
        self._put = b""
        self.may_end = asyncio.Event()
        self.may_end.set()

    def put(self, data: bytes) -> int:
        part = data[: self.size - len(self._put)]
        self._put += part
        return len(part)

    async def feed(self) -> dict[str, Any]:
        data, self._put = self._put, b""
        await self.may_end.wait()
        self.looked += data
        self.looks += 1
        whole = self.looked[: self.looked.rfind(b"\n") + 1]
        return {"line": 1 + whole.count(b"\n"), "looked_bytes": len(whole)}

    async def rest(self) -> dict[str, Any]:
        return {"line": 1 + self.looked.count(b"\n"), "looked_bytes": len(self.looked)}

    async def jump(self, line: int) -> None:
        raise AssertionError(line)


def slice_of(data: bytes, at: Position, end: Position) -> Slice:
    return Slice(at, (Entry(at, data, 0),), end, "SUCCESS", 1, len(data))


async def test_an_entry_that_the_room_does_not_hold_is_looked_at_in_parts() -> None:
    data = b"0123456789\n" * 10

    async def read(_: str, cursor: Cursor, __: int, ___: int) -> Slice:
        return slice_of(data, cursor.position, cursor.position.after(data))

    room = Room(32)
    walk = await walked(read, room, "task", CURSOR, 10.0)
    assert (room.looked, room.looks) == (data, 4)
    assert (walk.done, walk.to) == (True, START.after(data))


async def test_a_failed_read_ends_the_walk_only_when_the_finder_has_looked() -> None:
    data, room, felt = b"one\n", Room(32), asyncio.Event()

    async def read(_: str, cursor: Cursor, __: int, ___: int) -> Slice:
        if cursor.position == START:
            return slice_of(data, START, START.after(data * 2))
        felt.set()
        raise RedisUnavailable("away")

    room.may_end.clear()
    walk = asyncio.ensure_future(walked(read, room, "task", CURSOR, 10.0))
    await asyncio.wait_for(felt.wait(), 30)
    done, _ = await asyncio.wait([walk], timeout=0)
    assert not done
    room.may_end.set()
    with pytest.raises(RedisUnavailable):
        await walk
    assert room.looked == data
