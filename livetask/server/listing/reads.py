"""What the server reads of the list of tasks. Part of the store, which gives it its voice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from livetask.keys import BUCKETS, FORMAT, Keys
from livetask.server.answers import text_of
from livetask.server.listing.rows import FIELDS, Row, row_read

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]


_FEW = 50
_PAGE = 400
"""An answer is taken apart without a pause: so long that nobody notices."""


@dataclass(frozen=True, slots=True)
class BucketLook:
    """One bucket of the list. ``changed``: task id and score (the last change of state, ms) since a time.

    ``cut``: these are only the first of them. ``lowest``: the score of the oldest. ``size``: how many there are.
    """

    changed: tuple[tuple[str, int], ...]
    cut: bool
    lowest: int
    size: int


class ListReads:
    """``ask``: sends commands and gives Redis' answers; raises RedisUnavailable."""

    def __init__(self, ask: Ask, keys: Keys) -> None:
        self._ask = ask
        self._keys = keys

    async def look(self, since_ms: Sequence[int]) -> list[BucketLook]:
        """All buckets, in one round trip. ``since_ms``: for each of them, from when on changes are wanted."""
        asked: list[tuple[Any, ...]] = []
        for bucket in range(BUCKETS):
            key = self._keys.recent(bucket)
            asked += [
                ("ZRANGEBYSCORE", key, since_ms[bucket], "+inf", "WITHSCORES", "LIMIT", 0, _FEW),
                ("ZRANGE", key, 0, 0, "WITHSCORES"),
                ("ZCARD", key),
            ]
        answers = await self._ask(asked)
        return [_look(*answers[3 * bucket : 3 * bucket + 3]) for bucket in range(BUCKETS)]

    async def changed(self, bucket: int, since_ms: int) -> tuple[tuple[str, int], ...]:
        """All changes of one bucket, page by page; what moves meanwhile may be missing."""
        found: list[tuple[str, int]] = []
        while True:
            within = (since_ms, "+inf", "WITHSCORES", "LIMIT", len(found), _PAGE)
            (answer,) = await self._ask([("ZRANGEBYSCORE", self._keys.recent(bucket), *within)])
            found += _pairs(answer)
            await asyncio.sleep(0)
            if len(answer) < 2 * _PAGE:
                return tuple(found)

    async def rows(self, task_ids: Sequence[str]) -> dict[str, Row]:
        """Those of the tasks that are stored, in short; what another version stored is left out."""
        asked = [("HMGET", self._keys.task(task_id), "format", *FIELDS) for task_id in task_ids]
        found: dict[str, Row] = {}
        for task_id, (version, *values) in zip(task_ids, await self._ask(asked), strict=True):
            if version is not None and text_of(version) == FORMAT:
                found[task_id] = row_read(task_id, tuple(text_of(value or b"") for value in values))
        return found


def _look(changed: Sequence[bytes], lowest: Sequence[bytes], size: int) -> BucketLook:
    cut = len(changed) >= 2 * _FEW
    return BucketLook(tuple(_pairs(changed)), cut, int(float(lowest[1])) if lowest else 0, int(size))


def _pairs(flat: Sequence[bytes]) -> list[tuple[str, int]]:
    return [(text_of(member), int(float(score))) for member, score in zip(flat[::2], flat[1::2], strict=True)]
