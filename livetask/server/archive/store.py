"""The store whose reads go on in the archive: where Redis has no more they fall through to it, at the same positions.

| Redis says | the archive has it | then |
|---|---|---|
| here it is | | that is given |
| a hole at the position | yes | what the archive has from there on |
| a hole further on | yes | what comes before the hole; the next read stands at it |
| a hole | no | a gap |
| the run, or the task, is not known | yes | the archived task, and its output |

Readers who wait for one answer (HTTP) wait for the archive, and are told when it is away. The pump, which reads for all
viewers at once, never does: what is not there within some ms is an empty slice, and is there when it asks again.

Must never know: viewers, the wire, how objects lie on a shelf.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from livetask.archive_errors import ArchiveUnavailable
from livetask.errors import FormatUnknown, PositionUnknown, RunUnknown
from livetask.position import START, Cursor, Gap, Position
from livetask.server.answers import text_of
from livetask.server.archive.archive import Archive
from livetask.server.archive.names import PartName
from livetask.server.slices import Head, RawEntry, ReadAt, Slice, entry_parsed, sliced_within
from livetask.server.store import Store
from livetask.server.tasks import Run, Task, task_parsed

PATIENCE_S = 0.02
"""How long the pump waits for the archive: an object in a directory takes 2 ms."""

_LOOKED_UP = 64

Known = tuple[Position, Position, str]
"""Up to where a run is archived, from where on, and why not before."""

Answer = Slice | PositionUnknown | None


class ArchivedStore(Store):
    """See the module's docstring. ``archive``: the caller's, who closes it. The rest as for Store."""

    def __init__(self, url: str, archive: Archive, **given: Any) -> None:
        super().__init__(url, **given)
        self._archive = archive

    # ---- tasks

    async def stored_task(self, task_id: str) -> Task | None:
        """The task as Redis alone has it: what the archiver goes by."""
        return await super().task(task_id)

    async def stored_entries(
        self, task_id: str, cursor: Cursor, *, back: bool, start: str, count: int
    ) -> tuple[Head, list[RawEntry]]:
        """Entries as Redis alone has them."""
        return await super().entries(task_id, cursor, back=back, start=start, count=count)

    def key_of(self, task_id: str) -> str:
        """The name of a task's hash."""
        return self._keys.task(task_id)

    def lease_of(self, task_id: str) -> str:
        """The name of the lease that who archives a task holds."""
        return self._keys.archiving(task_id)

    async def task(self, task_id: str) -> Task | None:
        """As Store; a task that only the archive has is as it was. Raises ArchiveUnavailable too."""
        task = await super().task(task_id)
        return await self.archived_task(task_id) if task is None else _as_readable(task)

    async def tasks(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """As Store. What only the archive has comes with the others if it is at hand, else when it is asked again."""
        found = {task_id: _as_readable(task) for task_id, task in (await super().tasks(task_ids)).items()}
        missing = [task_id for task_id in task_ids if task_id not in found][:_LOOKED_UP]
        if missing:
            for task_id, task in zip(missing, await _soon(map(self.archived_task, missing)), strict=True):
                if isinstance(task, Task):
                    found[task_id] = task
        return found

    async def archived_task(self, task_id: str) -> Task | None:
        """The task as the archive alone has it. Raises ArchiveUnavailable, FormatUnknown."""
        snapshot = await self._archive.snapshot(task_id)
        if snapshot is None or snapshot.task_id != task_id:
            return None
        task = task_parsed(task_id, snapshot.fields)
        return None if task is None else _as_readable(_as_it_ended(task))

    # ---- output

    async def read(self, task_id: str, cursor: Cursor, max_bytes: int = 64 * 1024, count: int = 8) -> Slice:
        """As Store. Raises ArchiveUnavailable too."""
        at = ReadAt(task_id, cursor, max_bytes, count)
        answer = (await super().read_many([at]))[0]
        if _asks_more(answer):
            answer = await self._beyond(at, answer)
        if answer is None:
            raise RunUnknown(task_id, cursor.run)
        if isinstance(answer, PositionUnknown):
            raise answer
        return answer

    async def read_many(self, wanted: Sequence[ReadAt]) -> list[Answer]:
        """As Store. What the archive does not give at once is an empty slice."""
        answers: list[Answer] = await super().read_many(wanted)
        asking = [number for number, answer in enumerate(answers) if _asks_more(answer)]
        if asking:
            found = await _soon(self._beyond(wanted[number], answers[number]) for number in asking)
            for number, answer in zip(asking, found, strict=True):
                if isinstance(answer, TimeoutError | ArchiveUnavailable):
                    answers[number] = _nothing_yet(wanted[number], answers[number])
                elif isinstance(answer, FormatUnknown):
                    answers[number] = None
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    answers[number] = answer
        return answers

    async def _beyond(self, at: ReadAt, answer: Answer) -> Answer:
        """What the archive has in place of a hole; the answer itself where it has nothing."""
        if not isinstance(answer, Slice):
            return await self._from_archive_alone(at, answer)
        known = await self._known(at)
        hole = next((item for item in answer.items if isinstance(item, Gap)), None)
        if hole is None or known is None or hole.start.byte >= known[0].byte:
            return answer
        if hole.start != answer.start:
            items = itertools.takewhile(lambda item: item is not hole, answer.items)
            return replace(answer, items=tuple(items))
        older = await self._from_archive(at, known[0], Head(answer.end, known[1], known[2], answer.how))
        return answer if older is None or _goes_beyond(older, hole) else older

    async def _from_archive_alone(self, at: ReadAt, answer: Answer) -> Answer:
        """What is there of a run that Redis does not know."""
        run = await self._archived_run(at)
        if isinstance(answer, PositionUnknown) or run is None or run.archived is None:
            return answer
        head = Head(run.end, run.first, run.first_why, run.how)
        if at.cursor.position.byte >= run.archived.byte:
            return Slice(at.cursor.position, (), run.end, run.how)
        return await self._from_archive(at, run.archived, head)

    async def _from_archive(self, at: ReadAt, archived: Position, head: Head) -> Answer:
        position = at.cursor.position
        parts = await self._archive.parts(at.task_id, at.cursor.nonce, archived)
        raw = await self._archive.from_position(parts, position)
        if not raw:
            return None
        try:
            found = sliced_within(position, (), raw, head, at.max_bytes, None)
        except PositionUnknown as error:
            return error
        # what is missing in the archive may be in Redis: the next read stands there, and asks it first
        until_gap = itertools.takewhile(lambda item: not isinstance(item, Gap), found.items)
        return replace(found, items=tuple(until_gap) or found.items[:1])

    async def _known(self, at: ReadAt) -> Known | None:
        """(up to where, from where on, and why not before) Redis says that a run is archived."""
        names = [f"{at.cursor.run}.{name}" for name in ("nonce", "archived", "archived_first", "archived_why")]
        (values,) = await self.commands([("HMGET", self._keys.task(at.task_id), *names)])
        nonce, archived, first, why = (None if value is None else text_of(value) for value in values)
        if nonce != at.cursor.nonce or not archived:
            return None
        return Position.parse(archived), Position.parse(first or str(START)), why or ""

    async def _archived_run(self, at: ReadAt) -> Run | None:
        """The run as its task was archived, if Redis does not know it."""
        task = await self.archived_task(at.task_id)
        run = task.run(at.cursor.run) if task is not None else None
        return run if run is not None and run.nonce == at.cursor.nonce else None

    async def zipped(self, task_id: str, run: Run) -> AsyncIterator[bytes] | None:
        """All of a run as it lies compressed, in pieces; None if it has not ended, or if some of it is missing there.

        Raises ArchiveUnavailable.
        """
        if run.how is None or run.archived != run.end:
            return None
        parts = await self._archive.parts(task_id, run.nonce, run.end)
        if not parts or parts[0].start != START or (await self._archive.index(parts[-1])).crc is None:
            return None
        return self._archive.raw(parts)

    # ---- entries

    async def entries(
        self, task_id: str, cursor: Cursor, *, back: bool, start: str, count: int
    ) -> tuple[Head, list[RawEntry]]:
        """As Store. Raises ArchiveUnavailable too."""
        return await self._entries(ReadAt(task_id, cursor, count=count), back=back, start=start, patience_s=None)

    async def entries_soon(
        self, task_id: str, cursor: Cursor, *, back: bool, start: str, count: int
    ) -> tuple[Head, list[RawEntry]]:
        """As Store. Raises ArchiveUnavailable when the archive has not answered at once: ask again."""
        return await self._entries(ReadAt(task_id, cursor, count=count), back=back, start=start, patience_s=PATIENCE_S)

    async def _entries(
        self, at: ReadAt, *, back: bool, start: str, patience_s: float | None
    ) -> tuple[Head, list[RawEntry]]:
        known: Known | None = None
        head: Head | None = None
        raw: list[RawEntry] = []
        with suppress(RunUnknown):
            head, raw = await super().entries(at.task_id, at.cursor, back=back, start=start, count=at.count)
        if head is not None:
            if _is_enough(raw, back=back, start=start, count=at.count, head=head):
                return await self._with_first(at, head), raw
            known = await self._known(at)
            if known is None:
                return head, raw
        try:
            async with asyncio.timeout(patience_s):
                if head is None or known is None:
                    head, known = await self._head_archived(at)
                head = replace(head, first=known[1], first_why=known[2])
                return head, await self._with_older(at, raw, known[0], back=back, start=start)
        except TimeoutError as error:
            raise ArchiveUnavailable("it has not answered yet") from error

    async def _head_archived(self, at: ReadAt) -> tuple[Head, Known]:
        """What the archive knows of a run that Redis does not know. Raises RunUnknown."""
        run = await self._archived_run(at)
        if run is None or run.archived is None:
            raise RunUnknown(at.task_id, at.cursor.run)
        return Head(run.end, run.first, run.first_why, run.how), (run.archived, run.first, run.first_why)

    async def _with_older(
        self, at: ReadAt, raw: list[RawEntry], archived: Position, *, back: bool, start: str
    ) -> list[RawEntry]:
        """The entries that Redis gave, with those that the archive has before them."""
        parts = await self._archive.parts(at.task_id, at.cursor.nonce, archived)
        if back:
            return [*raw, *await self._before(parts, raw, start, at.count - len(raw))]
        older, reaches = await self._after(parts, raw, start, at.count)
        return [*older, *raw][: at.count] if reaches else older

    async def _with_first(self, at: ReadAt, head: Head) -> Head:
        """What is known of a run whose entries Redis has given: its first position may lie in the archive."""
        if head.first == START:
            return head
        known = await self._known(at)
        return head if known is None else replace(head, first=known[1], first_why=known[2])

    async def _before(self, parts: Sequence[PartName], raw: list[RawEntry], start: str, count: int) -> list[RawEntry]:
        """Archived entries that begin before those, newest first."""
        limit, included = _limit(start)
        if raw:
            limit, included = entry_parsed(raw[-1]).start, False
        found: list[RawEntry] = []
        async for entries in self._archive.backward(parts, limit):
            for entry in reversed(entries):
                begin = Position.parse(entry[0])
                if limit is None or begin < limit or (included and begin == limit):
                    found.append(entry)
                if len(found) >= count:
                    return found
        return found

    async def _after(
        self, parts: Sequence[PartName], raw: list[RawEntry], start: str, count: int
    ) -> tuple[list[RawEntry], bool]:
        """Archived entries that begin at ``start`` or after it, and before those that Redis has, of one member.

        And whether there are no others between them and those of Redis.
        """
        limit, included = _limit(start)
        begin = limit or START
        until = entry_parsed(raw[0]).start if raw else None
        found: list[RawEntry] = []
        async for entries in self._archive.onward(parts, begin):
            for entry in entries:
                at = Position.parse(entry[0])
                if at < begin or (at == begin and not included):
                    continue
                if (until is not None and at >= until) or len(found) >= count:
                    return found, True
                found.append(entry)
            if found:
                return found, False
        return found, True


def _as_it_ended(task: Task) -> Task:
    """A task that Redis has lost while it ran: what is archived of it is all there will be, unless it begins again."""
    if all(run.how is not None for run in task.runs) and task.has_ended:
        return task
    runs = (run if run.how else replace(run, how="LOST", end=run.archived or START) for run in task.runs)
    return replace(task, runs=tuple(runs), open=0, state="LOST")


def _as_readable(task: Task) -> Task:
    """The task, whose runs begin where the archive has them from."""
    if all(run.archived is None for run in task.runs):
        return task
    return replace(task, runs=tuple(map(_run_as_readable, task.runs)))


def _run_as_readable(run: Run) -> Run:
    if run.archived is None or run.archived_first.byte >= run.first.byte:
        return run
    return replace(run, first=run.archived_first, first_why=run.archived_why)


def _asks_more(answer: Answer) -> bool:
    """Whether the archive may have more to say."""
    if isinstance(answer, Slice):
        return not answer.is_whole
    return answer is None


def _goes_beyond(older: Answer, hole: Gap) -> bool:
    """Whether what the archive has begins with a gap that goes further than that of Redis."""
    first = older.items[0] if isinstance(older, Slice) and older.items else None
    return isinstance(first, Gap) and first.end.byte > hole.end.byte


def _nothing_yet(at: ReadAt, answer: Answer) -> Answer:
    """The answer while the archive has not answered: what comes before the hole, or nothing."""
    if not isinstance(answer, Slice):
        return answer
    return replace(answer, items=tuple(itertools.takewhile(lambda item: not isinstance(item, Gap), answer.items)))


def _is_enough(raw: list[RawEntry], *, back: bool, start: str, count: int, head: Head) -> bool:
    """Whether no archived entry belongs to what Redis gave."""
    if back:
        return len(raw) >= count or (bool(raw) and entry_parsed(raw[-1]).start == START)
    if start == "-":
        return bool(raw) and entry_parsed(raw[0]).start == START
    return (bool(raw) and raw[0][0] == start.encode()) or (not raw and Position.parse(start).byte >= head.end.byte)


def _limit(start: str) -> tuple[Position | None, bool]:
    """(the position that an ID names, whether it is included); None for either end."""
    if start in ("-", "+"):
        return None, True
    included = not start.startswith("(")
    line, _, byte = start.lstrip("(").partition("-")
    return Position(int(line), int(byte)), included


async def _soon(asked: Any) -> list[Any]:
    """What each gives or raises; TimeoutError for what is not there within PATIENCE_S."""

    async def one(what: Any) -> Any:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await what
        except (TimeoutError, ArchiveUnavailable, FormatUnknown) as error:
            return error

    return list(await asyncio.gather(*map(one, asked), return_exceptions=True))
