"""Rooms: each member is told what it can take from where it stands, whatever the others do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis

from livetask.errors import TooMany
from livetask.keys import Keys
from livetask.parcel import packed
from livetask.server.access.caller import OPEN
from livetask.server.access.sight import Lens
from livetask.server.events import Emitted
from livetask.server.frames import Told
from livetask.server.rooms import Rooms
from livetask.server.store import Store

ROOM = "kitchen"

Eventually = Callable[..., Awaitable[Any]]


class Guest:
    """A member that keeps what it is told. ``drained``: it can be told more."""

    lens = Lens(OPEN)

    def __init__(self, *, drained: bool = True) -> None:
        self.drained = drained
        self.heard: list[int] = []

    def tell(self, told: Told) -> None:
        assert isinstance(told.event, Emitted)
        self.heard.append(told.event.data["number"])

    def hears_of(self, task_id: str) -> bool:
        return False


class Kitchen:
    """A room in Redis."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client, self._key = client, keys.room(ROOM)

    def emit(self, *numbers: int) -> None:
        for number in numbers:
            fields = {"task": "t", "run": 1, "nonce": "a" * 12, "seq": number, "name": "on_progress"}
            self._client.xadd(self._key, {**fields, "data": packed({"number": number})}, id=f"{number}-1")


@pytest.fixture
def kitchen(client: redis.Redis, prefix: str) -> Kitchen:
    return Kitchen(client, Keys(prefix))


@pytest.fixture
async def rooms(store: Store) -> AsyncIterator[Rooms]:
    """Rooms that look for themselves, since no bells are rung here."""
    found = Rooms(store.events, sweep_s=0.05, most=3)
    loop = asyncio.create_task(found.run())
    yield found
    loop.cancel()


async def test_one_who_takes_nothing_keeps_nobody_from_hearing_more(
    rooms: Rooms, kitchen: Kitchen, eventually: Eventually
) -> None:
    deaf, listening = Guest(drained=False), Guest()
    for guest in (deaf, listening):
        await rooms.join(ROOM, guest, "start")
    kitchen.emit(*range(1, 351))
    await eventually(lambda: listening.heard == list(range(1, 351)))
    assert deaf.heard == []
    deaf.drained = True
    await eventually(lambda: deaf.heard == list(range(1, 351)))


async def test_one_who_begins_anew_without_end_keeps_nobody_from_hearing_more(rooms: Rooms, kitchen: Kitchen) -> None:
    kitchen.emit(*range(1, 301))
    listening, restless = Guest(), Guest()
    await rooms.join(ROOM, listening, "now")
    async with asyncio.timeout(90):
        for number in range(301, 321):
            kitchen.emit(number)
            while number not in listening.heard:
                await rooms.join(ROOM, restless, "start")
                await asyncio.sleep(0)
    assert listening.heard == list(range(301, 321))
    assert restless.heard.count(1) > 1


async def test_one_may_be_in_so_many_rooms_at_once(rooms: Rooms) -> None:
    guest = Guest()
    for name in ("a", "b", "c", "c"):
        await rooms.join(name, guest, "now")
    with pytest.raises(TooMany, match="3 rooms"):
        await rooms.join("d", guest, "now")
    rooms.leave("a", guest)
    await rooms.join("d", guest, "now")
    rooms.leave_all(guest)
    assert (rooms._rooms, rooms._of) == ({}, {})
