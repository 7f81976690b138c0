"""What is on the shelf, read: runs by position, tasks by id.

All blocking work is done in threads, a few at once, none waited for longer than ``timeout_s``. Members, indexes and
snapshots are kept for a while, within bounds. A member that is damaged reads as a gap, and is counted.

Must never know: Redis, viewers.
"""

from __future__ import annotations

import json
import logging
import zlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from livetask.archive_errors import ArchiveDamaged, ArchiveUnavailable
from livetask.position import Position
from livetask.server.archive import names
from livetask.server.archive.loading import Loads
from livetask.server.archive.members import unpacked
from livetask.server.archive.names import Mark, PartName
from livetask.server.archive.parts import Index, Member, gap_entry, index_of
from livetask.server.archive.shelf import ObjectMissing, Shelf
from livetask.server.lane import Lane
from livetask.server.slices import RawEntry

log = logging.getLogger(__name__)

T = TypeVar("T")

_MEMBERS_BYTES = 16 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_INDEXES = 256
_RUNS = 256
_SNAPSHOTS = 256
_UNKNOWN_S = 5.0
_SNAPSHOT_S = 60.0
_PARTS_S = 60.0
_ENTRY_BYTES = 400  # what an entry costs in memory besides its text


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A task as it was when it was archived. ``fields``: its hash in Redis; ``mark``: its mark under ``ended``."""

    task_id: str
    fields: Mapping[bytes, bytes]
    mark: Mark

    def packed(self) -> bytes:
        texts = {_text(name): _text(value) for name, value in self.fields.items()}
        mark = [self.mark.at_ms, self.mark.task_hash, self.mark.bytes]
        return json.dumps({"format": 1, "task_id": self.task_id, "mark": mark, "fields": texts}).encode("ascii")

    @classmethod
    def unpacked(cls, data: bytes, name: str) -> Snapshot:
        """Raises ArchiveDamaged."""
        try:
            found = json.loads(data)
            fields = {_bytes(name): _bytes(value) for name, value in found["fields"].items()}
            return cls(str(found["task_id"]), fields, Mark(*found["mark"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArchiveDamaged(name, "it cannot be read") from error


class Archive:
    """See the module's docstring. ``shelf``: where it lies. ``prefix``: tells several livetasks on a shelf apart.

    Every method raises ArchiveUnavailable when the shelf does not answer in time, or refuses.
    """

    def __init__(self, shelf: Shelf, *, prefix: str, timeout_s: float = 5.0, readers: int = 4) -> None:
        self.shelf = shelf
        self._prefix = prefix
        self._lane = Lane("archive", readers, timeout_s)
        self._members: Loads[list[RawEntry]] = Loads(_MEMBERS_BYTES, _size_of)
        self._indexes: Loads[Index] = Loads(_INDEXES)
        self._parts: Loads[tuple[PartName, ...]] = Loads(_RUNS, keep_s=lambda _: _PARTS_S)
        self._snapshots: Loads[Snapshot | None] = Loads(
            _SNAPSHOTS, keep_s=lambda found: _UNKNOWN_S if found is None else _SNAPSHOT_S
        )
        self.damaged = 0

    async def close(self) -> None:
        """End what is under way. Nothing may be asked after it."""
        for loads in (self._members, self._indexes, self._parts, self._snapshots):
            await loads.close()
        self._lane.close()

    def hash_of(self, task_id: str) -> str:
        """What stands for a task in names."""
        return names.hash_of(self._prefix, task_id)

    # ---- tasks

    async def snapshot(self, task_id: str) -> Snapshot | None:
        """The task as it was archived; None if it is not on the shelf."""
        return await self.snapshot_of(self.hash_of(task_id))

    async def snapshot_of(self, task_hash: str) -> Snapshot | None:
        """The same, by what stands for the task in names."""
        name = names.task_file(task_hash)

        async def load() -> Snapshot | None:
            try:
                return await self.call(lambda: Snapshot.unpacked(self.shelf.get(name), name))
            except ObjectMissing:
                return None
            except ArchiveDamaged as error:
                self._is_damaged(error)
                return None

        return await self._snapshots.get(task_hash, load)

    def forget_members(self) -> None:
        """Give up what of output is in memory."""
        self._members.forget_all()

    # ---- output

    async def parts(self, task_id: str, nonce: str, reach: Position | None = None) -> tuple[PartName, ...]:
        """The parts of a run, in order. ``reach``: how far they must go; known ones that go less far are looked for."""
        try:
            folder = names.run_folder(self.hash_of(task_id), nonce)
        except ValueError:
            return ()

        async def load() -> tuple[PartName, ...]:
            found = await self.call(partial(self.shelf.names, folder))
            return _in_order([part for file, size in found if (part := names.part_parsed(folder, file, size))])

        found = await self._parts.get(folder, load)
        if reach is not None and (not found or found[-1].end.byte < reach.byte):
            self._parts.forget(folder)
            found = await self._parts.get(folder, load)
        return found

    async def forget(self, task_id: str, nonces: Sequence[str]) -> None:
        """What is known of a task here may have changed."""
        task_hash = self.hash_of(task_id)
        self._snapshots.forget(task_hash)
        for nonce in nonces:
            with suppress(ValueError):
                self._parts.forget(names.run_folder(task_hash, nonce))

    def forget_task(self, task_hash: str) -> None:
        """The same by what stands for the task in names, for its snapshot only."""
        self._snapshots.forget(task_hash)

    async def from_position(self, parts: Sequence[PartName], position: Position) -> list[RawEntry]:
        """Entries from the one that holds the position on, to the end of its member; none if it lies beyond all."""
        async for entries in self.onward(parts, position):
            begin = bisect_right(entries, position, key=_at) - 1
            return entries[max(0, begin) :]
        return []

    async def onward(self, parts: Sequence[PartName], position: Position) -> AsyncIterator[list[RawEntry]]:
        """The entries of each member, from the one that holds the position on, or the next."""
        first = max(0, bisect_right(parts, position, key=lambda part: part.start) - 1)
        for part in parts[first:]:
            if part.end <= position:
                continue
            index = await self.index(part)
            for member in index.members[max(0, index.at(position)) :]:
                if member.end > position:
                    yield await self._entries(part, member)

    async def backward(self, parts: Sequence[PartName], position: Position | None) -> AsyncIterator[list[RawEntry]]:
        """The entries of each member, last member first, from the one that holds the position; None: from the end."""
        for part in reversed(parts):
            if position is not None and part.start > position:
                continue
            index = await self.index(part)
            for member in reversed(index.members):
                if position is None or member.start <= position:
                    yield await self._entries(part, member)

    async def raw(self, parts: Sequence[PartName]) -> AsyncIterator[bytes]:
        """The objects themselves, in pieces."""
        for part in parts:
            for start in range(0, part.size, _PIECE_BYTES):
                yield await self.call(partial(self.shelf.get, part.path, start, min(_PIECE_BYTES, part.size - start)))

    async def index(self, part: PartName) -> Index:
        """The index of a part. One that is damaged is a single member, a gap."""

        async def load() -> Index:
            try:
                tail = await self.call(
                    partial(self.shelf.get, part.path, part.size - part.index_bytes, part.index_bytes)
                )
                return index_of(tail, part.path)
            except (ArchiveDamaged, ObjectMissing) as error:
                self._is_damaged(error)
                return Index((Member(part.start, part.end, 0, 0, 0, 0),), None)

        return await self._indexes.get(part.path, load)

    async def _entries(self, part: PartName, member: Member) -> list[RawEntry]:
        async def load() -> list[RawEntry]:
            try:
                return await self.call(partial(_member_read, self.shelf, part.path, member))
            except (ArchiveDamaged, ObjectMissing) as error:
                self._is_damaged(error)
                return [gap_entry(member.start, member.end, "lost")]

        return await self._members.get(f"{part.path}@{member.offset}", load)

    async def call(self, what: Callable[[], T]) -> T:
        """Do blocking work beside the event loop."""
        try:
            return await self._lane.run(lambda _: what())
        except TimeoutError as error:
            raise ArchiveUnavailable("it does not answer in time") from error

    def _is_damaged(self, error: Exception) -> None:
        self.damaged += 1
        log.error("%s", error if isinstance(error, ArchiveDamaged) else f"{error} is missing in the archive")


def _member_read(shelf: Shelf, path: str, member: Member) -> list[RawEntry]:
    data = shelf.get(path, member.offset, member.size)
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise ArchiveDamaged(path, "a member is not what was stored")
    return unpacked(data, member.text_bytes, path)


def _in_order(parts: Sequence[PartName]) -> tuple[PartName, ...]:
    """The parts that are needed, without those that others hold too: two writers may once have been at work."""
    needed: list[PartName] = []
    for part in sorted(parts, key=lambda part: (part.start.byte, -part.end.byte)):
        if not needed or part.end.byte > needed[-1].end.byte:
            needed.append(part)
    return tuple(needed)


def _at(entry: RawEntry) -> Position:
    return Position.parse(entry[0])


def _size_of(entries: list[RawEntry]) -> int:
    return sum(len(fields.get(b"d", b"")) + _ENTRY_BYTES for _, fields in entries)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
