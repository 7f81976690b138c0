"""Tasks by HTTP: the list, filtered and in order; and one task.

Must never know: Redis' commands, Celery, Socket.IO, the output of tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import web

from livetask.errors import TaskUnknown
from livetask.keys import task_id_checked
from livetask.server.listing.asked import Listing, Wish, listing_json, wish_of_query
from livetask.server.listing.rows import Key
from livetask.server.listing.wanted import Filter
from livetask.server.tasks import Task
from livetask.server.wire import task_json


class TaskStore(Protocol):
    """What the routes need of the store."""

    async def task(self, task_id: str) -> Task | None: ...


class TaskList(Protocol):
    """What the routes need of the list."""

    async def listing(self, wish: Wish, *, after: Key | None = None, now_ms: int = 0) -> Listing: ...


class TaskApi:
    """The routes, and what the pages show without JavaScript. ``store``, ``tasks``: see TaskStore, TaskList."""

    def __init__(self, store: TaskStore, tasks: TaskList) -> None:
        self._store = store
        self._tasks = tasks

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [web.get("/api/tasks", self.get_tasks), web.get("/api/tasks/{task_id}", self.get_task)]

    async def get_tasks(self, request: web.Request) -> web.Response:
        """``?q=&state=&sort=&limit=&after=``: tasks, and how many that the filter lets through are in each state."""
        wish, after, now_ms = wish_of_query(request.query)
        listing = await self._tasks.listing(wish, after=after, now_ms=now_ms)
        return web.json_response(listing_json(listing, wish.order), headers=_NOT_KEPT)

    async def get_task(self, request: web.Request) -> web.Response:
        """One task with its runs; 404 if nothing is stored."""
        return web.json_response(await self.one(request.match_info["task_id"]), headers=_NOT_KEPT)

    async def one(self, task_id: str) -> dict[str, Any]:
        """One task as JSON has it. Raises TaskIdInvalid, TaskUnknown, FormatUnknown, RedisUnavailable."""
        task = await self._store.task(task_id_checked(task_id))
        if task is None:
            raise TaskUnknown(task_id)
        return task_json(task)

    async def listed(self) -> dict[str, Any]:
        """The newest tasks as JSON has them."""
        return listing_json(await self._tasks.listing(_NEWEST), _NEWEST.order)


_NEWEST = Wish(Filter(), limit=100)
_NOT_KEPT: Mapping[str, str] = {"Cache-Control": "no-store"}
