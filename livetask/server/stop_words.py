"""What clients say who want tasks to stop, read and checked, and what they are told.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livetask.errors import ArgumentInvalid
from livetask.keys import task_id_checked
from livetask.server.stops import Stopped

MOST_AT_ONCE = 100
"""How many tasks one message may name."""

_MOST_GRACE_S = 3600.0


@dataclass(frozen=True, slots=True)
class StopWish:
    """A wish. ``terminate``: also where it runs. ``grace_s``: how long it may go on after it was asked to end."""

    task_id: str
    terminate: bool = False
    grace_s: float = 0.0

    @classmethod
    def parse(cls, message: object) -> StopWish:
        """Read a task id, or ``{task_id, terminate?, grace_s?}``. Raises TaskIdInvalid, ArgumentInvalid."""
        if not isinstance(message, dict):
            return cls(task_id_checked(message))
        return cls(task_id_checked(message.get("task_id")), *_how(message))

    @classmethod
    def of_query(cls, task_id: str, query: Mapping[str, str]) -> StopWish:
        """Read ``?terminate=1&grace_s=5``. Raises ArgumentInvalid."""
        terminate = query.get("terminate", "0")
        if terminate not in ("0", "1"):
            raise ArgumentInvalid("terminate", terminate, "0 or 1")
        try:
            grace_s = float(query.get("grace_s", "0"))
        except ValueError:
            raise ArgumentInvalid("grace_s", query["grace_s"], "a number of seconds") from None
        return cls(task_id, *_how({"terminate": terminate == "1", "grace_s": grace_s}))


def many_read(message: object) -> tuple[list[str], bool, float]:
    """(task ids, terminate, grace in seconds) of ``{task_ids, terminate?, grace_s?}``; an id may be an impossible one.

    Each id comes once. Raises ArgumentInvalid.
    """
    ids = message.get("task_ids") if isinstance(message, dict) else None
    if not isinstance(ids, list) or not 0 < len(ids) <= MOST_AT_ONCE or not all(isinstance(one, str) for one in ids):
        raise ArgumentInvalid("task_ids", ids, f"a list of 1 to {MOST_AT_ONCE} task ids")
    assert isinstance(message, dict)
    return list(dict.fromkeys(ids)), *_how(message)


def stopped_json(stopped: Stopped) -> dict[str, Any]:
    """What a client is told who wished that a task stops; ``outcome`` and ``words`` are livetask's own."""
    if stopped.refused:
        return {"status": "failed", "data": stopped.words, "code": stopped.outcome}
    return {"status": "success", "data": stopped.task_id, "outcome": stopped.outcome, "words": stopped.words}


def _how(message: Mapping[str, Any]) -> tuple[bool, float]:
    terminate, grace_s = message.get("terminate", False), message.get("grace_s", 0)
    if not isinstance(terminate, bool):
        raise ArgumentInvalid("terminate", terminate, "true or false")
    if isinstance(grace_s, bool) or not isinstance(grace_s, (int, float)) or not 0 <= grace_s <= _MOST_GRACE_S:
        raise ArgumentInvalid("grace_s", grace_s, f"a number of seconds from 0 to {_MOST_GRACE_S:g}")
    if grace_s and not terminate:
        raise ArgumentInvalid("grace_s", grace_s, "none without terminate: it says when the task is terminated")
    return terminate, float(grace_s)
