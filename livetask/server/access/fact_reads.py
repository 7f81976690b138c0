"""Reads from Redis what rights ask of tasks: a few small fields of each, in few round trips."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from livetask.keys import FORMAT, Keys
from livetask.server.access.policy import TaskFacts
from livetask.server.answers import text_of

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]

_FIELDS = ("format", "name", "queue", "owner")


class FactReads:
    """``ask``: sends commands and gives Redis' answers; raises RedisUnavailable."""

    def __init__(self, ask: Ask, keys: Keys) -> None:
        self._ask = ask
        self._keys = keys

    async def __call__(self, task_ids: Sequence[str]) -> dict[str, TaskFacts]:
        """The facts of those of the tasks that are stored; what another version stored is left out."""
        answers = await self._ask([("HMGET", self._keys.task(task_id), *_FIELDS) for task_id in task_ids])
        found: dict[str, TaskFacts] = {}
        for task_id, values in zip(task_ids, answers, strict=True):
            version, name, queue, owner = (text_of(value or b"") for value in values)
            if version == FORMAT:
                found[task_id] = TaskFacts(task_id, name, queue, owner)
        return found
