"""One look through a run's output: read from a position on, fed to a finder, until the end or until the time is up.

It always gets at least one line further, so that whoever asks again and again arrives. Must never know: Redis, HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from livetask.position import Cursor, Entry, Gap, Position
from livetask.server.slices import Slice

Read = Callable[[str, Cursor, int, int], Awaitable[Slice]]

_PIECE_BYTES = 256 * 1024
_ENTRIES = 64
_GAPS_MOST = 1000
_RANGES_MOST = 10_000


class Looks(Protocol):
    """What looks at the text: a ``Finder`` that has begun a scan."""

    async def feed(self, data: bytes) -> dict[str, Any]: ...
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
    """Look from the cursor on. Raises RunUnknown, PositionUnknown, RedisUnavailable, PatternTooSlow."""
    walk = Walk(cursor.position, cursor.position, cursor.position)
    path = _Path(looks, walk)
    until, at = time.monotonic() + budget_s, cursor.position
    while not walk.done:
        piece = await read(task_id, Cursor(cursor.run, cursor.nonce, at), _PIECE_BYTES, _ENTRIES)
        for item in piece.items:
            await (path.over(item) if isinstance(item, Gap) else path.along(item))
        await path.fed()
        at, walk.end, walk.how = piece.next, piece.end, piece.how
        walk.done = at.byte >= piece.end.byte or not piece.items
        if walk.done and walk.how is not None:
            await path.rest()
        if time.monotonic() > until and walk.to != walk.start:
            break
    return walk


class _Path:
    """Feeds in order, and knows where in the run the finder stands."""

    def __init__(self, looks: Looks, walk: Walk) -> None:
        self._looks = looks
        self._walk = walk
        self._waiting = bytearray()
        self._zero = walk.start.byte  # where the finder's count of bytes begins
        self._looked_bytes = 0

    async def along(self, entry: Entry) -> None:
        self._waiting += entry.data
        if entry.stderr:
            self._note(entry.stderr)

    def _note(self, ranges: Sequence[tuple[int, int]]) -> None:
        told = self._walk.stderr
        for first, last in ranges:
            if told and first <= told[-1][1] + 1:
                told[-1] = (told[-1][0], max(told[-1][1], last))
            elif len(told) < _RANGES_MOST:
                told.append((first, last))

    async def fed(self) -> None:
        if self._waiting:
            data = bytes(self._waiting)
            self._waiting.clear()
            self._take(await self._looks.feed(data))

    async def rest(self) -> None:
        self._take(await self._looks.rest())

    async def over(self, gap: Gap) -> None:
        """What stands before a gap is looked at as it is; what follows begins anew."""
        await self.fed()
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
