"""Tasks by HTTP: the list, newest first, filtered by state and text; and one task.

Must never know: Redis' commands, Celery, Socket.IO, the output of tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from livetask.errors import ArgumentInvalid, TaskUnknown
from livetask.keys import task_id_checked
from livetask.server.edge import whole_number
from livetask.server.tasks import UNDER_WAY, Task
from livetask.server.wire import task_json

STATES = (*UNDER_WAY, "SUCCESS", "FAILURE", "REVOKED", "IGNORED", "REJECTED", "LOST")

MOST_TASKS = 500

_TEXT_LIMIT = 200
_TIME_LIMIT_MS = 10**15
_SCANNED_AT_ONCE = 512


class TaskStore(Protocol):
    """What the routes need of the store."""

    async def task(self, task_id: str) -> Task | None: ...
    async def tasks(self, task_ids: Sequence[str]) -> dict[str, Task]: ...
    async def recent_ids(self, limit: int, before_ms: int | None = None) -> list[tuple[str, int]]: ...
    async def summaries(self, task_ids: Sequence[str]) -> dict[str, tuple[str, str]]: ...
    async def counts(self) -> dict[str, int]: ...


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks of the list are wanted. ``states``: empty for all. ``text``: within the id or name, any case."""

    states: frozenset[str] = frozenset()
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.states or self.text)

    def holds(self, task_id: str, state: str, name: str) -> bool:
        """Whether it lets such a task through."""
        if self.states and state not in self.states:
            return False
        return not self.text or self.text in task_id.casefold() or self.text in name.casefold()


class TaskApi:
    """The routes, and what the pages show without JavaScript. ``store``: see TaskStore."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [web.get("/api/tasks", self.get_tasks), web.get("/api/tasks/{task_id}", self.get_task)]

    async def get_tasks(self, request: web.Request) -> web.Response:
        """``?limit=&state=&q=&before=``: tasks by their last change, newest first, and how many are in each state.

        ``next_before``: asks for those after them; null when there are no more.
        """
        limit = whole_number(request, "limit", 1, MOST_TASKS, 100)
        before = whole_number(request, "before", 0, _TIME_LIMIT_MS, 0)
        answer = await self.listed(limit, _filter_of(request), before or None)
        return web.json_response(answer, headers=_NOT_KEPT)

    async def get_task(self, request: web.Request) -> web.Response:
        """One task with its runs; 404 if nothing is stored."""
        return web.json_response(await self.one(request.match_info["task_id"]), headers=_NOT_KEPT)

    async def one(self, task_id: str) -> dict[str, Any]:
        """One task as JSON has it. Raises TaskIdInvalid, TaskUnknown, FormatUnknown, RedisUnavailable."""
        task = await self._store.task(task_id_checked(task_id))
        if task is None:
            raise TaskUnknown(task_id)
        return task_json(task)

    async def listed(
        self, limit: int = 100, wanted: Filter | None = None, before_ms: int | None = None
    ) -> dict[str, Any]:
        """The list as JSON has it."""
        tasks, next_before = await self._chosen(limit, wanted or Filter(), before_ms)
        return {
            "tasks": [task_json(task) for task in tasks],
            "counts": await self._store.counts(),
            "next_before": next_before,
        }

    async def _chosen(self, limit: int, wanted: Filter, before_ms: int | None) -> tuple[list[Task], int | None]:
        """The first ``limit`` tasks of the list that are wanted, and where to go on."""
        found: list[Task] = []
        step = _SCANNED_AT_ONCE if wanted else limit
        while True:
            ids = await self._store.recent_ids(step, before_ms)
            names = [task_id for task_id, _ in ids]
            if wanted:
                known = await self._store.summaries(names)
                names = [task_id for task_id in names if task_id in known and wanted.holds(task_id, *known[task_id])]
            room = limit - len(found)
            stored = await self._store.tasks(names[:room])
            found += [stored[task_id] for task_id in names[:room] if task_id in stored]
            if len(names) > room:
                return found, dict(ids)[names[room - 1]]
            if len(ids) < step:
                return found, None
            before_ms = ids[-1][1]
            if len(found) >= limit:
                return found, before_ms


def _filter_of(request: web.Request) -> Filter:
    states = frozenset(part for part in request.query.get("state", "").split(",") if part)
    for state in states:
        if state not in STATES:
            raise ArgumentInvalid("state", state, f"some of {', '.join(STATES)}, with commas between them")
    text = request.query.get("q", "")
    if len(text) > _TEXT_LIMIT:
        raise ArgumentInvalid("q", text, f"at most {_TEXT_LIMIT} characters")
    return Filter(states, text.casefold())


_NOT_KEPT: Mapping[str, str] = {"Cache-Control": "no-store"}
