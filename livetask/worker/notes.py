"""Facts about tasks that wait to be written to Redis: queued, progress, a state without a run.

Bounded: of a task's progress the latest counts, and when too many facts wait, the oldest go.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from livetask.errors import TaskIdInvalid
from livetask.keys import bucket_of, task_id_checked
from livetask.worker.shipping import Terms
from livetask.worker.writing import Call

_WAITING = 10_000
_AT_ONCE = 200


class Notes:
    """What waits. True if anything does."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._waiting: OrderedDict[tuple[str, str], dict[str, str]] = OrderedDict()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, task_id: str, what: str, fields: Any) -> None:
        """Note ``fields`` about a task. ``what``: queued, progress or state."""
        with suppress(TaskIdInvalid):
            if isinstance(fields, dict):
                self._waiting[task_id_checked(task_id), what] = {str(k): str(v) for k, v in fields.items()}
        while len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)
            self.dropped += 1

    def calls(self) -> list[Call]:
        """The calls for the oldest ones."""
        keys, terms = self._terms.keys, self._terms
        calls = []
        for (task_id, what), fields in list(self._waiting.items())[:_AT_ONCE]:
            bucket = bucket_of(task_id)
            words = (task_id, what, terms.keep_ms, terms.recent_cap, json.dumps(_shown(fields, terms)))
            calls.append(Call("note", (keys.task(task_id), keys.recent(bucket), keys.bell(bucket)), words))
        return calls

    def sent(self, count: int) -> None:
        """The calls for the oldest ``count`` have been answered."""
        for _ in range(count):
            self._waiting.popitem(last=False)


def _shown(fields: dict[str, str], terms: Terms) -> dict[str, str]:
    """Without secrets; the arguments for another run are not kept where one is in them."""
    found = terms.shown_values(fields)
    if found.get("call") != fields.get("call"):
        del found["call"]
        found["call_not"] = "secret"
    return found
