"""Reading for viewers: what stands at their places, from Redis, or from what was read a moment ago.

Many viewers pass the same places when they come back all at once: see ``recent``. One that reads a long log passes many
places: if it is quick, and hardly anyone else waits, more is read for it than it is given at once, and what is left is
the beginning of what it is given next. Before any of that is given, ``run`` asks for what comes then, so that Redis
works while the viewer is given. So a replay costs a fourth of the exchanges with Redis, and waits for few of them.

Must never know: how viewers are told.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import replace

from livetask.errors import PositionUnknown, RedisUnavailable
from livetask.position import Cursor, Entry
from livetask.server.batches import Place
from livetask.server.feed import Feed, Follower
from livetask.server.gathering import FEW, is_quick
from livetask.server.pieces import incomplete, since
from livetask.server.process import keep_free
from livetask.server.recent import Ready, Recent
from livetask.server.slices import ReadAt, Slice
from livetask.server.store import Store

AHEAD = 4
"""So many pieces are read at once for one who is that far behind."""

MOST_AHEAD_BYTES = 512 * 1024
"""And no more than this: the largest piece. Of what is larger, Redis, the kernel and this process each find less in the
processor's cache (a megabyte at once costs a tenth more here and a fifth more in Redis)."""

HEAP_BYTES = 2 * 1024 * 1024
"""See ``keep_free``: clearing pages was a third of a replay's time as text."""

MOST_BYTES = 4 * 1024 * 1024
"""Of what was read ahead: for each of the few who are quick, what it is given and what comes after that."""

KEEP_S = 1.0
"""What was erased meanwhile is given for so long, at most."""

_LEAST_BYTES = 4096


