"""Reads what rights ask of tasks: a few small fields of each, in few round trips, and beyond Redis in the archive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from livetask.errors import FormatUnknown
from livetask.keys import FORMAT, Keys
from livetask.server.access.policy import TaskFacts
from livetask.server.access.sight import facts_of
from livetask.server.answers import text_of
from livetask.server.tasks import Task

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]
Look = Callable[[str], Awaitable[Task | None]]

_FIELDS = ("format", "name", "queue", "owner")


class FactReads:
    """``ask``: sends commands and gives Redis' answers. ``archived``: a task as the archive has it; None: without one.

    Raises RedisUnavailable, ArchiveUnavailable.
    """

    def __init__(self, ask: Ask, keys: Keys, archived: Look | None = None) -> None:
        self._ask = ask
        self._keys = keys
        self._archived = archived

    async def __call__(self, task_ids: Sequence[str]) -> dict[str, TaskFacts]:
        """The facts of those of the tasks that are stored; what another version stored is left out."""
        answers = await self._ask([("HMGET", self._keys.task(task_id), *_FIELDS) for task_id in task_ids])
        found: dict[str, TaskFacts] = {}
        for task_id, values in zip(task_ids, answers, strict=True):
            version, name, queue, owner = (text_of(value or b"") for value in values)
            if version == FORMAT:
                found[task_id] = TaskFacts(task_id, name, queue, owner)
        return found | await self.beyond_redis([task_id for task_id in task_ids if task_id not in found])

    async def beyond_redis(self, task_ids: Sequence[str]) -> dict[str, TaskFacts]:
        """The facts of those of the tasks that the archive has; this is how long an unknown one is looked for."""
        if self._archived is None:
            return {}
        tasks = await asyncio.gather(*map(self._from_archive, task_ids))
        return {task.task_id: facts_of(task) for task in tasks if task is not None}

    async def _from_archive(self, task_id: str) -> Task | None:
        assert self._archived is not None
        try:
            return await self._archived(task_id)
        except FormatUnknown:
            return None
