"""The logs of several tasks as one: pieces in the order in which they were written.

The order, which is all that is promised: of each task every piece comes, once, as its own log has it, its runs one
after another; between tasks the piece goes first that a worker read from its spool first, by that worker's clock. What
is not there yet when it is asked for comes later, whatever its time: nothing is put before what was given out.

Nothing is kept between calls. A caller names where it stands in each task, and is told where it stands afterwards.

Must never know: HTTP, Socket.IO, Redis' commands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from livetask.errors import PositionUnknown
from livetask.position import Entry, Gap, Position
from livetask.server.slices import ReadAt, Slice
from livetask.server.tasks import Run, Task

ReadMany = Callable[[Sequence[ReadAt]], Awaitable[list[Slice | PositionUnknown | None]]]

MERGED_BYTES = 256 * 1024
"""About how much one answer holds."""

_PIECE_BYTES = 32 * 1024
_ENTRIES = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader stands in a task: before this byte of this run."""

    run: int
    position: Position


@dataclass(frozen=True, slots=True)
class Piece:
    """An entry or a gap of one run. ``at_ms``: when it was read from the spool, 0 if unknown."""

    task_id: str
    run: int
    item: Entry | Gap
    at_ms: int


@dataclass(frozen=True, slots=True)
class Merged:
    """``pieces``: in order. ``places``: by task id, after them. ``more``: there is more now.

    ``ended``: nothing more will come.
    """

    pieces: tuple[Piece, ...]
    places: dict[str, Place]
    more: bool
    ended: bool


class _Strand:
    """One task on its way. ``at_ms``: of its last piece; a task's own order stands above the clock."""

    def __init__(self, task: Task, place: Place | None) -> None:
        self.task = task
        self.items: deque[Entry | Gap] = deque()
        self.at_ms = 0
        self.ended = False
        self.dry = False
        run = task.run(place.run) if place else None
        if place is None or run is None:
            run = task.run_after(place.run if place else 0)
            place = None
        self.run: Run | None = run
        self.next = place.position if place else run.first if run else Position(1, 0)

    @property
    def place(self) -> Place | None:
        """Where a reader stands who has taken what was popped."""
        return Place(self.run.run, self.next) if self.run else None

    def wanted(self) -> ReadAt | None:
        """What is to be read so that it can go on."""
        if self.items or self.dry or self.run is None:
            return None
        return ReadAt(self.task.task_id, self.run.cursor(self.next), _PIECE_BYTES, _ENTRIES)

    def take(self, found: Slice | PositionUnknown | None) -> None:
        """Take over what was read; a run that is over leads to the next one."""
        assert self.run is not None
        if isinstance(found, Slice) and found.items:
            self.items.extend(found.items)
            return
        # nothing is said of a run that lies in an archive which has not answered at once: it is asked again
        if isinstance(found, Slice):
            over = found.how is not None and self.next.byte >= found.end.byte
        else:
            over = found is not None or self.next.byte >= self.run.end.byte
        after = self.task.run_after(self.run.run) if over else None
        if after is not None:
            self.run, self.next = after, after.first
        else:
            self.dry = True
            self.ended = over and self.task.has_ended

    def pop(self) -> Piece:
        """The next piece."""
        assert self.run is not None
        item = self.items.popleft()
        self.next = item.end
        self.at_ms = max(self.at_ms, item.at_ms if isinstance(item, Entry) else 0)
        return Piece(self.task.task_id, self.run.run, item, self.at_ms)

    @property
    def due_ms(self) -> int:
        """The time of the next piece."""
        return max(self.at_ms, self.items[0].at_ms if isinstance(self.items[0], Entry) else 0)


async def merged(tasks: Sequence[Task], places: Mapping[str, Place], read: ReadMany) -> Merged:
    """What comes next of all these tasks together, about MERGED_BYTES. Raises RedisUnavailable.

    ``tasks``: in the order that counts where times are the same. ``places``: by task id; a task without one begins.
    """
    strands = [_Strand(task, places.get(task.task_id)) for task in tasks]
    await _load(strands, read)
    heap = [(strand.due_ms, number) for number, strand in enumerate(strands) if strand.items]
    heap.sort()
    pieces: list[Piece] = []
    room = MERGED_BYTES
    while heap and room > 0:
        _, number = heappop(heap)
        strand = strands[number]
        piece = strand.pop()
        pieces.append(piece)
        room -= len(piece.item.data) if isinstance(piece.item, Entry) else 1024
        if not strand.items:
            await _load([strand], read)
        if strand.items:
            heappush(heap, (strand.due_ms, number))
    ended = not heap and all(strand.ended or (strand.run is None and strand.task.has_ended) for strand in strands)
    stand = {strand.task.task_id: strand.place for strand in strands}
    return Merged(tuple(pieces), {name: place for name, place in stand.items() if place}, bool(heap), ended)


async def _load(strands: Sequence[_Strand], read: ReadMany) -> None:
    """Read on until each of them has something, or nothing more is there."""
    while True:
        asked = [(strand, at) for strand in strands if (at := strand.wanted()) is not None]
        if not asked:
            return
        answers = await read([at for _, at in asked])
        for (strand, _), found in zip(asked, answers, strict=True):
            strand.take(found)
