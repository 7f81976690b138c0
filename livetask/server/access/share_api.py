"""Share links by HTTP: made by whoever may download a log, who could as well send the file; listed, revoked, opened.

| route | answer |
|---|---|
| POST /api/tasks/{task_id}/shares {hours?} | the link; the only time that its secret is told |
| GET /api/shares | one's own links, for administrators all |
| DELETE /api/shares/{share_id} | one's own, for administrators any |
| GET /api/share | with a link's secret: its task, and until when |
| GET /share | the page that a link leads to: a frame without data, the secret is behind the # of its address |

Must never know: Redis, Celery, how links are signed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import aiohttp_jinja2
from aiohttp import web

from livetask.access_errors import LoginNeeded
from livetask.errors import ArgumentInvalid, NotFound, TaskUnknown
from livetask.keys import task_id_checked
from livetask.server.access.audit import Audit
from livetask.server.access.caller import Caller
from livetask.server.access.gate import presented_by
from livetask.server.access.policy import may_everywhere
from livetask.server.access.shares import Share, Shares, secret_of
from livetask.server.access.sight import Sight
from livetask.server.edge import json_body
from livetask.server.listening import BASE

_HOUR_S = 3600
_NOT_KEPT = {"Cache-Control": "no-store"}
_OVER = "this link is over: it has expired or was revoked, or a part of it is missing; ask for a new one"


class ShareApi:
    """The routes. ``sight``: what the caller may. ``most_s``: how long a link may last. ``limit_bytes``: of a body."""

    def __init__(
        self,
        shares: Shares,
        sight: Sight,
        audit: Audit,
        caller_now: Callable[[], Caller],
        *,
        most_s: int,
        limit_bytes: int,
    ) -> None:
        self._shares = shares
        self._sight = sight
        self._audit = audit
        self._caller_now = caller_now
        self._most_s = most_s
        self._limit_bytes = limit_bytes

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.post("/api/tasks/{task_id}/shares", self.make),
            web.get("/api/shares", self.listed),
            web.delete("/api/shares/{share_id}", self.revoke),
            web.get("/api/share", self.opened),
            web.get("/share", self.page),
        ]

    async def make(self, request: web.Request) -> web.Response:
        """A new link to a task; ``path`` leads there, behind the server's address."""
        task_id = task_id_checked(request.match_info["task_id"])
        body = await json_body(request, self._limit_bytes) if request.body_exists else {}
        lasts_s = self._lasts_s(body)
        if await self._sight.task(task_id) is None:
            raise TaskUnknown(task_id)
        caller = self._caller_now()
        share, secret = await self._shares.make(task_id, caller.name, lasts_s)
        self._audit.note("share", caller, task_id, share.id)
        path = f"{request.app.get(BASE, '')}/share#{secret}"
        return web.json_response(asdict(share) | {"path": path}, status=201, headers=_NOT_KEPT)

    def _lasts_s(self, body: Any) -> int:
        most = self._most_s / _HOUR_S
        hours = body.get("hours", min(24, most)) if isinstance(body, dict) else None
        if not isinstance(body, dict) or not set(body) <= {"hours"}:
            raise ArgumentInvalid("body", body, "an object with hours, or no body")
        if isinstance(hours, bool) or not isinstance(hours, (int, float)) or not 0 < hours <= most:
            raise ArgumentInvalid("hours", hours, f"a number of hours, at most {most:g} (the setting share_s)")
        return max(1, int(hours * _HOUR_S))

    async def listed(self, request: web.Request) -> web.Response:
        """The links that the caller may end; ``?task_id=``: of one task."""
        task_id = request.query.get("task_id")
        found = [share for share in await self._shares.listed() if self._is_mine(share)]
        shown = [asdict(share) for share in found if task_id in (None, share.task_id)]
        return web.json_response({"shares": shown}, headers=_NOT_KEPT)

    async def revoke(self, request: web.Request) -> web.Response:
        """End a link; 404 if there is none, or it is another's."""
        share = await self._shares.one(request.match_info["share_id"])
        if share is None or not self._is_mine(share):
            raise NotFound("there is no such link")
        await self._shares.revoke(share.id)
        self._audit.note("share_revoked", self._caller_now(), share.task_id, share.id)
        return web.json_response(asdict(share), headers=_NOT_KEPT)

    async def opened(self, request: web.Request) -> web.Response:
        """Which task the link leads to, whose secret comes with the request."""
        share = await self._shares.opened(secret_of(presented_by(request)))
        if share is None:
            raise LoginNeeded(_OVER)
        self._audit.note("share_opened", share.caller, share.task_id, share.id)
        return web.json_response({"task_id": share.task_id, "until": share.until}, headers=_NOT_KEPT)

    async def page(self, request: web.Request) -> web.Response:
        """The frame; its script reads the secret, which the server is not told with the address."""
        return aiohttp_jinja2.render_template("share.html", request, {})

    def _is_mine(self, share: Share) -> bool:
        caller = self._caller_now()
        return may_everywhere(caller, "administer") or (bool(caller.name) and caller.name == share.by)
