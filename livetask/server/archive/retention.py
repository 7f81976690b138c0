"""How long the archive keeps what it has: until it is too old, or all together is too much, oldest first.

One server at a time does it: a lease in Redis, which is not given back, says who, and that it was done just now. What
is there and how much is read from names alone.

Must never know: viewers, the wire.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from functools import partial

from livetask.archive_errors import ArchiveUnavailable
from livetask.errors import FormatUnknown, RedisUnavailable
from livetask.keys import Keys
from livetask.server.archive import names
from livetask.server.archive.archive import Archive
from livetask.server.archive.erasing import Eraser
from livetask.server.archive.names import Mark
from livetask.server.archive.shelf import Shelf
from livetask.server.store import Store

log = logging.getLogger(__name__)

_EVERY_S = 60.0


class Retention:
    """See the module's docstring. ``keep_s``: since a task's end. ``cap_bytes``: for all archived tasks together."""

    def __init__(
        self, store: Store, archive: Archive, eraser: Eraser, prefix: str, *, keep_s: float, cap_bytes: int
    ) -> None:
        self._store = store
        self._archive = archive
        self._eraser = eraser
        self._lease = Keys(prefix).retaining()
        self._token = secrets.token_hex(8)
        self._keep_s = keep_s
        self._cap_bytes = cap_bytes
        self.held_bytes = 0
        self.held_tasks = 0
        self.deleted_tasks = 0

    async def run(self) -> None:
        """Take away what is to go, for ever."""
        while True:
            try:
                if await self._is_mine():
                    await self.pass_once()
            except (RedisUnavailable, ArchiveUnavailable) as error:
                log.debug("retention: %s", error)
            await asyncio.sleep(_EVERY_S)

    async def pass_once(self) -> None:
        """Take away what is to go now. Raises RedisUnavailable, ArchiveUnavailable."""
        marks = await self._archive.call(partial(_all_marks, self._archive.shelf))
        # What is too old by one clock may be young by the other: a clock that jumps must not empty an archive.
        now_ms = min(int(time.time() * 1000), await self._store.clock_ms())
        going, staying = _chosen(marks, now_ms - int(self._keep_s * 1000), self._cap_bytes)
        for mark in going:
            try:
                await self._eraser.expire(mark)
            except FormatUnknown:
                continue  # another version's: it will see to it
            self.deleted_tasks += 1
        self.held_bytes, self.held_tasks = sum(mark.bytes for mark in staying), len(staying)

    async def _is_mine(self) -> bool:
        milliseconds = int(_EVERY_S * 900)
        (answer,) = await self._store.commands([("SET", self._lease, self._token, "NX", "PX", milliseconds)])
        return answer is not None


def _all_marks(shelf: Shelf) -> list[Mark]:
    """All marks, oldest first."""
    return [
        mark
        for day in shelf.folders(names.ENDED)
        for file, _ in shelf.names(f"{names.ENDED}/{day}")
        if (mark := names.mark_parsed(file))
    ]


def _chosen(marks: Sequence[Mark], oldest_ms: int, cap_bytes: int) -> tuple[list[Mark], list[Mark]]:
    """(those that go, those that stay), given oldest first."""
    total = sum(mark.bytes for mark in marks)
    for number, mark in enumerate(marks):
        if mark.at_ms >= oldest_ms and total <= cap_bytes:
            return list(marks[:number]), list(marks[number:])
        total -= mark.bytes
    return list(marks), []
