"""Going through the archived tasks, those that ended last first: a part at a time, from where the last one ended.

A part is bounded: by how many tasks are wanted, by a thousand that are looked at, and by a second. So a filter that
lets hardly anything through gives parts with nothing in them, and where to go on. Few go through at once,
since each look takes a turn of those who read archived output too.

Must never know: Redis, who asks, what a filter says.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, Self, TypeVar

from livetask.archive_errors import ArchiveBusy
from livetask.errors import ArgumentInvalid
from livetask.server.archive import names
from livetask.server.archive.archive import Archive, Snapshot
from livetask.server.archive.names import Mark
from livetask.server.archive.shelf import Shelf

T = TypeVar("T")

_LOOKED_AT = 1000
_LOOKING_S = 1.0
_AT_ONCE = 2
_TURN_S = 3.0
_BEFORE = re.compile(r"([0-9]{1,15})(?:-([0-9a-f]{1,40}))?")


@dataclass(frozen=True, slots=True)
class Before:
    """A place in the order of the archive: stands for all that ended before it. Written ``<ms>`` or ``<ms>-<digits>``.

    ``digits``: of tasks that ended at ``at_ms`` itself, those come after the place whose hash sorts before these. They
    are as few as tell the two sides apart, so that they tell nothing of a task that the reader may not see.
    """

    at_ms: int
    digits: str = ""

    def __str__(self) -> str:
        return f"{self.at_ms}-{self.digits}" if self.digits else str(self.at_ms)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ArgumentInvalid, with the field ``before``."""
        match = _BEFORE.fullmatch(text)
        if match is None:
            raise ArgumentInvalid(
                "before", text, "what an answer before gave as next_before, or a time in ms since 1970"
            )
        return cls(int(match[1]), match[2] or "")

    @classmethod
    def between(cls, last: Mark, following: Mark) -> Self:
        """The place between two marks, of which ``last`` ended later or sorts later."""
        if last.at_ms != following.at_ms:
            return cls(last.at_ms)
        shared = 0
        while last.task_hash[shared] == following.task_hash[shared]:
            shared += 1
        return cls(last.at_ms, last.task_hash[: shared + 1])

    def is_after(self, mark: Mark) -> bool:
        """Whether the mark is among those that the place stands for."""
        return (mark.at_ms, mark.task_hash) < (self.at_ms, self.digits)


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """What was found. ``before``: asks for the next part; None: there is no more.

    ``back_to_ms``: when the last task ended that was looked at; None: there was none.
    """

    found: tuple[T, ...]
    before: Before | None
    back_to_ms: int | None


class Leafing:
    """``archive``: where the tasks lie."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def part(self, limit: int, before: Before | None, pick: Callable[[Snapshot], Awaitable[T | None]]) -> Part[T]:
        """At most ``limit`` of what ``pick`` makes of archived tasks; None from it is passed over.

        Raises ArchiveUnavailable, ArchiveBusy, and what ``pick`` raises.
        """
        try:
            async with asyncio.timeout(_TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            raise ArchiveBusy(_AT_ONCE) from None
        try:
            return await self._part(limit, before, pick)
        finally:
            self._turns.release()

    async def _part(
        self, limit: int, before: Before | None, pick: Callable[[Snapshot], Awaitable[T | None]]
    ) -> Part[T]:
        until_s = time.monotonic() + _LOOKING_S
        marks = await self._archive.call(partial(_newest_marks, self._archive.shelf, _LOOKED_AT + 1, before))
        found: list[T] = []
        looked = 0
        for mark in marks[:_LOOKED_AT]:
            snapshot = await self._archive.snapshot_of(mark.task_hash)
            picked = None if snapshot is None else await pick(snapshot)
            looked += 1
            if picked is not None:
                found.append(picked)
            if len(found) == limit or time.monotonic() > until_s:
                break
        if not looked:
            return Part((), None, None)
        more = Before.between(marks[looked - 1], marks[looked]) if looked < len(marks) else None
        return Part(tuple(found), more, marks[looked - 1].at_ms)


def _newest_marks(shelf: Shelf, limit: int, before: Before | None) -> list[Mark]:
    """One for each task, though one that grew while it was looked at may have two."""
    found: dict[tuple[int, str], Mark] = {}
    for day in reversed(shelf.folders(names.ENDED)):
        if before is not None and day > names.day_of(before.at_ms):
            continue
        marks = [mark for file, _ in shelf.names(f"{names.ENDED}/{day}") if (mark := names.mark_parsed(file))]
        found |= {_place(mark): mark for mark in reversed(marks) if before is None or before.is_after(mark)}
        if len(found) >= limit:
            break
    return list(found.values())[:limit]


def _place(mark: Mark) -> tuple[int, str]:
    return mark.at_ms, mark.task_hash
