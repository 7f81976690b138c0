"""Reading for viewers: what stands at their places, from Redis, or from what was read a moment ago.

Many viewers pass the same places when they come back all at once: see ``recent``. One that reads a long log passes many
places: when hardly anyone else waits, more is read for it than it is given at once, and what is left is the beginning
of what it is given next. So a replay costs a fourth of the exchanges with Redis.

Must never know: how viewers are told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import replace

from livetask.errors import PositionUnknown
from livetask.position import Cursor
from livetask.server.batches import Place
from livetask.server.feed import Follower
from livetask.server.pieces import since
from livetask.server.recent import Ready, Recent
from livetask.server.slices import ReadAt, Slice
from livetask.server.store import Store

AHEAD = 4
"""So many pieces are read at once for one who is that far behind."""

FEW = 4
"""As long as no more places than these are read together."""

MOST_BYTES = 4 * 1024 * 1024
KEEP_S = 1.0
"""What was erased meanwhile is given for so long, at most."""

_LEAST_BYTES = 4096


class Reading:
    """See the module's docstring. ``store``: where it reads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.recent = Recent()
        self._left = Left()

    async def of(
        self, places: dict[Place, list[Follower]]
    ) -> AsyncIterator[tuple[Place, Ready | PositionUnknown | None]]:
        """What stands at each of the places, as soon as it is known; None: the run is not stored.

        To be taken one by one: what is done with one is looked at before the next. Raises RedisUnavailable.
        """
        wanted: dict[Place, ReadAt] = {}
        for place, followers in places.items():
            ready = self.recent.at(place)
            if ready is None and (left := self._left.take(place)) is not None:
                ready = self.recent.keep(place, left, len(followers[0].feed.followers))
            if ready is None:
                wanted[place] = _read_at(place, followers[0], len(places) <= FEW)
                continue
            yield place, ready
            self._keep_left(place, ready)
        if not wanted:
            await asyncio.sleep(0)  # others have their turn, as they have while Redis is asked
            return
        found = await self._store.read_many(list(wanted.values()))
        for place, answer in zip(wanted, found, strict=True):
            if not isinstance(answer, Slice):
                yield place, answer
                continue
            feed = places[place][0].feed
            feed.read(answer.read_entries, answer.read_bytes)
            feed.ends[place.cursor.run] = answer.end
            ready = self.recent.keep(place, answer, len(feed.followers))
            yield place, ready
            self._keep_left(place, ready)

    def _keep_left(self, place: Place, ready: Ready) -> None:
        for cursor in ready.reached():
            self._left.keep(place.task_id, cursor, ready.found)


def _read_at(place: Place, follower: Follower, few: bool) -> ReadAt:
    feed, max_bytes = follower.feed, place.max_bytes
    end = feed.ends.get(place.cursor.run)
    if few and end is not None and end.byte - place.cursor.position.byte > AHEAD * max_bytes:
        max_bytes *= AHEAD
    return ReadAt(place.task_id, place.cursor, max_bytes, feed.count(max_bytes))


class Left:
    """What was read and not given yet, by where it is to go on. Each is given once, at most."""

    def __init__(self, most_bytes: int = MOST_BYTES, keep_s: float = KEEP_S) -> None:
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        self._kept: OrderedDict[tuple[str, Cursor], tuple[Slice, int]] = OrderedDict()
        self._size_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, task_id: str, cursor: Cursor, found: Slice) -> None:
        """``found`` was given up to ``cursor``: keep the rest, unless that is little."""
        size_bytes = min(found.next.byte - cursor.position.byte, found.read_bytes)
        if size_bytes < _LEAST_BYTES:
            return
        self.take_at(task_id, cursor)
        self._kept[task_id, cursor] = found, size_bytes
        self._size_bytes += size_bytes
        while self._size_bytes > self._most_bytes:
            self._size_bytes -= self._kept.popitem(last=False)[1][1]
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._keep_s, self._forget)

    def take(self, place: Place) -> Slice | None:
        """What is left for who stands there."""
        return self.take_at(place.task_id, place.cursor)

    def take_at(self, task_id: str, cursor: Cursor) -> Slice | None:
        """The same."""
        found, size_bytes = self._kept.pop((task_id, cursor), (None, 0))
        self._size_bytes -= size_bytes
        if found is None:
            return None
        return replace(since(found, cursor.position), read_bytes=size_bytes)

    def _forget(self) -> None:
        self._timer = None
        self._kept.clear()
        self._size_bytes = 0
