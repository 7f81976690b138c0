"""A slice of a run, cut into the pieces that one viewer is sent next.

Entries are joined up to a gap or a limit. Text is never cut within a UTF-8 character: an incomplete one at the end is
held back, by leaving the cursor before it, until the rest is there or the run has ended.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, replace

from livetask.position import Cursor, Entry, Gap, Position
from livetask.server.events import Missing, Output, Piece
from livetask.server.slices import Slice, Unbroken

_decoder = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True, slots=True)
class Pieces:
    """What is sent next. ``reached``: nothing more can be sent before there is more. ``end``, ``how``: as in Slice."""

    pieces: tuple[Piece, ...]
    reached: bool
    end: Position
    how: str | None

    def on_from(self, cursor: Cursor | None) -> Cursor | None:
        """Where who stands at the cursor stands after them, if they are one piece of output that begins there."""
        one = self.pieces[0] if len(self.pieces) == 1 else None
        if cursor is None or not isinstance(one, Output) or one.start.byte != cursor.position.byte:
            return None
        return one.cursor


def cut(found: Slice, cursor: Cursor, *, text: bool, max_bytes: int) -> Pieces:
    """Cut a slice. ``cursor``: names its run. ``text``: keep characters whole. ``max_bytes``: at least 4."""
    if isinstance(found.items, Unbroken):
        whole = _whole_entries(found, found.items, cursor, text, max_bytes)
        if whole is not None:
            return whole
    pieces: list[Piece] = []
    at, room = found.start, max_bytes
    waiting: list[bytes] = []
    start, sgr = at, b""
    times: list[tuple[int, int]] = []

    def flush(end: Position) -> None:
        if waiting:
            pieces.append(Output(start, replace(cursor, position=end), tuple(waiting), sgr=sgr, times=tuple(times)))
        waiting.clear()
        times.clear()

    for item in found.items:
        if isinstance(item, Gap):
            flush(at)
            pieces.append(Missing(item, replace(cursor, position=item.end)))
            start = at = item.end
            continue
        if len(item.data) > room and room < max_bytes and (pieces or _is_something(waiting, text)):
            break  # the next read begins where this entry does: one round trip, not two
        data = item.data[:room]
        sgr = sgr if waiting else item.sgr
        if item.at_ms and (not times or times[-1][1] != item.at_ms):
            times.append((item.start.line, item.at_ms))
        if data:
            waiting.append(data)
        room -= len(data)
        at = item.end if len(data) == len(item.data) else item.start.after(data)
        if room <= 0:
            break
    is_final = found.how is not None and at == found.end
    held = incomplete(_last_of(waiting)) if text and not is_final else 0
    _shorten(waiting, held)
    flush(Position(at.line, at.byte - held) if held else at)  # no line ends within a character
    return Pieces(tuple(pieces), at == found.end, found.end, found.how)


def _whole_entries(found: Slice, items: Unbroken, cursor: Cursor, text: bool, max_bytes: int) -> Pieces | None:
    """The same, without a look at each entry; None where one has to be cut, or all would be held back."""
    count = items.fitting(max_bytes)
    at, parts = items.start_of(count), list(items.data[:count])
    is_final = found.how is not None and at == found.end
    held = incomplete(_last_of(parts)) if text and not is_final else 0
    if at.byte - held <= found.start.byte:
        return None
    _shorten(parts, held)
    after = Cursor(cursor.run, cursor.nonce, Position(at.line, at.byte - held) if held else at)
    piece = Output(found.start, after, tuple(parts), sgr=items.sgr, times=tuple(items.times(count)))
    return Pieces((piece,), at == found.end, found.end, found.how)


def _is_something(waiting: list[bytes], text: bool) -> bool:
    """There is more than the beginning of a character, which would be held back, and nothing sent, for ever."""
    last = _last_of(waiting)
    return len(last) > (incomplete(last) if text else 0)


def _last_of(waiting: list[bytes]) -> bytes:
    """The last bytes, as many as a character can have, if there are so many."""
    last, number = b"", len(waiting)
    while number and len(last) < 4:
        number -= 1
        last = waiting[number][-4:] + last
    return last


def _shorten(waiting: list[bytes], by_bytes: int) -> None:
    """Take so many bytes from the end."""
    while by_bytes:
        last = waiting.pop()
        if len(last) > by_bytes:
            waiting.append(last[:-by_bytes])
            return
        by_bytes -= len(last)


def incomplete(data: bytes) -> int:
    """How many bytes at the end are the beginning of a UTF-8 character that goes on: 0 to 3."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            decoder = _decoder("replace")
            decoder.decode(data[-back:])
            return len(decoder.getstate()[0])
    return 0


