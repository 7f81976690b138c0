"""Deciding that a run has ended, and how, from what several processes say or can no longer say.

| what is seen | the run has ended |
|---|---|
| an end written by the run's process, with a state | so, at once |
| an end without a state (left by SystemExit) | as the main process says, else KILLED with what is known |
| the run's process is gone, no end written | as the main process says, else by its exit code, else KILLED |
| the main process is gone | KILLED, the worker died |

Pure: told the time, no I/O.
"""

from __future__ import annotations

import signal
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

WORD_GRACE_S = 0.8
"""How long to wait for the main process' word. It comes by a FIFO as soon as Celery knows; what Celery itself says
of a lost process comes 10 seconds late, so the exit code, which is told at once, must do."""

REPLACED = "replaced"
"""The reason of a run that was ignored because another one takes its place, under the same id."""

_OWN_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS)
_REMEMBERED = 1000
_REMEMBERED_S = 30.0


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended. ``how``: one of the words for it. ``detail``: what is known besides."""

    how: str
    detail: dict[str, Any] = field(default_factory=dict)
    result: str = ""

    @property
    def state(self) -> str:
        """The state of the task after this end, if no other run of it goes on."""
        if self.how == "IGNORED" and self.detail.get("reason") == REPLACED:
            return "QUEUED"
        return "FAILURE" if self.how == "KILLED" else self.how


@dataclass(frozen=True, slots=True)
class _Word:
    at_s: float
    end: End


class Words:
    """What the main process has said about ends: verdicts by task id, exit codes by process id."""

    def __init__(self) -> None:
        self._verdicts: OrderedDict[str, _Word] = OrderedDict()
        self._exits: OrderedDict[int, tuple[float, int]] = OrderedDict()

    def verdict(self, task_id: str, end: End, at_s: float) -> None:
        """A verdict on a task; the first one stands, as a hard time limit is told twice."""
        old = self._verdicts.get(task_id)
        if old is None or at_s - old.at_s > _REMEMBERED_S:
            self._verdicts[task_id] = _Word(at_s, end)
        while len(self._verdicts) > _REMEMBERED:
            self._verdicts.popitem(last=False)

    def exit(self, pid: int, code: int, at_s: float) -> None:
        """A pool child has ended with that code, negative for a signal."""
        self._exits[pid] = (at_s, code)
        while len(self._exits) > _REMEMBERED:
            self._exits.popitem(last=False)

    def take_verdict(self, task_id: str, since_s: float) -> End | None:
        """The verdict on a task said since then; it counts for one run only."""
        word = self._verdicts.get(task_id)
        if word is None or word.at_s < since_s:
            return None
        del self._verdicts[task_id]
        return word.end

    def exit_of(self, pid: int, since_s: float) -> int | None:
        """The exit code of a process that ended since then."""
        found = self._exits.get(pid)
        return found[1] if found is not None and found[0] >= since_s else None


def speaks_for_itself(code: int) -> bool:
    """Whether the exit code is the cause; a signal that somebody may have sent on purpose has one behind it."""
    return code >= 0 or -code in _OWN_FAULTS


def written_end(written: dict[str, Any]) -> tuple[End | None, dict[str, Any]]:
    """What the run's process wrote as (its end, None if it had no state; detail)."""
    detail = written.get("detail")
    detail = detail if isinstance(detail, dict) else {}
    how = written.get("how")
    if not isinstance(how, str):
        return None, detail
    return End(how, detail, str(written.get("result") or "")), detail


def killed(detail: dict[str, Any], exit_detail: dict[str, Any] | None, main_is_alive: bool) -> End:
    """The end of a run about which nobody has said more."""
    if not main_is_alive:
        return End("KILLED", {**detail, **(exit_detail or {}), "reason": "the worker died"})
    if exit_detail is not None:
        return End("KILLED", {**detail, **exit_detail})
    return End("KILLED", detail or {"reason": "the process that ran the task died"})
