"""The archive by HTTP and as a page: which tasks it has, and that a task be deleted.

Must never know: Redis' commands, Celery, how objects lie on a shelf.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp_jinja2
from aiohttp import web

from livetask.keys import task_id_checked
from livetask.server.archive.archive import Archive, Snapshot
from livetask.server.archive.erasing import Eraser
from livetask.server.archive.leafing import Before, Leafing, Part
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
_NOT_KEPT = {"Cache-Control": "no-store"}


class ArchiveApi:
    """The routes. ``look``: the store's task, for what this caller may see. ``archive``: None where there is none.

    ``count``: counts that the caller looks through the archive; raises TooFast.
    """

    def __init__(self, look: Look, eraser: Eraser, archive: Archive | None, count: Callable[[], None]) -> None:
        self._look = look
        self._eraser = eraser
        self._leafing = Leafing(archive) if archive is not None else None
        self._count = count

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.get("/api/archived", self.get_archived),
            web.get("/archived", self.page),
            web.delete("/api/tasks/{task_id}", self.delete_task),
        ]

    async def get_archived(self, request: web.Request) -> web.Response:
        """``?q=&limit=&before=``: archived tasks, last ended first; ``next_before`` asks for those after.

        A thousand tasks are looked at, for a second: there may be none that fit, and more all the same. When the
        last of those ended is ``looked_back_to``.
        """
        _, part = await self._archived(request)
        answer = {
            "tasks": [task_json(task) for task in part.found],
            "next_before": None if part.before is None else str(part.before),
            "looked_back_to": part.back_to_ms,
        }
        return web.json_response(answer, headers=_NOT_KEPT)

    async def page(self, request: web.Request) -> web.Response:
        """The same for people, also of tasks that Redis, and so the dashboard, has forgotten."""
        limit, part = await self._archived(request)
        q = request.query.get("q", "")
        older = None if part.before is None else urlencode({**({"q": q} if q else {}), "before": str(part.before)})
        context = {
            "rows": [_row(task) for task in part.found],
            "q": q,
            "older": older,
            "newest": "before" in request.query,
            "cut": moment(part.back_to_ms) if older and part.back_to_ms and len(part.found) < limit else None,
        }
        return aiohttp_jinja2.render_template("archived.html", request, context)

    async def _archived(self, request: web.Request) -> tuple[int, Part[Task]]:
        limit = whole_number(request, "limit", 1, MOST_TASKS, 100)
        before = Before.parse(text) if (text := request.query.get("before")) else None
        return limit, await self._part(limit, before, Filter.parse(request.query.get("q", "")))

    async def relatives(self, wanted: Filter, task: Task) -> tuple[Task, ...]:
        """Archived tasks that the filter lets through, of a thousand that ended about when ``task`` did, or before."""
        before = Before((task.ended_at_ms or task.changed_at_ms or 0) + _LATER_MS)
        return (await self._part(MOST_TASKS, before, wanted)).found

    async def _part(self, limit: int, before: Before | None, wanted: Filter) -> Part[Task]:
        """Those that the filter lets through and the one who asks may see."""
        if self._leafing is None:
            return Part((), None, None)
        self._count()

        async def pick(snapshot: Snapshot) -> Task | None:
            return await self._look(snapshot.task_id) if _lets_through(wanted, snapshot) else None

        return await self._leafing.part(limit, before, pick)

    async def delete_task(self, request: web.Request) -> web.Response:
        """Take away what a task that has ended printed, emitted and was called with, wherever it lies."""
        task_id = task_id_checked(request.match_info["task_id"])
        freed = await self._eraser.erase(task_id, asked_by())
        return web.json_response({"id": task_id, "deleted": True, "archived_bytes": freed}, headers=_NOT_KEPT)


def _lets_through(wanted: Filter, snapshot: Snapshot) -> bool:
    if not wanted.terms:
        return True
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
