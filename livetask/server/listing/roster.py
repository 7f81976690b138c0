"""The roster: every task of the list in short, held in memory, so that asking for some of them reads nothing but these.

``sync`` makes it true in one round trip and the tasks that have changed since the last one: Redis orders the list by
the last change of state, so what is new stands at one end, what went at the other, and the count says whether
something in between is not as it should be; that bucket is then read anew. What changed last is read once more by a
later sync, since a second change in the same millisecond does not move a task.

It holds as many rows as the list is long (``recent_cap``), and a look at all of them lets others go on in between.

Must never know: viewers, Socket.IO, HTTP, the output of tasks.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import nlargest, nsmallest
from itertools import islice
from typing import Protocol

from livetask.keys import BUCKETS, bucket_of
from livetask.server.listing.reads import BucketLook
from livetask.server.listing.rows import ORDERS, Key, Row
from livetask.server.listing.wanted import Filter

Sees = Callable[[Row], bool]
"""Whether somebody may see a task. Two that are equal see the same."""

_AT_ONCE = 512
_LOOKED_AT = 1000
_SLACK_MS = 2000
_SETTLED_S = 0.01


def everything(_: Row) -> bool:
    """Sees all tasks."""
    return True


class Reads(Protocol):
    """What the roster needs of the store."""

    async def look(self, since_ms: list[int]) -> list[BucketLook]: ...
    async def changed(self, bucket: int, since_ms: int) -> tuple[tuple[str, int], ...]: ...
    async def rows(self, task_ids: list[str]) -> dict[str, Row]: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """``rows``: in order. ``counts``: by state, of all that the filter lets through. ``total``: of those in the states.

    ``after``: the key after which there are more; None: there are none.
    """

    rows: tuple[Row, ...]
    counts: dict[str, int]
    total: int
    after: Key | None


class Roster:
    """See the module's docstring. ``on_change``: told of each row that came, changed (before, after) or went."""

    def __init__(self, reads: Reads, on_change: Callable[[Row | None, Row | None], None] | None = None) -> None:
        self._reads = reads
        self._on_change = on_change or (lambda before, after: None)
        self._rows: list[dict[str, Row]] = [{} for _ in range(BUCKETS)]
        self._scores: list[dict[str, int]] = [{} for _ in range(BUCKETS)]
        self._since = [0] * BUCKETS
        self._unsettled: dict[str, float] = {}
        self._lock = asyncio.Lock()
        self._begun_s = float("-inf")

    def __len__(self) -> int:
        return sum(map(len, self._rows))

    def __iter__(self) -> Iterator[Row]:
        for rows in self._rows:
            yield from rows.values()

    def row(self, task_id: str) -> Row | None:
        """What is known of a task; None if it is not in the list."""
        return self._rows[bucket_of(task_id)].get(task_id)

    # ---- keeping it true

    async def sync(self) -> None:
        """Make it what Redis holds now, or held at a moment after this was called. Raises RedisUnavailable."""
        called_s = time.monotonic()
        async with self._lock:
            if self._begun_s >= called_s:
                return  # another call began meanwhile, and was waited for
            begun_s = time.monotonic()
            again = self._taken_up(await self._looks())
            if again:  # a bucket does not add up: read it whole
                for bucket in again:
                    self._since[bucket] = 0
                self._taken_up(await self._looks())
            await self._read(list(self._unsettled))
            self._begun_s = begun_s

    async def _looks(self) -> list[BucketLook]:
        since = [max(0, at_ms - _SLACK_MS) for at_ms in self._since]
        looks = await self._reads.look(since)
        for bucket, look in enumerate(looks):
            if look.cut:
                looks[bucket] = replace(look, changed=await self._reads.changed(bucket, since[bucket]), cut=False)
        return looks

    def _taken_up(self, looks: Iterable[BucketLook]) -> list[int]:
        """Note which tasks are to be read, and let go those that have left; the buckets that do not add up."""
        wrong: list[int] = []
        for bucket, look in enumerate(looks):
            scores = self._scores[bucket]
            if self._since[bucket] == 0:
                here = dict(look.changed)
                self._drop(bucket, [task_id for task_id in scores if task_id not in here])
            for task_id, score in look.changed:
                if scores.get(task_id) != score:
                    scores[task_id] = score
                    self._unsettled[task_id] = float("inf")
                self._since[bucket] = max(self._since[bucket], score)
            self._drop(bucket, [task_id for task_id, score in scores.items() if score < look.lowest or not look.size])
            if len(scores) != look.size:
                wrong.append(bucket)
        return wrong

    async def _read(self, task_ids: list[str]) -> None:
        for start in range(0, len(task_ids), _AT_ONCE):
            some = task_ids[start : start + _AT_ONCE]
            asked_s = time.monotonic()
            found = await self._reads.rows(some)
            for task_id in some:
                self._keep(task_id, found.get(task_id))
                self._settle(task_id, asked_s)
            await asyncio.sleep(0)

    def _settle(self, task_id: str, asked_s: float) -> None:
        """What is the newest of its bucket may change once more in the same millisecond, and is read again later."""
        bucket = bucket_of(task_id)
        newest = self._scores[bucket].get(task_id, 0) >= self._since[bucket]
        seen_s = self._unsettled.get(task_id, asked_s)
        if newest and asked_s - seen_s < _SETTLED_S:
            self._unsettled[task_id] = min(seen_s, asked_s)
        else:
            self._unsettled.pop(task_id, None)

    def put(self, row: Row) -> None:
        """Take over what was read of a task, if it is in the list."""
        if row.task_id in self._scores[bucket_of(row.task_id)]:
            self._keep(row.task_id, row)

    def forget(self, task_ids: Iterable[str]) -> None:
        """These tasks are not stored any more, whatever the list says."""
        for task_id in task_ids:
            self._keep(task_id, None)

    def _keep(self, task_id: str, row: Row | None) -> None:
        bucket = bucket_of(task_id)
        rows = self._rows[bucket]
        before = rows.get(task_id)
        if before == row or (row and before and row.changed_ms < before.changed_ms):
            return  # nothing new, or read before what is known
        if row is None:
            del rows[task_id]
        elif task_id in self._scores[bucket]:
            rows[task_id] = row
        self._on_change(before, row)

    def _drop(self, bucket: int, task_ids: list[str]) -> None:
        for task_id in task_ids:
            del self._scores[bucket][task_id]
            self._unsettled.pop(task_id, None)
            self._keep(task_id, None)

    # ---- asking

    async def select(
        self,
        wanted: Filter,
        states: frozenset[str],
        order: str,
        limit: int,
        now_ms: int,
        after: Key | None = None,
        sees: Sees = everything,
    ) -> Selection:
        """The first ``limit`` tasks that are wanted. ``order``: one of ORDERS. ``after``: only those after this key."""
        by, counts, total = ORDERS[order], Counter[str](), 0
        first = nlargest if by.down else nsmallest
        chosen: list[tuple[Key, Row]] = []
        rows = iter(list(self))
        while some := list(islice(rows, _LOOKED_AT)):
            for row in some:
                if not sees(row) or not wanted.holds(row):
                    continue
                counts[row.state] += 1
                if states and row.state not in states:
                    continue
                total += 1
                key = by.key(row, now_ms)
                if after is None or (key < after if by.down else key > after):
                    chosen.append((key, row))
            chosen = first(limit + 1, chosen, key=lambda pair: pair[0])
            await asyncio.sleep(0)
        more = chosen[limit - 1][0] if len(chosen) > limit else None
        return Selection(tuple(row for _, row in chosen[:limit]), dict(counts), total, more)
