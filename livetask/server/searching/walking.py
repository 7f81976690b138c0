"""One look through a run's output: read from a position on, fed to a finder, until the end or until the time is up.

It always gets at least one line further, so that whoever asks again and again arrives. Must never know: Redis, HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from livetask.position import Cursor, Entry, Gap, Position
from livetask.server.slices import Slice

Read = Callable[[str, Cursor, int, int], Awaitable[Slice]]

_LEAST_BYTES = 256 * 1024
_MOST_BYTES = 1024 * 1024
_QUICK_S = 0.02
"""A look that takes no longer is followed by one at twice as much, another by one at half as much."""

_ENTRIES_MOST = 1024
_GAPS_MOST = 1000
_RANGES_MOST = 10_000


class Looks(Protocol):
    """What looks at the text: a ``Finder`` that has begun a scan."""

    def put(self, data: bytes) -> int: ...
    async def feed(self) -> dict[str, Any]: ...
    async def rest(self) -> dict[str, Any]: ...
    async def jump(self, line: int) -> None: ...


@dataclass(slots=True)
class Walk:
    """What was found from ``start`` up to ``to``.

    ``done``: the end, as it was known when it was read, is reached; while the run lives, its last, unfinished line lies
    beyond ``to``. ``end``: that end. ``how``: how the run ended, None while it has not. ``found``: the parts that the
    finder told, in order. ``stderr``: the first and the last of lines that are known to be stderr's, in order.
    """

    start: Position
    to: Position
    end: Position
    how: str | None = None
    done: bool = False
    gaps: list[Gap] = field(default_factory=list)
    found: list[dict[str, Any]] = field(default_factory=list)
    stderr: list[tuple[int, int]] = field(default_factory=list)


async def walked(read: Read, looks: Looks, task_id: str, cursor: Cursor, budget_s: float) -> Walk:
    """Look from the cursor on. Raises RunUnknown, PositionUnknown, RedisUnavailable, PatternTooSlow.

    What comes next is read while a piece is looked at.
    """
    walk = Walk(cursor.position, cursor.position, cursor.position)
    path, size, took_s = _Path(looks, walk), _LEAST_BYTES, 0.0
    until = time.monotonic() + budget_s
    piece = await read(task_id, cursor, size, _entries(size))
    while True:
        walk.end, walk.how = piece.end, piece.how
        walk.done = piece.next.byte >= piece.end.byte or not piece.items
        at = Cursor(cursor.run, cursor.nonce, piece.next)
        if not walk.done and time.monotonic() + took_s < until:
            piece, took_s = await _both(read(task_id, at, size, _entries(size, piece)), path.along(piece))
            size = min(size * 2, _MOST_BYTES) if took_s <= _QUICK_S else max(size // 2, _LEAST_BYTES)
            continue
        await path.along(piece)
        if walk.done and walk.how is not None:
            await path.rest()
        if walk.done or walk.to != walk.start:
            return walk
        piece = await read(task_id, at, size, _entries(size, piece))


async def _both(reading: Awaitable[Slice], looking: Awaitable[float]) -> tuple[Slice, float]:
    """Wait for both, also when one fails: nobody else may ask a finder that still looks."""
    found, took_s = await asyncio.gather(reading, looking, return_exceptions=True)
    if isinstance(took_s, BaseException):
        raise took_s
    if isinstance(found, BaseException):
        raise found
    return found, took_s


def _entries(size: int, before: Slice | None = None) -> int:
    """How many entries hold about so much, going by those before."""
    if before is None or not before.read_bytes:
        return size // (4 * 1024)
    return min(max(size * before.read_entries // before.read_bytes, 1), _ENTRIES_MOST)


class _Path:
    """Feeds in order, and knows where in the run the finder stands."""

    def __init__(self, looks: Looks, walk: Walk) -> None:
        self._looks = looks
        self._walk = walk
        self._is_waiting = False
        self._zero = walk.start.byte  # where the finder's count of bytes begins
        self._looked_bytes = 0

    async def along(self, piece: Slice) -> float:
        """Feed what the piece holds; how long it was looked at."""
        begun = time.monotonic()
        for item in piece.items:
            await (self._over(item) if isinstance(item, Gap) else self._put(item))
        await self._feed()
        return time.monotonic() - begun

    async def _put(self, entry: Entry) -> None:
        data = entry.data
        while data:
            data = data[self._looks.put(data) :]
            self._is_waiting = True
            if data:
                await self._feed()
        if entry.stderr:
            self._note(entry.stderr)

    def _note(self, ranges: Sequence[tuple[int, int]]) -> None:
        told = self._walk.stderr
        for first, last in ranges:
            if told and first <= told[-1][1] + 1:
                told[-1] = (told[-1][0], max(told[-1][1], last))
            elif len(told) < _RANGES_MOST:
                told.append((first, last))

    async def _feed(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._take(await self._looks.feed())

    async def rest(self) -> None:
        self._take(await self._looks.rest())

    async def _over(self, gap: Gap) -> None:
        """What stands before a gap is looked at as it is; what follows begins anew."""
        await self._feed()
        await self.rest()
        await self._looks.jump(gap.end.line)
        self._zero = gap.end.byte - self._looked_bytes
        self._walk.to = gap.end
        if len(self._walk.gaps) < _GAPS_MOST:
            self._walk.gaps.append(gap)

    def _take(self, found: dict[str, Any]) -> None:
        self._looked_bytes = found.pop("looked_bytes")
        self._walk.to = Position(found.pop("line"), self._zero + self._looked_bytes)
        self._walk.found.append(found)
