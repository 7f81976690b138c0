"""Lines of a run's output by their numbers: what a page asks for when it is scrolled, and the tail of a log.

A line's beginning is found by one range query, since an entry's ID begins with the line it stands in. From there the
entries are read in parts, and only what is answered is kept: a line of 8 MB costs no more than its first 64 KiB.

It is given a function that fetches entries, and knows neither Redis' commands nor HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from livetask.colours import parameters_after
from livetask.position import START, Cursor, Entry, Gap, Position
from livetask.server.slices import Head, RawEntry, entry_parsed

MOST_LINES = 1000
LINE_CUT_BYTES = 64 * 1024
ANSWER_BYTES = 2 * 1024 * 1024
"""An answer ends before the line with which it would become larger than this; one line is always given."""

_PART_ENTRIES = 16


class Fetch(Protocol):
    """Fetches entries of a run and what is known of it, as ``Store.entries`` does.

    Forwards there may be fewer of them than ``count`` although more follow; none only when nothing follows.
    """

    def __call__(
        self, task_id: str, cursor: Cursor, *, back: bool, start: str, count: int
    ) -> Awaitable[tuple[Head, list[RawEntry]]]: ...


@dataclass(frozen=True, slots=True)
class Lines:
    """Consecutive lines of one run.

    ``first_line``: the number of the first of them. ``lines``: without their ends; the last may be unfinished.
    ``sgr``: the colours in force where they begin. ``first_kept``: where what is kept begins. ``end``: the end of the
    output when they were read. ``how``: how the run ended, None while it has not. ``complete``: none of them will
    change or be followed by another within what was asked for. ``cut``: the full size of lines that are given in part.
    ``times``: (line, when it was printed, wall clock in ms) wherever that changes.
    """

    first_line: int
    lines: tuple[bytes, ...]
    sgr: str
    first_kept: Position
    end: Position
    how: str | None
    complete: bool
    gaps: tuple[Gap, ...]
    cut: dict[int, int]
    times: tuple[tuple[int, int], ...] = ()


async def lines_from(fetch: Fetch, task_id: str, cursor: Cursor, line: int, count: int) -> Lines:
    """The lines from number ``line`` on, at most ``count``. ``cursor``: names the run. Raises RunUnknown.

    When that line is no longer kept, they begin at the first one there is.
    """
    head, found = await fetch(task_id, cursor, back=True, start=f"{line}-0", count=1)
    start = max(line, head.first.line)
    if start > head.end.line:
        return _none(head, start)
    begin = found[0][0].decode() if found else "-"
    gathered = _Gathered(start, start + count)
    async for item in _items(fetch, task_id, cursor, begin, head):
        if not gathered.add(item):
            break
    return gathered.lines(head, count)


async def last_lines(fetch: Fetch, task_id: str, cursor: Cursor, count: int) -> Lines:
    """The last lines, at most ``count``, an unfinished one included. Raises RunUnknown."""
    while True:
        head, _ = await fetch(task_id, cursor, back=True, start="+", count=1)
        # Whether an unfinished line follows the last end of a line shows when it is read: one more is asked for.
        found = await lines_from(fetch, task_id, cursor, max(1, head.end.line - count), count + 1)
        reached = found.first_line + len(found.lines) >= found.end.line
        if reached or count == 1:
            return _without_first(found, len(found.lines) - count)
        count = max(1, count // 2)


async def _items(fetch: Fetch, task_id: str, cursor: Cursor, begin: str, head: Head) -> AsyncIterator[Entry | Gap]:
    """Entries and gaps in order from the entry ``begin`` on, up to the end that ``head`` knows."""
    at = START if begin == "-" else Position.parse(begin)
    while at.byte < head.end.byte:
        now, raw = await fetch(task_id, cursor, back=False, start=begin, count=_PART_ENTRIES)
        for item in map(entry_parsed, raw):
            if item.start.byte > at.byte:
                yield _hole(at, item.start, now)
            yield item
            at = item.end
        if not raw:
            yield _hole(at, head.end, now)
            return
        begin = str(at)


def _hole(start: Position, end: Position, head: Head) -> Gap:
    trimmed = end.byte <= head.first.byte
    return Gap(start, end, (head.first_why or "trimmed") if trimmed else "lost")


@dataclass(slots=True)
class _Gathered:
    """Lines as they grow together from entries and gaps. ``first``: the first one wanted. ``until``: one too many."""

    first: int
    until: int
    number: int = 0
    done: list[bytes] = field(default_factory=list)
    part: bytearray = field(default_factory=bytearray)
    part_bytes: int = 0
    held_bytes: int = 0
    sgr: bytes | None = None
    gaps: list[Gap] = field(default_factory=list)
    cut: dict[int, int] = field(default_factory=dict)
    times: list[tuple[int, int]] = field(default_factory=list)

    def add(self, item: Entry | Gap) -> bool:
        """Take an item; False if no more is wanted."""
        if isinstance(item, Gap):
            return self._add_gap(item)
        self.number = item.start.line
        data = item.data
        if self.number < self.first:
            skip = _after_ends(data, self.first - self.number)
            if skip is None:
                return True
            self.number = self.first
        else:
            skip = 0
        if self.sgr is None:
            self.sgr = parameters_after(item.sgr, data[:skip])
        pieces = data[skip:].split(b"\n")
        self._note_time(item.at_ms)
        for piece in pieces[:-1]:
            self._grow(piece)
            if not self._finish():
                return False
        self._grow(pieces[-1])
        return True

    def lines(self, head: Head, count: int) -> Lines:
        """What was gathered; an unfinished line counts if it holds anything."""
        unfinished = bool(self.part_bytes) and self.number < self.until
        if unfinished:
            self._take()
        finished = len(self.done) - unfinished
        ended = head.how not in (None, "LOST")
        return Lines(
            first_line=self.first,
            lines=tuple(self.done),
            sgr=(self.sgr or b"").decode("ascii"),
            first_kept=head.first,
            end=head.end,
            how=head.how,
            complete=ended or finished >= count,
            gaps=tuple(self.gaps),
            cut=self.cut,
            times=tuple(time for time in self.times if time[0] < self.first + len(self.done)),
        )

    def _note_time(self, at_ms: int) -> None:
        """What begins now was printed then."""
        if at_ms and (not self.times or self.times[-1][1] != at_ms):
            self.times.append((self.number + (1 if self.part_bytes else 0), at_ms))

    def _add_gap(self, gap: Gap) -> bool:
        if gap.end.line < self.first:
            return True
        self.gaps.append(gap)
        self.number = max(gap.start.line, self.first)
        while self.number < gap.end.line:
            if not self._finish():
                return False
        return True

    def _grow(self, piece: bytes) -> None:
        self.part_bytes += len(piece)
        room = LINE_CUT_BYTES - len(self.part)
        if room > 0:
            self.part += piece[:room]

    def _finish(self) -> bool:
        """End the line that grows; False if it was the last one wanted."""
        if self.done and self.held_bytes + len(self.part) > ANSWER_BYTES:
            self.part_bytes = 0
            return False
        self._take()
        self.number += 1
        return self.number < self.until

    def _take(self) -> None:
        if self.part_bytes > len(self.part):
            self.cut[self.number] = self.part_bytes
        self.done.append(bytes(self.part))
        self.held_bytes += len(self.part)
        self.part.clear()
        self.part_bytes = 0


def _after_ends(data: bytes, ends: int) -> int | None:
    """Where the text after that many line ends begins; None if there are fewer."""
    at = 0
    for _ in range(ends):
        at = data.find(b"\n", at) + 1
        if at == 0:
            return None
    return at


def _none(head: Head, line: int) -> Lines:
    ended = head.how not in (None, "LOST")
    return Lines(line, (), "", head.first, head.end, head.how, ended, (), {})


def _without_first(lines: Lines, surplus: int) -> Lines:
    """Without the first lines; what stands in them of colours counts for those that follow."""
    if surplus <= 0:
        return lines
    gone: Sequence[bytes] = lines.lines[:surplus]
    sgr = parameters_after(lines.sgr.encode("ascii"), b"\n".join(gone))
    first = lines.first_line + surplus
    return Lines(
        first_line=first,
        lines=lines.lines[surplus:],
        sgr=sgr.decode("ascii"),
        first_kept=lines.first_kept,
        end=lines.end,
        how=lines.how,
        complete=lines.complete,
        gaps=tuple(gap for gap in lines.gaps if gap.end.line >= first),
        cut={number: size for number, size in lines.cut.items() if number >= first},
        times=tuple((max(number, first), at_ms) for number, at_ms in _times_from(lines.times, first)),
    )


def _times_from(times: Sequence[tuple[int, int]], first: int) -> Sequence[tuple[int, int]]:
    """The times that count from the line ``first`` on."""
    before = sum(1 for number, _ in times if number <= first)
    return times[max(0, before - 1) :]
