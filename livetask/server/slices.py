"""A slice: what stands in a run's output from one position on, with proof that nothing between is missing.

The store fetches raw stream entries; this module makes entries and gaps of them. An entry that does not begin where
the last one ended leaves a hole, and a hole becomes a gap with its reason, never silence. A position is checked against
the entry that holds it: one whose line and byte do not belong together was not given out by livetask.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from livetask.errors import PositionUnknown
from livetask.position import REASONS, Cursor, Entry, Gap, Position
from livetask.turns import unturned

RawEntry = tuple[bytes, Mapping[bytes, bytes]]
"""A stream entry as Redis gives it: its ID and its fields."""


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
    items: tuple[Entry | Gap, ...]
    end: Position
    how: str | None
    read_entries: int = 0
    read_bytes: int = 0

    @property
    def next(self) -> Position:
        """Where the next slice begins."""
        return self.items[-1].end if self.items else self.start


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
    at, turns = fields.get(b"t", b""), fields.get(b"x")
    stderr = unturned(turns, start.line) if turns else ()
    data = fields.get(b"d", b"")
    end = after if after is not None and after.byte == start.byte + len(data) else None
    return Entry(start, data, int(at) if at.isdigit() else 0, fields.get(b"s", b""), stderr, end)


def _all_parsed(raw: Sequence[RawEntry]) -> Iterator[Entry | Gap]:
    starts = [Position.parse(entry_id) for entry_id, _ in raw]
    return map(_parsed, starts, raw, [*starts[1:], None])


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
