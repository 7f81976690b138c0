"""The archive by HTTP and as a page: which tasks it has, and that a task be deleted.

Must never know: Redis' commands, Celery, how objects lie on a shelf.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

import aiohttp_jinja2
from aiohttp import web

from livetask.keys import task_id_checked
from livetask.server.archive.archive import Archive, Snapshot
from livetask.server.archive.erasing import Eraser
from livetask.server.asker import asked_by
from livetask.server.edge import whole_number
from livetask.server.listing.rows import row_of
from livetask.server.listing.wanted import Filter
from livetask.server.pages import moment
from livetask.server.tasks import Task, task_parsed
from livetask.server.wire import task_json

Look = Callable[[str], Awaitable[Task | None]]

MOST_TASKS = 500

_LATER_MS = 600_000
_TIME_LIMIT_MS = 10**15
_NOT_KEPT = {"Cache-Control": "no-store"}


class ArchiveApi:
    """The routes. ``look``: the store's task, for what this caller may see. ``archive``: None where there is none."""

    def __init__(self, look: Look, eraser: Eraser, archive: Archive | None) -> None:
        self._look = look
        self._eraser = eraser
        self._archive = archive

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.get("/api/archived", self.get_archived),
            web.get("/archived", self.page),
            web.delete("/api/tasks/{task_id}", self.delete_task),
        ]

    async def get_archived(self, request: web.Request) -> web.Response:
        """``?q=&limit=&before=``: archived tasks, last ended first; ``next_before`` asks for those after.

        With a filter a thousand tasks are looked at, for a second: there may be none, and more all the same.
        """
        tasks, more = await self._archived(request)
        answer = {"tasks": [task_json(task) for task in tasks], "next_before": more}
        return web.json_response(answer, headers=_NOT_KEPT)

    async def page(self, request: web.Request) -> web.Response:
        """The same for people, also of tasks that Redis, and so the dashboard, has forgotten."""
        tasks, more = await self._archived(request)
        q = request.query.get("q", "")
        older = None if more is None else urlencode({**({"q": q} if q else {}), "before": more})
        context = {"rows": [_row(task) for task in tasks], "q": q, "older": older, "newest": "before" in request.query}
        return aiohttp_jinja2.render_template("archived.html", request, context)

    async def _archived(self, request: web.Request) -> tuple[list[Task], int | None]:
        limit = whole_number(request, "limit", 1, MOST_TASKS, 100)
        before = whole_number(request, "before", 0, _TIME_LIMIT_MS, 0)
        wanted = Filter.parse(request.query.get("q", ""))
        if self._archive is None:
            return [], None
        holds = partial(_lets_through, wanted) if wanted.terms else None
        found, more = await self._archive.snapshots(limit, before or None, holds)
        return await self._visible(found), more

    async def relatives(self, wanted: Filter, task: Task) -> list[Task]:
        """Archived tasks that the filter lets through, of a thousand that ended about when ``task`` did, or before."""
        if self._archive is None:
            return []
        before_ms = (task.ended_at_ms or task.changed_at_ms or 0) + _LATER_MS
        found, _ = await self._archive.snapshots(MOST_TASKS, before_ms, partial(_lets_through, wanted))
        return await self._visible(found)

    async def _visible(self, found: Sequence[Snapshot]) -> list[Task]:
        """Those of them that the one who asks may see."""
        tasks = [await self._look(snapshot.task_id) for snapshot in found]
        return [task for task in tasks if task is not None]

    async def delete_task(self, request: web.Request) -> web.Response:
        """Take away what a task that has ended printed, emitted and was called with, wherever it lies."""
        task_id = task_id_checked(request.match_info["task_id"])
        freed = await self._eraser.erase(task_id, asked_by())
        return web.json_response({"id": task_id, "deleted": True, "archived_bytes": freed}, headers=_NOT_KEPT)


def _lets_through(wanted: Filter, snapshot: Snapshot) -> bool:
    task = task_parsed(snapshot.task_id, snapshot.fields)
    return task is not None and wanted.holds(row_of(task))


def _row(task: Task) -> dict[str, Any]:
    """A task as the page shows it; its texts come from outside, and the template escapes them."""
    return {
        "id": task.task_id,
        "name": task.name or task.task_id,
        "state": task.state,
        **moment(task.ended_at_ms or task.changed_at_ms or 0),
        "bytes": sum(run.end.byte for run in task.runs),
        "runs": len(task.runs),
    }
