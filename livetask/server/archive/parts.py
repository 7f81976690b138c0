"""A part: consecutive entries of one run as one object, a row of members and at its end an index of them.

The index is a member without text, so a part is still plain multi-member gzip. It says of each member where it begins
and ends, as positions and within the object, and it carries the CRC-32 of all of the run's bytes up to the part's end,
as long as none is missing: that is compared with the one that the worker computed.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from livetask.archive_errors import ArchiveDamaged
from livetask.errors import CursorInvalid
from livetask.position import REASONS, START, Position
from livetask.server.archive.members import ROWS_BYTES, TEXT_BYTES, packed, row_of, unwrapped, wrapped
from livetask.server.slices import Head, RawEntry, entry_parsed

PART_BYTES = 8 * 1024 * 1024
"""How much text a part holds at most: what is in memory while it is written."""

_HEAD = struct.Struct("<BBI")
_MEMBER = struct.Struct("<QQQQQIII")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a part. ``offset`` and ``size``: where it lies in the object, in bytes; ``crc``: of those."""

    start: Position
    end: Position
    offset: int
    size: int
    text_bytes: int
    crc: int


@dataclass(frozen=True, slots=True)
class Index:
    """What a part says of itself. ``crc``: of all the run's bytes up to its end, None when some are missing."""

    members: tuple[Member, ...]
    crc: int | None

    def at(self, position: Position) -> int:
        """The number of the member that holds the position, or of the last one before it; -1 for none."""
        return bisect_right(self.members, position, key=lambda member: member.start) - 1


@dataclass(frozen=True, slots=True)
class Packed:
    """A part that is ready. ``data``: the object. ``index_bytes``: how much of its end is the index."""

    data: bytes
    index: Index
    index_bytes: int

    @property
    def start(self) -> Position:
        return self.index.members[0].start

    @property
    def end(self) -> Position:
        return self.index.members[-1].end


def part_of(entries: Sequence[RawEntry], crc_before: int | None) -> Packed:
    """The part that keeps these entries, at least one, each beginning where the last one ended.

    ``crc_before``: of all the run's bytes before them, None when some are missing.
    """
    members: list[Member] = []
    blobs: list[bytes] = []
    offset = 0
    crc = crc_before if crc_before is not None or entry_parsed(entries[0]).start != START else 0
    for some in _grouped(entries):
        blob = packed(some)
        text = [fields.get(b"d", b"") for _, fields in some]
        for data in text:
            crc = None if crc is None else zlib.crc32(data, crc)
        if any(b"g" in fields for _, fields in some):
            crc = None
        start, end = entry_parsed(some[0]).start, entry_parsed(some[-1]).end
        members.append(Member(start, end, offset, len(blob), sum(map(len, text)), zlib.crc32(blob)))
        blobs.append(blob)
        offset += len(blob)
    index = Index(tuple(members), crc)
    tail = wrapped(b"LX", _index_packed(index), b"")
    return Packed(b"".join((*blobs, tail)), index, len(tail))


def index_of(tail: bytes, name: str) -> Index:
    """The index of a part. ``tail``: the bytes of its end that are the index. Raises ArchiveDamaged."""
    extra, _ = unwrapped(b"LX", tail, name)
    if len(extra) < _HEAD.size or (len(extra) - _HEAD.size - 4) % _MEMBER.size:
        raise ArchiveDamaged(name, "its index cannot be read")
    form, whole, crc = _HEAD.unpack_from(extra)
    body, (check,) = extra[:-4], struct.unpack("<I", extra[-4:])
    if form != _FORMAT or check != zlib.crc32(body):
        raise ArchiveDamaged(name, "its index is not what was stored")
    try:
        members = tuple(
            Member(Position(a, b), Position(c, d), offset, size, text_bytes, crc_of_it)
            for a, b, c, d, offset, size, text_bytes, crc_of_it in _MEMBER.iter_unpack(body[_HEAD.size :])
        )
    except CursorInvalid as error:
        raise ArchiveDamaged(name, "its index holds no positions") from error
    if not members:
        raise ArchiveDamaged(name, "it holds nothing")
    return Index(members, crc if whole else None)


def _index_packed(index: Index) -> bytes:
    body = _HEAD.pack(_FORMAT, index.crc is not None, index.crc or 0) + b"".join(
        _MEMBER.pack(
            member.start.line, member.start.byte, member.end.line, member.end.byte,
            member.offset, member.size, member.text_bytes, member.crc,
        )
        for member in index.members
    )  # fmt: skip
    return body + struct.pack("<I", zlib.crc32(body))


def _grouped(entries: Sequence[RawEntry]) -> Iterator[list[RawEntry]]:
    """The entries of each member: whole ones, until it is full."""
    some: list[RawEntry] = []
    text_bytes = rows_bytes = 0
    for entry in entries:
        some.append(entry)
        text_bytes += len(entry[1].get(b"d", b""))
        rows_bytes += len(row_of(entry)) + 1
        if text_bytes >= TEXT_BYTES or rows_bytes >= ROWS_BYTES:
            yield some
            some, text_bytes, rows_bytes = [], 0, 0
    if some:
        yield some


def joined(entries: Sequence[RawEntry], at: Position, head: Head) -> list[RawEntry]:
    """The entries from ``at`` on, with a gap in each hole before or between them. ``head``: tells why they are holes.

    Entries that end at or before ``at`` are left out; one that holds it is cut.
    """
    found: list[RawEntry] = []
    for raw in entries:
        item = entry_parsed(raw)
        if item.end.byte <= at.byte:
            continue
        if item.start.byte > at.byte:
            found.append(gap_entry(at, item.start, why_missing(item.start, head)))
        elif item.start.byte < at.byte:
            raw = _since(raw, at)
        found.append(raw)
        at = item.end
    return found


def why_missing(end: Position, head: Head) -> str:
    """Why what ends there is not in Redis."""
    if end.byte > head.first.byte:
        return "lost"
    return head.first_why if head.first_why in REASONS else "lost" if head.first_why else "trimmed"


def gap_entry(start: Position, end: Position, why: str) -> RawEntry:
    """A gap as an entry."""
    return str(start).encode(), {b"g": why.encode(), b"e": str(end).encode(), b"t": b"0"}


def _since(raw: RawEntry, at: Position) -> RawEntry:
    start = Position.parse(raw[0])
    if b"g" in raw[1]:
        return str(at).encode(), raw[1]
    return str(at).encode(), {**raw[1], b"d": raw[1][b"d"][at.byte - start.byte :]}
