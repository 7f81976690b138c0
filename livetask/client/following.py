"""Following one task: what the server tells becomes items, and nothing wrong passes.

Each piece must begin where the last one ended, and contain what its positions say; the CRC-32 of a whole run is
compared at its end. So a reader has every byte once, or an exact gap, or an error.

| state | leaves it when |
|---|---|
| no cursor | the server names one, or the first piece comes |
| within a run | the run's end is told at exactly this place |
| run ended | another run begins, the end is taken back, or the task has ended: done |

Pure: no I/O, no clock.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from livetask.client.failures import OutputBroken, refusal
from livetask.client.items import (
    CaughtUp,
    Gap,
    Item,
    Notice,
    Output,
    Reset,
    RunBegan,
    RunEnded,
    TaskChanged,
    TaskEnded,
)
from livetask.client.tasks import Run, Task
from livetask.errors import CursorInvalid, PositionUnknown, Unavailable
from livetask.position import START, Cursor, Position

Wire = Mapping[str, Any]

_LATER = ("unavailable", "redis_unavailable", "archive_unavailable", "broker_unavailable", "too_many", "internal")
"""Refusals that can be over later."""


_HELD_TRIES = 15
"""A store that has lost a run is often sent it again: so often, which is about a minute, its place is asked for."""


class TryLater(Unavailable):
    """The server cannot serve now; asking again is right."""

    code = "try_later"


class Following:
    """See the module's docstring.

    ``start``: where to begin: 'start', 'now', 'tail:N' or a cursor. ``run``: only this run, None: all, one after the
    other. ``wait``: the task may not be known yet.

    ``done``: everything was told. ``homeless``: the server has no place to go on from, ``unsure``: it may not have told
    all: in both it is to be asked again, by wish(), over another line.
    """

    def __init__(self, task_id: str, start: str = "start", run: int | None = None, *, wait: bool = False) -> None:
        self.task_id = task_id
        self.done = False
        self.homeless = False
        self.unsure = False
        self.cursor: Cursor | None = None
        self._start = start
        self._run = run
        self._wait = wait
        self._task: Task | None = None
        self._crc: int | None = None  # of the run up to the cursor, None if not all of it was seen
        self._ended: tuple[str, str] | None = None  # (nonce, how) of the run that was told as ended
        self._store_ok = True
        self._tries = 0
        self._takes: dict[str, Callable[[Wire], list[Item]]] = {
            "answer": self._answer,
            "output": self._output,
            "gap": self._gap,
            "caught_up": self._caught_up,
            "run": self._run_changed,
            "end": self._end,
            "reset": self._reset,
            "task": self._task_changed,
            "heartbeat": self._store,
            "store": self._store,
        }

    def wish(self) -> dict[str, Any]:
        """The message that subscribes, from where it stands now."""
        place = str(self.cursor) if self.cursor is not None else self._start
        wish: dict[str, Any] = {"task_id": self.task_id, "from": place, "mode": "all", "binary": True}
        if self._run is not None:
            wish["run"] = self._run
        if self._wait or self.cursor is not None:  # a store that lost the task may be sent it again
            wish["wait"] = True
        return wish

    def take(self, event: str, wire: Wire) -> list[Item]:
        """What an event of the server means; ``answer`` is the answer to ``subscribe``.

        Raises OutputBroken, what the server refuses with, and TryLater when it does so only for now.
        """
        told = wire.get("task", wire) if event == "task" else wire
        about = told.get("id" if event == "task" else "task_id", self.task_id) if isinstance(told, Mapping) else None
        take = self._takes.get(event)
        if take is None or about != self.task_id or self.done:
            return []
        try:
            return take(wire)
        except (KeyError, TypeError, ValueError, AttributeError, CursorInvalid) as error:
            raise self._broken(f"the server's {event!r} cannot be read ({type(error).__name__}: {error})") from error

    # ---- where it stands

    def _answer(self, wire: Wire) -> list[Item]:
        self.homeless = self.unsure = False
        if not wire.get("ok"):
            return self._refused(str(wire.get("code")), str(wire.get("error")))
        self._tries = 0
        items: list[Item] = []
        if wire.get("task"):
            items += self._saw(Task.parse(wire["task"]))
        if self.cursor is None and wire.get("cursor"):
            items += self._enter(Cursor.parse(wire["cursor"]))
        return items + self._over()

    def _refused(self, code: str, sentence: str) -> list[Item]:
        if code in _LATER:
            raise TryLater(sentence)
        if code == PositionUnknown.code and self.cursor is not None:
            self._tries += 1
            if self._tries < _HELD_TRIES:
                raise TryLater(sentence)
            self._tries = 0
            return self._reset({"run": self.cursor.run, "cursor": None, "reason": "gone"})
        raise refusal(code, sentence, about={"task_id": self.task_id, "run": self._run, "cursor": self.wish()["from"]})

    def _enter(self, cursor: Cursor) -> list[Item]:
        """Stand at a place from which nothing was taken yet."""
        began = self.cursor is None or self.cursor.nonce != cursor.nonce
        self.cursor = cursor
        self._crc = 0 if cursor.position == START else None
        return [RunBegan(cursor, self._known(cursor))] if began else []

    def _arrive(self, cursor: Cursor, start: Position) -> list[Item]:
        """Something of ``cursor``'s run begins at ``start``: it must be here, or the beginning of the next run."""
        here = self.cursor
        if here is None:
            return self._enter(Cursor(cursor.run, cursor.nonce, start))
        if here.nonce == cursor.nonce and here.run == cursor.run:
            if here.position != start:
                raise self._broken(f"the next piece begins at {start}")
            return []
        if self._run is not None or cursor.run < here.run or self._ended is None or self._ended[0] != here.nonce:
            raise self._broken(f"a piece of another run came, {cursor}, before this one had ended")
        if start != START:
            raise self._broken(f"run {cursor.run} begins at {start}")
        return self._enter(Cursor(cursor.run, cursor.nonce, START))

    def _known(self, cursor: Cursor) -> Run | None:
        runs = self._task.runs if self._task is not None else ()
        return next((run for run in runs if run.nonce == cursor.nonce), None)

    # ---- output

    def _output(self, wire: Wire) -> list[Item]:
        start, cursor = Position.parse(wire["from"]), Cursor.parse(wire["cursor"])
        data = wire["data"] if isinstance(wire.get("data"), bytes) else str(wire["text"]).encode()
        items = self._arrive(cursor, start)
        if start.after(data) != cursor.position:
            raise self._broken(f"{len(data)} bytes from {start} on do not reach {cursor.position}")
        if self._crc is not None:
            self._crc = zlib.crc32(data, self._crc)
        self._move(cursor)
        return [*items, Output(start, cursor, data)]

    def _gap(self, wire: Wire) -> list[Item]:
        start, cursor = Position.parse(wire["from"]), Cursor.parse(wire["cursor"])
        items = self._arrive(cursor, start)
        size_bytes = cursor.position.byte - start.byte
        if size_bytes <= 0 or cursor.position.line < start.line:
            raise self._broken(f"a gap from {start} to {cursor.position}")
        self._crc = None
        self._move(cursor)
        return [*items, Gap(start, cursor, size_bytes, cursor.position.line - start.line, str(wire["reason"]))]

    def _move(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self._ended = None

    def _caught_up(self, wire: Wire) -> list[Item]:
        cursor = Cursor.parse(wire["cursor"])
        return [*self._arrive(cursor, cursor.position), CaughtUp(cursor)]

    def _reset(self, wire: Wire) -> list[Item]:
        cursor = Cursor.parse(wire["cursor"]) if wire.get("cursor") else None
        items: list[Item] = [Reset(int(wire["run"]), cursor, str(wire["reason"]))]
        self._ended = None
        self.cursor = None
        self._start, self._wait, self.homeless = "start", False, cursor is None
        return items + (self._enter(cursor) if cursor is not None else [])

    # ---- ends

    def _end(self, wire: Wire) -> list[Item]:
        cursor, how = Cursor.parse(wire["cursor"]), str(wire["how"])
        items = self._arrive(cursor, cursor.position)
        known = self._ended[1] if self._ended is not None and self._ended[0] == cursor.nonce else None
        if how == "LOST" and known not in (None, how):
            return items  # the store has lost a true end, and nobody is there to tell it again
        if how != known:
            items.append(RunEnded(cursor, how, wire.get("detail") or {}, self._verified(wire)))
            self._ended = (cursor.nonce, how)
        if self._run is not None:
            self.done = True
        elif wire.get("last") and self._task is None:
            self.unsure = True  # of whether other runs follow: the answer to the next wish tells
        elif wire.get("last") and not self._later(cursor):
            self.done = True
            items.append(TaskEnded("FAILURE" if how == "KILLED" else how))
        return items if self.done else items + self._over()

    def _later(self, cursor: Cursor) -> bool:
        """Another run is known to follow: a task that has ended may have been followed from its first run on."""
        return self._task is not None and any(run.run > cursor.run for run in self._task.runs)

    def _verified(self, wire: Wire) -> bool:
        """Compare the CRC-32, if the run was seen whole and has one; raises OutputBroken."""
        if self._crc is None or not wire.get("crc"):
            return False
        if f"{self._crc:08x}" != wire["crc"]:
            raise self._broken(f"the CRC-32 of the whole run is {self._crc:08x}, the worker's is {wire['crc']}")
        return True

    def _run_changed(self, wire: Wire) -> list[Item]:
        run = Run.parse(wire["run"])
        if self._ended == (run.nonce, "LOST") and run.how is None:
            self._ended = None  # taken back; any other end is final, also while a store that lost it is sent it again
        if self._task is not None:
            others = [other for other in self._task.runs if other.nonce != run.nonce]
            runs = tuple(sorted([*others, run], key=lambda each: each.run))
            self._task = Task.parse(self._task.as_json() | {"runs": [each.as_json() for each in runs]})
        return []

    def _task_changed(self, wire: Wire) -> list[Item]:
        return self._saw(Task.parse(wire["task"])) + self._over()

    def _saw(self, task: Task) -> list[Item]:
        changed = task != self._task
        self._task = task
        return [TaskChanged(task)] if changed else []

    def _over(self) -> list[Item]:
        """Whether the task has ended without another run: revoked while it waited, for the first time or a retry."""
        task = self._task
        if task is None or not task.has_ended or self._run is not None:
            return []
        if task.runs and (self._ended is None or self._ended[0] != task.runs[-1].nonce):
            return []
        self.done = True
        return [TaskEnded(task.state)]

    # ---- what stands behind

    def lacks(self, heartbeat: Wire) -> bool:
        """The server tells of more output than it has sent."""
        try:
            end = Cursor.parse(heartbeat["ends"][self.task_id])
        except (KeyError, TypeError, CursorInvalid):
            return False
        here = self.cursor
        return here is not None and end.nonce == here.nonce and end.position.byte > here.position.byte

    def _store(self, wire: Wire) -> list[Item]:
        state = wire.get("store", wire.get("state"))
        ok = state != "unreachable"
        if ok == self._store_ok:
            return []
        self._store_ok = ok
        text = "the server reaches its Redis again" if ok else "the server does not reach its Redis now"
        return [Notice("store_ok" if ok else "store_unreachable", text)]

    def _broken(self, reason: str) -> OutputBroken:
        return OutputBroken(str(self.cursor) if self.cursor is not None else self._start, reason)
