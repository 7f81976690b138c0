"""Where to begin to read a run: at one of its last lines, or at what a screen shows that has fallen behind.

The ID of an entry begins with the line of its first byte, so 'line L' is one range query: the last entry that begins in
an earlier line holds the end of line L - 1, or ends where line L begins. All reads here are bounded, however long the
run is.
"""

from __future__ import annotations

from livetask.archive_errors import ArchiveUnavailable
from livetask.errors import PositionUnknown, RunUnknown
from livetask.position import START, Cursor, Entry, Gap, Position
from livetask.server.batches import Place
from livetask.server.pieces import newest
from livetask.server.slices import RawEntry, Slice, entry_parsed, sliced_within
from livetask.server.store import Store
from livetask.server.tasks import Run

_LAST_OF_LINE = 2**64 - 1
_ENTRY_BYTES = 16 * 1024
"""The largest entry, and what one of a busy task holds."""


async def tail_start(store: Store, task_id: str, run: Run, lines: int) -> Position:
    """Where the last ``lines`` lines begin; an unfinished last one counts. Raises RunUnknown."""
    head, raw = await store.entries(task_id, run.cursor(START), back=True, start="+", count=1)
    last = entry_parsed(raw[0]) if raw else None
    finished = isinstance(last, Entry) and last.data.endswith(b"\n")
    first_line = head.end.line - lines + (0 if finished else 1)
    return await line_start(store, task_id, run, first_line) if first_line > 1 else START


async def line_start(store: Store, task_id: str, run: Run, line: int) -> Position:
    """Where line ``line`` begins, from 2 on; the first position kept if it is not kept any more. Raises RunUnknown."""
    start = f"{line - 1}-{_LAST_OF_LINE}"
    head, raw = await store.entries(task_id, run.cursor(START), back=True, start=start, count=1)
    if not raw:
        return head.first
    item = entry_parsed(raw[0])
    if isinstance(item, Gap) or item.end.line < line:
        return item.end
    offset = 0
    for _ in range(line - item.start.line):
        offset = item.data.index(b"\n", offset) + 1
    return Position(line, item.start.byte + offset)


async def on_screen(store: Store, place: Place, found: Slice, lines: int) -> Slice:
    """What a screen is shown of ``found``, which was read where it stands, or in its place: the newest lines."""
    if found.next == found.end:
        return newest(found, lines, place.max_bytes)
    try:
        jump = await newest_slice(store, place.task_id, place.cursor, lines, place.max_bytes)
    except (RunUnknown, PositionUnknown):
        return found
    return found if jump is None else jump


async def newest_slice(store: Store, task_id: str, cursor: Cursor, lines: int, max_bytes: int) -> Slice | None:
    """The last ``lines`` lines up to the end, at most ``max_bytes``, for a screen that stood at ``cursor``.

    It begins where a line begins, or at the cursor if all since is as little. None if no line begins so close to the
    end, or if what is there is not at hand: then it is to read on from its cursor. Raises RunUnknown.
    """
    raw: list[RawEntry] = []
    # a screen of a busy task stands in two entries: it is read thirty times a second
    start, count, size = "+", max_bytes // _ENTRY_BYTES + 1, 0
    while True:
        try:
            head, some = await store.entries_soon(task_id, cursor, back=True, start=start, count=count)
        except ArchiveUnavailable:
            return None
        raw += some
        size += sum(len(fields.get(b"d", b"")) for _, fields in some)
        if not raw:
            return None
        oldest = entry_parsed(raw[-1]).start
        reaches = oldest.byte <= cursor.position.byte
        many = entry_parsed(raw[0]).end.line - oldest.line > lines
        if len(some) < count or size >= max_bytes or reaches or many:
            break
        start, count = f"({oldest}", min(64, 4 * count)
    position = cursor.position if reaches else oldest
    found = sliced_within(position, (), raw[::-1], head, size + 1, None)
    shown = newest(found, lines, max_bytes)
    return None if shown.start == oldest and not reaches else shown
