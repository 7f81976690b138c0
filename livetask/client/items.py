"""What following a task's output gives, one item after the other.

For each run: ``RunBegan``, then ``Output`` and ``Gap`` without a break between them, then ``RunEnded`` when everything
before it was given. ``TaskEnded`` is the last item of all. In between come ``CaughtUp``, ``TaskChanged``, ``Reset``
and ``Notice``, which a program that only wants the bytes can pass over.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livetask.client.tasks import Run, Task
from livetask.position import Cursor, Position


@dataclass(frozen=True, slots=True)
class RunBegan:
    """From here on the output is of this run. ``cursor``: where in it. ``run``: what is known of it, if anything."""

    cursor: Cursor
    run: Run | None


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes of a run, exactly as the task wrote them; a piece can end anywhere, also within a character.

    ``start``: the position of the first byte. ``cursor``: stands after the last; following can go on from it.
    """

    start: Position
    cursor: Cursor
    data: bytes

    @property
    def text(self) -> str:
        """The bytes as text; what is no UTF-8, a character cut by the piece's end too, becomes U+FFFD."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Gap:
    """An exact range that cannot be delivered.

    ``start``: where it begins. ``cursor``: stands after it. ``lines``: how many line ends lie within. ``reason``:
    trimmed (no longer kept), dropped (given up by the worker), deleted (by somebody, or by age) or lost.
    """

    start: Position
    cursor: Cursor
    size_bytes: int
    lines: int
    reason: str


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything that there is now has been given, after there had been more."""

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run has ended, and all its output was given.

    ``how``: SUCCESS, FAILURE, RETRY, IGNORED, REJECTED, REVOKED, KILLED or LOST. ``detail``: what is known of a bad
    end: exception, traceback, signal, exit_code, limit_s, reason, retry_in_s. ``verified``: the CRC-32 over all its
    bytes was computed and is right; False when it was not followed from its first byte, or has a gap.
    """

    cursor: Cursor
    how: str
    detail: Mapping[str, Any]
    verified: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """What was given of a run is not valid any more. ``cursor``: where it goes on, None if that is not known yet."""

    run: int
    cursor: Cursor | None
    reason: str


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """Anything of the task has changed but its output: its state, its progress, its runs."""

    task: Task


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """The task has ended; the last item. ``state``: SUCCESS, FAILURE, REVOKED, IGNORED, REJECTED or LOST."""

    state: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something on the way to the server or behind it. ``text``: for people.

    ``what``: away (the connection is lost, it is being made again), back, store_unreachable (the server does not
    reach its Redis) or store_ok.
    """

    what: str
    text: str


Item = RunBegan | Output | Gap | CaughtUp | RunEnded | Reset | TaskChanged | TaskEnded | Notice