def newest(found: Slice, lines: int, max_bytes: int) -> Slice:
    """The part of a slice that a screen shows: from the beginning of one of its last ``lines`` lines on.

    An unfinished last line counts. At most ``max_bytes`` of output; of it and of lines, gaps have none. Where no line
    begins within them, the slice is left as it is.
    """
    starts = list(_line_starts(found))
    data_bytes = sum(len(item.data) for item in found.items if isinstance(item, Entry))
    ends = sum(item.data.count(b"\n") for item in found.items if isinstance(item, Entry))
    shown = ends + (1 if _is_open(found) else 0)
    for start in starts:
        if shown - start.lines_before <= lines and data_bytes - start.bytes_before <= max_bytes:
            return found if start.position == found.start else since(found, start.position)
    return found


def since(found: Slice, position: Position) -> Slice:
    """The part of a slice from a position within it on."""
    rest = found.items.since(position.byte) if isinstance(found.items, Unbroken) else None
    if rest is not None:
        return replace(found, start=position, items=rest)
    items: list[Entry | Gap] = []
    for item in found.items:
        if item.end.byte <= position.byte:
            continue
        if item.start.byte >= position.byte:
            items.append(item)
        elif isinstance(item, Entry):
            items.append(item.since(position))
        else:
            items.append(Gap(position, item.end, item.reason))
    return replace(found, start=position, items=tuple(items))


def until(found: Slice, position: Position) -> Slice:
    """The part of a slice before a position; a gap that goes beyond it stays whole."""
    items: list[Entry | Gap] = []
    for item in found.items:
        if item.start.byte >= position.byte:
            break
        if isinstance(item, Entry) and item.end.byte > position.byte:
            item = replace(item, data=item.data[: position.byte - item.start.byte])
        items.append(item)
    return (
        found
        if len(items) == len(found.items) and items[-1:] == list(found.items[-1:])
        else replace(found, items=tuple(items))
    )


def _is_open(found: Slice) -> bool:
    """The slice ends within a line."""
    last = found.items[-1] if found.items else None
    return not (isinstance(last, Entry) and last.data.endswith(b"\n"))


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a screen may begin, and how much output of the slice lies before it."""

    position: Position
    lines_before: int
    bytes_before: int


def _line_starts(found: Slice) -> Iterator[_Start]:
    """Where lines and gaps begin within the slice, and its own start. What follows a gap is a beginning too."""
    lines = size = 0
    yield _Start(found.start, 0, 0)
    at_line_start = False
    for item in found.items:
        if isinstance(item, Gap):
            if at_line_start:
                yield _Start(item.start, lines, size)
            if item.end != found.next:
                yield _Start(item.end, lines, size)
            at_line_start = True
            continue
        offset, line = item.data.find(b"\n"), item.start.line
        while offset >= 0:
            line, lines = line + 1, lines + 1
            position = Position(line, item.start.byte + offset + 1)
            if position.byte < item.end.byte:
                yield _Start(position, lines, size + offset + 1)
            offset = item.data.find(b"\n", offset + 1)
        size += len(item.data)
        at_line_start = item.data.endswith(b"\n")
        if at_line_start and item is not found.items[-1]:
            yield _Start(item.end, lines, size)
