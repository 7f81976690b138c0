"""How far a viewer is among a task's events, and what of them it is told next.

Each run has its own events, numbered from 1. A viewer is told all of one run's before any of the next one's, and, if it
follows the output too, none before its cursor has reached the place in the output where the event stands.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from livetask.position import Cursor, EventCursor, Position
from livetask.server.tasks import Run, Task


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of a run. ``seq``: its number. ``at``: where it stands in the output."""

    seq: int
    name: str
    data: dict[str, Any]
    at: Position


class Reel:
    """One viewer's place. ``after``: the last event it was told, None before the first. ``stop``: where the next known
    event stands in the run that it reads, None if there is none."""

    __slots__ = ("after", "stop")

    def __init__(self, after: EventCursor | None = None) -> None:
        self.after = after
        self.stop: Position | None = None

    def seq_in(self, run: Run) -> int:
        """How many of this run's events the viewer has."""
        after = self.after
        return after.seq if after is not None and (after.run, after.nonce) == (run.run, run.nonce) else 0

    def took(self, run: Run, seq: int) -> EventCursor:
        """The viewer was told the event of that number; where it stands now."""
        self.after = EventCursor(run.run, run.nonce, seq)
        return self.after

    def runs(self, task: Task, cursor: Cursor) -> list[Run]:
        """The runs whose events may be told to a viewer whose output stands at ``cursor``, in order."""
        first = self.after.run if self.after is not None else cursor.run
        found = [run for run in task.runs if first <= run.run <= cursor.run]
        return [run for run in found if run.run < cursor.run or run.nonce == cursor.nonce]


def limit_of(run: Run, cursor: Cursor, mode: str) -> int | None:
    """Up to which byte of the run's output its events may be told; None: all of them."""
    is_over = run.how is not None and cursor.position.byte >= run.end.byte
    return None if mode == "events" or run.run < cursor.run or is_over else cursor.position.byte
