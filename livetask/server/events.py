"""What a viewer of a task is told, as values; ``wire`` makes JSON of them.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livetask.position import Cursor, EventCursor, Gap, Position
from livetask.server.tasks import Run, Task


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes of a run. ``start``: the position of the first. ``cursor``: stands after the last. ``parts``: the bytes, as
    they lie in memory: a large piece is never joined only to be sent.

    ``skipped_bytes``: how many between the viewer's last cursor and ``start`` were left out, in mode 'screen'. ``sgr``:
    the colours in force at the first byte, as the parameters of one SGR sequence. ``times``: (line,
    when it was printed, wall clock in ms) wherever that changes.
    """

    start: Position
    cursor: Cursor
    parts: tuple[bytes, ...]
    skipped_bytes: int = 0
    sgr: bytes = b""
    times: tuple[tuple[int, int], ...] = ()

    @property
    def data(self) -> bytes:
        """The bytes in one."""
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)

    @property
    def size_bytes(self) -> int:
        """How many they are."""
        return self.cursor.position.byte - self.start.byte


@dataclass(frozen=True, slots=True)
class Missing:
    """A range that cannot be delivered. ``cursor``: stands after it."""

    gap: Gap
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """The viewer, who had been behind, has all there is now."""

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class RunChanged:
    """A run began, ended, or was taken back."""

    run: Run


@dataclass(frozen=True, slots=True)
class Reset:
    """What the viewer has of run ``run`` is not valid any more. ``cursor``: where it goes on; None: nowhere yet."""

    run: int
    cursor: Cursor | None
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The run has ended, and the viewer stands at its final position. ``last``: the task has ended with it."""

    run: Run
    last: bool


@dataclass(frozen=True, slots=True)
class Grown:
    """The run's output has become longer. ``cursor``: stands at its end."""

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """Anything of the task has changed but its output. ``listed``: for watchers: whether it stands in their list."""

    task: Task
    listed: bool | None = None


@dataclass(frozen=True, slots=True)
class TaskUnlisted:
    """A task that a watcher had in its list is no longer kept."""

    task_id: str


@dataclass(frozen=True, slots=True)
class CountsChanged:
    """How many tasks a watcher's filter lets through, by state."""

    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event of the task itself. ``cursor``: stands after it. ``room``, ``room_cursor``: when it came by a room."""

    name: str
    data: Mapping[str, Any]
    cursor: EventCursor
    room: str | None = None
    room_cursor: str | None = None


Piece = Output | Missing
Listed = TaskChanged | TaskUnlisted | CountsChanged
Event = Output | Missing | CaughtUp | RunChanged | Reset | Ended | Grown | Listed | Emitted
