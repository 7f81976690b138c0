"""What was done by whom, to look through: a page that needs no JavaScript, and the same as JSON.

``?who=&task_id=&kind=``: only those; ``?limit=``; ``?before=``: those older than this entry. For administrators.

Must never know: Redis, Celery, how entries are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp_jinja2
from aiohttp import web

from livetask.errors import ArgumentInvalid
from livetask.server.access.audit import KINDS, Audit, Entry, Wanted
from livetask.server.edge import whole_number
from livetask.server.pages import moment

MOST = 500
_ON_A_PAGE = 100
_TEXT_LIMIT = 200
_ID = re.compile(r"[0-9]{1,16}-[0-9]{1,16}")
_ARGUMENTS = ("who", "task_id", "kind", "before", "limit")


class AuditApi:
    """The routes. ``audit``: what is looked through."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [web.get("/api/audit", self.get), web.get("/audit", self.page)]

    async def get(self, request: web.Request) -> web.Response:
        """Entries, newest first. ``next``: what to give as ``before`` for older ones; null when there are none."""
        limit = whole_number(request, "limit", 1, MOST, _ON_A_PAGE)
        entries, older = await self._audit.page(_wanted(request.query), limit, _before(request.query))
        answer = {"entries": [entry.as_json() for entry in entries], "next": older}
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def page(self, request: web.Request) -> web.Response:
        """The same for people. What is left empty in its form is not asked for."""
        query = {name: value for name, value in request.query.items() if value}
        wanted = _wanted(query)
        entries, older = await self._audit.page(wanted, _ON_A_PAGE, _before(query))
        kept = {name: value for name, value in query.items() if name != "before"}
        context = {
            "rows": [_row(entry) for entry in entries],
            "wanted": wanted,
            "kinds": KINDS,
            "older": None if older is None else urlencode(kept | {"before": older}),
            "newest": urlencode(kept) if "before" in query else None,
        }
        return aiohttp_jinja2.render_template("audit.html", request, context)


def _wanted(query: Mapping[str, str]) -> Wanted:
    for name, value in query.items():
        if name not in _ARGUMENTS:
            raise ArgumentInvalid(name, value, f"no such argument: there are {', '.join(_ARGUMENTS)}")
        if len(value) > _TEXT_LIMIT:
            raise ArgumentInvalid(name, value, f"at most {_TEXT_LIMIT} characters")
    kind = query.get("kind", "")
    if kind and kind not in KINDS:
        raise ArgumentInvalid("kind", kind, f"one of {', '.join(KINDS)}")
    return Wanted(query.get("who", ""), query.get("task_id", ""), kind)


def _before(query: Mapping[str, str]) -> str:
    before = query.get("before", "")
    if before and _ID.fullmatch(before) is None:
        raise ArgumentInvalid("before", before, "the id of an entry, or what an answer gave as next")
    return before


def _row(entry: Entry) -> dict[str, Any]:
    """An entry as the page shows it; its texts come from outside, and the template escapes them."""
    return {
        **moment(entry.at_ms),
        "kind": entry.kind,
        "word": entry.kind.replace("_", " "),
        "who": entry.who or ("anybody" if entry.by == "open" else "nobody"),
        "by": entry.by,
        "remote": entry.remote,
        "task_id": entry.task_id,
        "detail": entry.detail,
        "count": entry.count,
    }
