"""How one task's output gets from Redis to the shelf: part by part, each read again before Redis is told of it.

| step | after a crash here |
|---|---|
| put the snapshot and the mark of a task that has none | it is kept as long as archived tasks are |
| read entries, from where the archive ends | nothing has happened |
| put the part | it is found when the task is looked at again, and not written twice |
| read it back: same entries, and the same CRC-32 as the worker's when the run has ended | the same |
| note it in the task's hash | readers fall through to it |
| put the task's snapshot and its mark | it is noted again |
| give up what Redis has of an ended run | done |

A hole in Redis becomes a gap in the part, with its reason: the archive covers a run from its start, always.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from livetask.archive_errors import ArchiveDamaged, ArchiveUnavailable
from livetask.errors import RunUnknown
from livetask.position import START, Entry, Position
from livetask.server.answers import fields_of
from livetask.server.archive import names
from livetask.server.archive.archive import Archive, Snapshot
from livetask.server.archive.members import unpacked
from livetask.server.archive.names import Mark, PartName
from livetask.server.archive.parts import PART_BYTES, Packed, gap_entry, index_of, joined, part_of, why_missing
from livetask.server.archive.shelf import Shelf
from livetask.server.archive.shelving import LeaseLost, Shelving
from livetask.server.archive.store import ArchivedStore
from livetask.server.lane import Lane
from livetask.server.slices import Head, RawEntry, entry_parsed
from livetask.server.tasks import Run, Task

log = logging.getLogger(__name__)

T = TypeVar("T")

_BLOCK_BYTES = 4096
_READ_ENTRIES = 64
_MOST_READ = 512
_SMALL_READ_BYTES = 64 * 1024
_MOST_ENTRIES = 50_000


@dataclass(frozen=True, slots=True)
class Found:
    """What Redis gave for a part that begins ``at``. ``reaches``: there is nothing after it yet."""

    raw: list[RawEntry]
    at: Position
    head: Head
    reaches: bool

    def entries(self) -> list[RawEntry]:
        """Without a hole; of a run that has ended, what is missing before its end is a gap too. Takes long for many."""
        entries = joined(self.raw, self.at, self.head)
        last = entry_parsed(entries[-1]).end if entries else self.at
        if not self.reaches or self.head.how is None or last.byte >= self.head.end.byte:
            return entries
        return [*entries, gap_entry(last, self.head.end, why_missing(self.head.end, self.head))]


class Mover:
    """See the module's docstring. ``lane``: the threads for its work, which are not the readers'.

    ``part_bytes``: about how much text a part holds, at most. ``run_cap_bytes``: how much of a run is kept, compressed.
    """

    def __init__(
        self,
        store: ArchivedStore,
        archive: Archive,
        shelving: Shelving,
        lane: Lane,
        *,
        part_bytes: int = PART_BYTES,
        run_cap_bytes: int = 1 << 62,
    ) -> None:
        self._run_cap_bytes = run_cap_bytes
        self._part_bytes = part_bytes
        self._store = store
        self._archive = archive
        self._shelving = shelving
        self._lane = lane
        self.text_bytes = 0
        self.stored_bytes = 0
        self.refused = 0

    async def move(self, task_id: str, *, step_bytes: int, ended_before_ms: int) -> None:
        """Archive of a task what is due: runs that ended before then, and of the others whole steps.

        Raises ArchiveUnavailable, RedisUnavailable, LeaseLost.
        """
        task = await self._store.stored_task(task_id)
        if task is None or task.deleted_at_ms is not None:
            return
        is_over = _is_over(task, ended_before_ms) and task.recorded_at_ms != (task.changed_at_ms or 0)
        if not is_over and not any(_is_due(run, step_bytes, ended_before_ms) for run in task.runs):
            return
        if not await self._shelving.take(task_id):
            return
        try:
            if await self._archive.snapshot(task_id) is None:
                await self._record(task, shrink=False, first=True)
            for run in task.runs:
                if _is_due(run, step_bytes, ended_before_ms):
                    await self._move_run(task, run)
            await self._record(task, shrink=_is_over(task, ended_before_ms))
        finally:
            with suppress(Exception):
                await self._shelving.drop(task_id)

    # ---- one run

    async def _move_run(self, task: Task, run: Run) -> None:
        parts = await self._fresh(task.task_id, run)
        crc: int | None = None
        if parts:
            crc = (await self._archive.index(parts[-1])).crc
        at = parts[-1].end if parts else START
        if parts and run.archived != at:
            await self._note(task.task_id, run, at)
        while at.byte < run.end.byte:
            part = await self._put(task.task_id, run, await self._read(task.task_id, run, at), crc)
            if part is None:
                return
            at, crc = part.end, part.index.crc
            await self._note(task.task_id, run, at)
            await self._cap(task.task_id, run)
            if not await self._shelving.take(task.task_id):
                raise LeaseLost(task.task_id)

    async def _read(self, task_id: str, run: Run, at: Position) -> Found:
        """What Redis has for the next part."""
        fetch = partial(self._store.stored_entries, task_id, run.cursor(at))
        # chunks that were sent again after a loss may be cut elsewhere: the one that holds the position comes first
        head, found = await fetch(back=True, start=str(at), count=1)
        count = max(1, min(_READ_ENTRIES, self._part_bytes // (16 * 1024)))
        start, size = (f"({found[0][0].decode()}" if found else "-"), 0
        while size < self._part_bytes and len(found) < _MOST_ENTRIES:
            head, raw = await fetch(back=False, start=start, count=count)
            found += raw
            read_bytes = sum(len(fields.get(b"d", b"")) for _, fields in raw)
            size += read_bytes
            if len(raw) < count:
                return Found(found, at, head, reaches=True)
            start = f"({raw[-1][0].decode()}"
            count = min(_MOST_READ, 2 * count) if read_bytes < _SMALL_READ_BYTES else count
        return Found(found, at, head, reaches=False)

    async def _put(self, task_id: str, run: Run, found: Found, crc: int | None) -> Packed | None:
        """Put them as a part; None if there is nothing."""
        folder = names.run_folder(self._archive.hash_of(task_id), run.nonce)
        part = await self._work(lambda: _stored(self._archive.shelf, folder, found, crc))
        if part is None:
            return None
        self.text_bytes += sum(member.text_bytes for member in part.index.members)
        self.stored_bytes += len(part.data)
        await self._archive.forget(task_id, [run.nonce])
        return part

    async def _cap(self, task_id: str, run: Run) -> None:
        """Take away the oldest parts of a run that is too large; the last one stays."""
        parts = list(await self._archive.parts(task_id, run.nonce))
        size = sum(_on_disk(part.size) for part in parts)
        going: list[PartName] = []
        while len(parts) > 1 and size > self._run_cap_bytes:
            going.append(parts.pop(0))
            size -= _on_disk(going[-1].size)
        if not going:
            return
        await self._shelving.note(task_id, run, parts[-1].end, parts[0].start, "trimmed")  # first: nobody is led there
        for part in going:
            await self._work(partial(self._archive.shelf.delete, part.path))
        await self._archive.forget(task_id, [run.nonce])

    async def _note(self, task_id: str, run: Run, to: Position) -> None:
        first, why = await self._first(task_id, run)
        await self._shelving.note(task_id, run, to, first, why)

    async def _first(self, task_id: str, run: Run) -> tuple[Position, str]:
        """Where what is archived of a run begins to be text, and why not before."""
        parts = await self._archive.parts(task_id, run.nonce)
        if parts and parts[0].start != START:
            return parts[0].start, "trimmed"
        entries = await self._archive.from_position(parts, START)
        first = entry_parsed(entries[0]) if entries else None
        if first is None or isinstance(first, Entry):
            return START, ""
        return first.end, first.reason

    async def _fresh(self, task_id: str, run: Run) -> Sequence[PartName]:
        await self._archive.forget(task_id, [run.nonce])
        return await self._archive.parts(task_id, run.nonce)

    # ---- the task

    async def _record(self, task: Task, *, shrink: bool, first: bool = False) -> None:
        """Put what is known of the task beside its output; then Redis gives up the output of runs that have ended.

        ``first``: before there is any output: what is put then has a mark, by which it is found if this process dies.
        """
        task_id = task.task_id
        (flat,) = await self._store.commands([("HGETALL", self._store.key_of(task_id))])
        now = await self._store.stored_task(task_id)
        if now is None:
            raise LeaseLost(task_id)
        held = [part for run in now.runs for part in await self._archive.parts(task_id, run.nonce)]
        await self._archive.forget(task_id, ())
        before = await self._archive.snapshot(task_id)
        if before is None and not held and not shrink and not first:
            return
        at_ms = now.ended_at_ms if now.has_ended and now.ended_at_ms else now.changed_at_ms
        size = sum(_on_disk(part.size) for part in held) + 2 * _BLOCK_BYTES
        mark = Mark(max(0, at_ms or 0), self._archive.hash_of(task_id), size)
        snapshot = Snapshot(task_id, fields_of(flat), mark)
        if before is None or before.fields != snapshot.fields or before.mark != mark:
            old = before.mark if before is not None else None
            await self._work(lambda: _recorded(self._archive.shelf, snapshot, old))
            await self._archive.forget(task_id, ())
        for run in now.runs if shrink else ():
            if run.how is not None and run.archived == run.end and run.first_why != "archived":
                await self._shrink(task_id, run)
        if shrink:
            await self._shelving.done(task_id, now.changed_at_ms or 0)

    async def _shrink(self, task_id: str, run: Run) -> None:
        parts = await self._archive.parts(task_id, run.nonce, run.end)
        crc = (await self._archive.index(parts[-1])).crc if parts else None
        if not parts or parts[-1].end != run.end:
            raise LeaseLost(task_id)
        if crc is not None and run.crc and run.crc != f"{crc:08x}":
            self.refused += 1
            log.error("task %s, run %d: the archive has not what the worker wrote; Redis keeps it", task_id, run.run)
            return
        with suppress(RunUnknown):
            await self._shelving.shrink(task_id, run, run.end, run.archived_first, run.archived_why)

    async def _work(self, what: Callable[[], T]) -> T:
        try:
            return await self._lane.run(lambda _: what())
        except TimeoutError as error:
            raise ArchiveUnavailable("it does not answer in time") from error


def _stored(shelf: Shelf, folder: str, found: Found, crc: int | None) -> Packed | None:
    """Put a part and read it back, None if there is nothing; raises ArchiveDamaged if it is not the same."""
    entries = found.entries()
    if not entries:
        return None
    part = part_of(entries, crc)
    name = f"{folder}/{names.part_file(part.start, part.end, part.index_bytes)}"
    shelf.put(name, part.data)
    data = shelf.get(name)
    read = [
        entry
        for member in index_of(data[-part.index_bytes :], name).members
        for entry in unpacked(data[member.offset : member.offset + member.size], member.text_bytes, name)
    ]
    if _checked(read) != _checked(entries):
        shelf.delete(name)
        raise ArchiveDamaged(name, "it reads back otherwise than it was written")
    return part


def _checked(entries: Sequence[RawEntry]) -> tuple[int, list[bytes]]:
    crc = 0
    for _, fields in entries:
        crc = zlib.crc32(fields.get(b"d", b""), crc)
    return crc, [at for at, _ in entries]


def _recorded(shelf: Shelf, snapshot: Snapshot, old: Mark | None) -> None:
    """Put a task's mark and snapshot, in the order in which a crash leaves nothing without a mark."""
    shelf.put(snapshot.mark.path, snapshot.task_id.encode())
    shelf.put(names.task_file(snapshot.mark.task_hash), snapshot.packed())
    if old is not None and old != snapshot.mark:
        shelf.delete(old.path)


def _is_due(run: Run, step_bytes: int, ended_before_ms: int) -> bool:
    done = run.archived.byte if run.archived is not None else 0
    if run.how is not None:
        return done < run.end.byte and (run.ended_at_ms or 0) <= ended_before_ms
    return run.end.byte - done >= step_bytes


def _is_over(task: Task, ended_before_ms: int) -> bool:
    """Whether nothing of it is under way, since then."""
    return task.has_ended and (task.ended_at_ms or task.changed_at_ms or 0) <= ended_before_ms


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