class Reading:
    """See the module's docstring. ``store``: where it reads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.recent = Recent()
        self._left = Left()
        self._coming: dict[tuple[str, Cursor], _Coming] = {}
        self._more = asyncio.Event()
        self._runs = False

    async def run(self) -> None:
        """Read what will be asked for next, for ever. What does not come is read when it is needed."""
        self._runs = True
        keep_free(HEAP_BYTES)
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                for key, coming in list(self._coming.items()):
                    found = await self._read_on(coming.at)
                    del self._coming[key]
                    coming.done.set()
                    if found is not None and coming.awaited_at:  # it is given at once: Redis is asked before that
                        self._asked_on(coming.awaited_at, found, coming.follower)
        finally:
            self._runs = False
            for coming in self._coming.values():
                coming.done.set()
            self._coming.clear()

    async def _read_on(self, at: ReadAt) -> Slice | None:
        try:
            (found,) = await self._store.read_many([at])
        except RedisUnavailable:
            return None  # whoever needs it will be told
        if not isinstance(found, Slice):
            return None
        self._left.keep(at.task_id, at.cursor, found)
        return found

    async def of(
        self, places: dict[Place, list[Follower]]
    ) -> AsyncIterator[tuple[Place, Ready | PositionUnknown | None]]:
        """What stands at each of the places, as soon as it is known; None: the run is not stored.

        To be taken one by one: what is done with one is looked at before the next. Raises RedisUnavailable.
        """
        wanted: dict[Place, ReadAt] = {}
        for place, followers in places.items():
            ready = self.recent.at(place) or await self._before(place, followers[0])
            if ready is None:
                wanted[place] = _read_at(place, followers[0].feed, len(places) <= FEW and _quick(followers[0]))
                continue
            await self._ask_on(place, ready.found, followers[0])
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
            if len(places) <= FEW:
                await self._ask_on(place, answer, places[place][0])
            yield place, ready
            self._keep_left(place, ready)

    async def _before(self, place: Place, follower: Follower) -> Ready | None:
        """What stands there, if it was read together with what came before it, or is coming."""
        if not self._coming and not self._left:
            return None
        coming = self._coming.get((place.task_id, place.cursor))
        if coming is not None:
            coming.awaited_at = place
            await coming.done.wait()
        found = self._left.take(place.task_id, place.cursor)
        if found is None:
            return None
        known = follower.feed.ends.get(place.cursor.run)
        if known is None or known.byte < found.end.byte:
            follower.feed.ends[place.cursor.run] = found.end
        return self.recent.keep(place, found, len(follower.feed.followers))

    def _keep_left(self, place: Place, ready: Ready) -> None:
        for cursor in ready.reached():
            self._left.keep(place.task_id, cursor, ready.found)

    async def _ask_on(self, place: Place, found: Slice, follower: Follower) -> None:
        """See ``_asked_on``: Redis is asked before ``found`` is given, and answers meanwhile."""
        if self._asked_on(place, found, follower):
            await asyncio.sleep(0)

    def _asked_on(self, place: Place, found: Slice, follower: Follower) -> bool:
        """Have read what comes after ``found`` for one who is quick, if that is much; whether it is asked for now."""
        left = found.next.byte - place.cursor.position.byte
        if not 0 < left <= _ahead_bytes(place.max_bytes) or not _quick(follower) or _ends_within(found):
            return False
        place = Place(place.task_id, Cursor(place.cursor.run, place.cursor.nonce, found.next), place.max_bytes)
        key = (place.task_id, place.cursor)
        is_new = key not in self._coming and key not in self._left and self.recent.at(place) is None
        if not is_new or not _is_far(place, follower.feed) or not self._runs or len(self._coming) >= FEW:
            return False
        self._coming[key] = _Coming(_read_at(place, follower.feed, True), follower)
        self._more.set()
        return True


class _Coming:
    """What is being read, and for whom. ``awaited_at``: where they stand, once they have been given all before it."""

    __slots__ = ("at", "awaited_at", "done", "follower")

    def __init__(self, at: ReadAt, follower: Follower) -> None:
        self.at, self.follower = at, follower
        self.done = asyncio.Event()
        self.awaited_at: Place | None = None


def _read_at(place: Place, feed: Feed, ahead: bool) -> ReadAt:
    max_bytes = _ahead_bytes(place.max_bytes) if ahead and _is_far(place, feed) else place.max_bytes
    return ReadAt(place.task_id, place.cursor, max_bytes, feed.count(max_bytes))


def _is_far(place: Place, feed: Feed) -> bool:
    """From the end of the run, as it is known."""
    end = feed.ends.get(place.cursor.run)
    return end is not None and end.byte - place.cursor.position.byte > _ahead_bytes(place.max_bytes)


def _ahead_bytes(max_bytes: int) -> int:
    return max(max_bytes, min(AHEAD * max_bytes, MOST_AHEAD_BYTES))


def _ends_within(found: Slice) -> bool:
    """It ends within a character: who reads text goes on before that."""
    last = found.items[-1]
    return isinstance(last, Entry) and incomplete(last.data) > 0


def _quick(follower: Follower) -> bool:
    return is_quick(follower, time.monotonic())


class Left:
    """What was read and not given yet, by where it is to go on. Each is given once, at most."""

    def __init__(self, most_bytes: int = MOST_BYTES, keep_s: float = KEEP_S) -> None:
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        self._kept: OrderedDict[tuple[str, Cursor], tuple[Slice, int]] = OrderedDict()
        self._size_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        return bool(self._kept)

    def __contains__(self, where: tuple[str, Cursor]) -> bool:
        return where in self._kept

    def keep(self, task_id: str, cursor: Cursor, found: Slice) -> None:
        """``found`` was given up to ``cursor``: keep the rest, unless that is little."""
        size_bytes = min(found.next.byte - cursor.position.byte, found.read_bytes)
        if size_bytes < _LEAST_BYTES:
            return
        self.take(task_id, cursor)
        self._kept[task_id, cursor] = found, size_bytes
        self._size_bytes += size_bytes
        while self._size_bytes > self._most_bytes:
            self._size_bytes -= self._kept.popitem(last=False)[1][1]
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._keep_s, self._forget)

    def take(self, task_id: str, cursor: Cursor) -> Slice | None:
        """What is left for who stands there."""
        found, size_bytes = self._kept.pop((task_id, cursor), (None, 0))
        self._size_bytes -= size_bytes
        if found is None or found.start == cursor.position:
            return found
        return replace(since(found, cursor.position), read_bytes=size_bytes)

    def _forget(self) -> None:
        self._timer = None
        self._kept.clear()
        self._size_bytes = 0
