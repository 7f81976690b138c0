"""Tasks and their runs as the server tells them.

Fields that the server adds later are passed over, fields that it does not know are None: a client of this version
reads newer servers.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from livetask.position import START, Cursor, Position

UNDER_WAY = ("QUEUED", "RUNNING", "RETRY")
"""The states of a task that has not ended."""


@dataclass(frozen=True, slots=True)
class Share:
    """A link to a task's log, without its secret. ``by``: who made it. ``made_at``, ``until``: ms since the epoch."""

    id: str
    task_id: str
    by: str
    made_at: int
    until: int


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a task: the first, a retry or a redelivery.

    ``run``: its ordinal, from 1. ``nonce``: its name. ``why``: first, retry or redelivered. ``how``: how it ended,
    None while it has not. ``detail``: what is known of a bad end. ``first``: the position of the first byte kept,
    ``first_why``: why those before it are not. ``end``: the position of the byte that would come next. ``crc``: 8
    hexadecimal digits, CRC-32 over all its bytes, None while it has not ended. ``pool``: the kind of pool it runs in.
    Times are ms since the epoch.
    """

    run: int
    nonce: str
    why: str | None = None
    host: str | None = None
    pid: int | None = None
    worker: str | None = None
    begun_at_ms: int | None = None
    ended_at_ms: int | None = None
    how: str | None = None
    detail: Mapping[str, Any] | None = None
    first: Position = START
    first_why: str = ""
    end: Position = START
    crc: str | None = None
    pool: str | None = None

    @classmethod
    def parse(cls, wire: Mapping[str, Any]) -> Run:
        """Read a run as JSON has it; raises CursorInvalid, KeyError."""
        values = _values(cls, wire)
        for name in ("first", "end"):
            values[name] = Position.parse(values[name]) if values.get(name) else START
        values["first_why"] = values.get("first_why") or ""
        return cls(**values)

    @property
    def cursor(self) -> Cursor:
        """The cursor of its very beginning."""
        return Cursor(self.run, self.nonce, START)

    def as_json(self) -> dict[str, Any]:
        """The run as the server's JSON has it."""
        found = {wire: getattr(self, name) for name, wire in _names(type(self))}
        found |= {"first": str(self.first), "end": str(self.end)}
        return found | {"lines": self.end.line - 1, "bytes": self.end.byte}


@dataclass(frozen=True, slots=True)
class Task:
    """One task: a Celery task id and what is known of it.

    ``state``: QUEUED, RUNNING, RETRY, SUCCESS, FAILURE, REVOKED, IGNORED, REJECTED or LOST. ``args``, ``kwargs``,
    ``result``: short texts. ``progress``: current, total and info, if the task tells them. ``open``: how many runs
    have not ended. ``runs``: those that are kept, by ordinal. ``stopping_...``: while it runs and somebody wishes that
    it stops: since when, who, 'cancel' or 'terminate', and why that cannot be. ``revoked_...``: the same of one that
    was stopped. ``rerun_of``: the task that it repeats, ``reruns``: those that repeat it, ``can_rerun``: its arguments
    are kept. Times are ms since the epoch, None if unknown.
    """

    task_id: str
    name: str | None = None
    state: str = "QUEUED"
    queued_at_ms: int | None = None
    began_at_ms: int | None = None
    ended_at_ms: int | None = None
    changed_at_ms: int | None = None
    queue: str | None = None
    worker: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    args: str | None = None
    kwargs: str | None = None
    result: str | None = None
    progress: Mapping[str, Any] | None = None
    open: int = 0
    runs: tuple[Run, ...] = ()
    stopping_at_ms: int | None = None
    stopping_by: str | None = None
    stopping_how: str | None = None
    stopping_note: str | None = None
    revoked_at_ms: int | None = None
    revoked_by: str | None = None
    rerun_of: str | None = None
    reruns: tuple[str, ...] = ()
    can_rerun: bool = False

    @classmethod
    def parse(cls, wire: Mapping[str, Any]) -> Task:
        """Read a task as JSON has it; raises CursorInvalid, KeyError."""
        values = _values(cls, wire)
        values["runs"] = tuple(Run.parse(run) for run in wire.get("runs") or ())
        values["reruns"] = tuple(wire.get("reruns") or ())
        return cls(**values)

    @property
    def has_ended(self) -> bool:
        """Nothing of it is under way, as far as is known; a retry or a redelivery can still begin it again."""
        return self.open <= 0 and self.state not in UNDER_WAY

    def as_json(self) -> dict[str, Any]:
        """The task as the server's JSON has it."""
        found = {wire: getattr(self, name) for name, wire in _names(type(self))}
        return found | {"runs": [run.as_json() for run in self.runs], "reruns": list(self.reruns)}


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What Celery's result backend knows of a task. ``state``: Celery's word. ``result``: as JSON, None if unknown."""

    task_id: str
    state: str
    result: Any


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of a wish to stop a task.

    ``outcome``: revoked (it will not begin), cancelling, stopping (it will be terminated after its grace), terminated
    or ended. ``words``: the same as a sentence.
    """

    task_id: str
    outcome: str
    words: str


def _names(kind: type[Task] | type[Run]) -> list[tuple[str, str]]:
    """(field, name in JSON) of all fields."""
    return [(item.name, "id" if item.name == "task_id" else item.name.removesuffix("_ms")) for item in fields(kind)]


def _values(kind: type[Task] | type[Run], wire: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON has of the fields; raises KeyError without the ones that make it what it is."""
    needed = ("id",) if kind is Task else ("run", "nonce")
    for name in needed:
        wire[name]
    return {name: wire[told] for name, told in _names(kind) if told in wire}
