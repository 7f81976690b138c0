"""Facts about tasks that wait to be written to Redis: queued, progress, a state without a run.

Bounded: of a task's progress the latest counts, and when too many facts wait, the oldest go.

That a task is queued waits for a moment: most tasks begin at once, and what begins says the rest of it itself.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from livetask.errors import TaskIdInvalid
from livetask.keys import bucket_of, task_id_checked
from livetask.worker.terms import Terms
from livetask.worker.writing import Call

_WAITING = 10_000
_AT_ONCE = 200
_HELD_S = 0.05
"""A list of tasks shows a queued one so much later, at most; a third of what a short task costs Redis is saved."""


class Notes:
    """What waits. True if anything does."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._waiting: OrderedDict[tuple[str, str], dict[str, str]] = OrderedDict()
        self._queued: OrderedDict[str, tuple[float, dict[str, str]]] = OrderedDict()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._queued)

    @property
    def has_more(self) -> bool:
        """Whether there is something to be said at once."""
        return bool(self._waiting)

    def add(self, task_id: str, what: str, fields: Any, now_s: float) -> None:
        """Note ``fields`` about a task. ``what``: queued, progress or state. ``now_s``: monotonic."""
        with suppress(TaskIdInvalid):
            if isinstance(fields, dict):
                found = {str(k): str(v) for k, v in fields.items()}
                if what == "queued":
                    self._queued[task_id_checked(task_id)] = (now_s, found)
                else:
                    self._release(task_id)
                    self._waiting[task_id_checked(task_id), what] = found
        while len(self) > _WAITING:
            (self._waiting or self._queued).popitem(last=False)
            self.dropped += 1

    def begins(self, task_id: str) -> str:
        """A run of the task is about to be told: since when it was queued, '' if that is told or not known."""
        return self._queued.pop(task_id, (0.0, {}))[1].get("queued_at", "") if self._queued else ""

    def _release(self, task_id: str) -> None:
        if task_id in self._queued:
            self._waiting[task_id, "queued"] = self._queued.pop(task_id)[1]

    def calls(self, now_s: float) -> list[Call]:
        """The calls for the oldest ones."""
        while self._queued and next(iter(self._queued.values()))[0] <= now_s - _HELD_S:
            self._release(next(iter(self._queued)))
        keys, terms = self._terms.keys, self._terms
        calls = []
        for (task_id, what), fields in list(self._waiting.items())[:_AT_ONCE]:
            bucket = bucket_of(task_id)
            words = (task_id, what, terms.keep_ms, terms.recent_cap, json.dumps(terms.shown_task(fields)))
            calls.append(Call("note", (keys.task(task_id), keys.recent(bucket), keys.bell(bucket)), words))
        return calls

    def sent(self, count: int) -> None:
        """The calls for the oldest ``count`` have been answered."""
        for _ in range(count):
            self._waiting.popitem(last=False)
