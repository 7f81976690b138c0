"""A slice: what stands in a run's output from one position on, with proof that nothing between is missing.

The store fetches raw stream entries; this module makes entries and gaps of them. An entry that does not begin where
the last one ended leaves a hole, and a hole becomes a gap with its reason, never silence. A position is checked against
the entry that holds it: one whose line and byte do not belong together was not given out by livetask.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import overload

from livetask.errors import PositionUnknown
from livetask.position import REASONS, Cursor, Entry, Gap, Position
from livetask.turns import unturned

RawEntry = tuple[bytes, Mapping[bytes, bytes]]
"""A stream entry as Redis gives it: its ID and its fields."""

FlatEntry = tuple[bytes, Sequence[bytes]]
"""The same as it comes over the connection: the ID, and a list of names and values by turns."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the task hash says of a run's output when it is read. ``how``: how it ended, None while it has not."""

    end: Position
    first: Position
    first_why: str
    how: str | None


@dataclass(frozen=True, slots=True)
class ReadAt:
    """What to read of a run's output. ``max_bytes``: about how much, see ``sliced``. ``count``: the most entries."""

    task_id: str
    cursor: Cursor
    max_bytes: int = 64 * 1024
    count: int = 8


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive entries and gaps of one run's output.

    ``start``: where it begins. ``items``: without a hole between them. ``end``: the end of the run's output when it
    was looked at; it lies before ``start`` after Redis has lost its last writes, until the worker has sent them again.
    ``how``: how the run ended, None while it has not. ``read_entries`` and ``read_bytes``: what Redis gave for it.
    """

    start: Position
    items: Sequence[Entry | Gap]
    end: Position
    how: str | None
    read_entries: int = 0
    read_bytes: int = 0

    @property
    def next(self) -> Position:
        """Where the next slice begins."""
        if isinstance(self.items, Unbroken):
            return self.items.end
        return self.items[-1].end if self.items else self.start

    @property
    def is_whole(self) -> bool:
        """There is no gap in it."""
        return isinstance(self.items, Unbroken) or not any(isinstance(item, Gap) for item in self.items)


class Unbroken(Sequence[Entry]):
    """Entries of which each begins where the last one ended, at least one; each is made only when it is looked at.

    Nearly all that is read is so, and of a long log that is only passed on nobody looks at any. ``data``: the bytes of
    each. ``offsets``: the byte of the run at which each begins, and the one after the last. ``end``: where they end.
    """

    __slots__ = ("_flat", "_made", "data", "end", "offsets")

    def __init__(self, flat: Sequence[FlatEntry], data: Sequence[bytes], offsets: Sequence[int], end: Position) -> None:
        self.data, self.offsets, self.end = data, offsets, end
        self._flat = flat
        self._made: tuple[Entry, ...] | None = None

    def start_of(self, index: int) -> Position:
        """Where the entry of that index begins, or where the last one ends."""
        return Position.parse(self._flat[index][0]) if index < len(self._flat) else self.end

    @property
    def sgr(self) -> bytes:
        """The colours in force at the first byte."""
        return _fields(self._flat[0][1]).get(b"s", b"")

    def fitting(self, max_bytes: int) -> int:
        """How many of them have at most so many bytes together."""
        return bisect_right(self.offsets, self.offsets[0] + max_bytes) - 1

    def since(self, byte: int) -> Unbroken | None:
        """Those from a byte of the run on; None if none of them begins there."""
        first = bisect_left(self.offsets, byte)
        if first >= len(self._flat) or self.offsets[first] != byte:
            return None
        return Unbroken(self._flat[first:], self.data[first:], self.offsets[first:], self.end)

    def times(self, count: int) -> list[tuple[int, int]]:
        """(first line, when it was printed) of each of the first ``count`` that was printed at another time."""
        found: list[tuple[int, int]] = []
        last = b""
        for entry_id, fields in self._flat[:count]:
            at = fields[3] if fields[2:3] == [b"t"] else _fields(fields).get(b"t", b"")
            if at != last and at.isdigit() and int(at):
                last = at
                found.append((int(entry_id.partition(b"-")[0]), int(at)))
        return found

    def __len__(self) -> int:
        return len(self._flat)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, index: int | slice) -> Entry | tuple[Entry, ...]:
        if self._made is None and isinstance(index, int):
            index = range(len(self))[index]
            return self._entry(index, self.start_of(index), self.start_of(index + 1))
        return self._all()[index]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == tuple(other) if isinstance(other, Unbroken | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def _all(self) -> tuple[Entry, ...]:
        if self._made is None:
            starts = [Position.parse(entry_id) for entry_id, _ in self._flat]
            self._made = tuple(map(self._entry, range(len(self)), starts, [*starts[1:], self.end]))
        return self._made

    def _entry(self, index: int, start: Position, end: Position) -> Entry:
        return _entry_of(start, _fields(self._flat[index][1]), end)


def _fields(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    each = iter(flat)
    return dict(zip(each, each, strict=True))


class BeforeNeeded(Exception):
    """It cannot be told what stands at the position without the last entry that begins before it."""


def entry_parsed(raw: RawEntry) -> Entry | Gap:
    """Make an entry, or the gap it declares, of what Redis holds."""
    return _parsed(Position.parse(raw[0]), raw, None)


def _parsed(start: Position, raw: RawEntry, after: Position | None) -> Entry | Gap:
    """``after``: where the next one begins. If that is just behind this one, its lines need not be counted."""
    fields = raw[1]
    reason = fields.get(b"g")
    if reason is not None:
        text = reason.decode("ascii", "replace")
        return Gap(start, Position.parse(fields.get(b"e", raw[0])), text if text in REASONS else "lost")
    follows = after is not None and after.byte == start.byte + len(fields.get(b"d", b""))
    return _entry_of(start, fields, after if follows else None)


def _entry_of(start: Position, fields: Mapping[bytes, bytes], end: Position | None) -> Entry:
    at, turns = fields.get(b"t", b""), fields.get(b"x")
    stderr = unturned(turns, start.line) if turns else ()
    return Entry(start, fields.get(b"d", b""), int(at) if at.isdigit() else 0, fields.get(b"s", b""), stderr, end)


def _all_parsed(raw: Sequence[RawEntry]) -> Iterator[Entry | Gap]:
    starts = [Position.parse(entry_id) for entry_id, _ in raw]
    return map(_parsed, starts, raw, [*starts[1:], None])


def unbroken(position: Position, flat: Sequence[FlatEntry], head: Head, max_bytes: int) -> Slice | None:
    """As ``sliced``, of what nearly every read gives: entries that begin at ``position``, without a gap or a hole.

    What is proved is the same: each begins at the byte at which the last one ended. None for anything else.
    """
    if not flat or flat[0][0] != str(position).encode():
        return None
    if any(names[0] != b"d" or b"g" in names for names in {tuple(fields[::2]) for _, fields in flat}):
        return None
    data = [fields[1] for _, fields in flat]
    starts = [int(entry_id.partition(b"-")[2]) for entry_id, _ in flat]
    offsets = list(accumulate(map(len, data), initial=position.byte))
    if starts != offsets[:-1] or b"" in data:
        return None
    count = min(bisect_left(offsets, position.byte + max_bytes), len(data))
    if count < len(data):
        end = Position.parse(flat[count][0])
        items = Unbroken(flat[:count], data[:count], offsets[: count + 1], end)
    else:
        items = Unbroken(flat, data, offsets, Position.parse(flat[-1][0]).after(data[-1]))
    return Slice(position, items, head.end, head.how, len(flat), offsets[-1] - offsets[0])


def sliced(position: Position, raw: Sequence[RawEntry], head: Head, max_bytes: int) -> Slice:
    """Make a slice of the entries that begin at ``position`` or after it.

    Entries are whole: the slice holds at most ``max_bytes`` and one entry more. Raises BeforeNeeded if the first of
    them does not begin at the position, and PositionUnknown.
    """
    there = raw[0][0] == str(position).encode() if raw else position.byte >= head.end.byte
    if not there:
        raise BeforeNeeded
    return _joined(position, raw, head, max_bytes, None)


def sliced_within(
    position: Position,
    before: Sequence[RawEntry],
    raw: Sequence[RawEntry],
    head: Head,
    max_bytes: int,
    must_reach: Position | None,
) -> Slice:
    """Make a slice from a position anywhere.

    ``before``: the last entry that begins at or before the position, if there is one. ``must_reach``: if ``raw`` is
    all that follows, an end that was known before it was read: what is not there up to it is lost. Raises
    PositionUnknown.
    """
    found = [*before, *raw[1:]] if before and raw and before[0][0] == raw[0][0] else [*before, *raw]
    return _joined(position, found, head, max_bytes, must_reach)


def _joined(
    position: Position, raw: Sequence[RawEntry], head: Head, max_bytes: int, must_reach: Position | None
) -> Slice:
    items: list[Entry | Gap] = []
    at, size = position, 0
    for item in _all_parsed(raw):
        if item.start is not at or item.end.byte <= at.byte:  # else it begins where the last one was found to end
            if item.end.byte < at.byte or item.end == at:
                continue
            if item.start.byte > at.byte:
                items.append(_hole(at, item.start, head))
            elif item.start != at:
                item = _rest(item, at)
        items.append(item)
        size += len(item.data) if isinstance(item, Entry) else 0
        at = item.end
        if size >= max_bytes:
            break
    else:
        if must_reach is not None and at.byte < must_reach.byte:
            items.append(_hole(at, must_reach, head))
    read_bytes = sum(len(fields.get(b"d", b"")) for _, fields in raw)
    return Slice(position, tuple(items), head.end, head.how, len(raw), read_bytes)


def _hole(start: Position, end: Position, head: Head) -> Gap:
    """What is missing, and why."""
    if end.line < start.line:
        raise PositionUnknown(str(start))
    return Gap(start, end, head.first_why or "trimmed" if end.byte <= head.first.byte else "lost")


def _rest(item: Entry | Gap, position: Position) -> Entry | Gap:
    """The rest of an item from ``position`` on, which must lie within it."""
    if isinstance(item, Gap):
        if not item.start.line <= position.line <= item.end.line:
            raise PositionUnknown(str(position))
        return Gap(position, item.end, item.reason)
    if item.start.after(item.data[: position.byte - item.start.byte]) != position:
        raise PositionUnknown(str(position))
    return item.since(position)
