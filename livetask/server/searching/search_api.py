"""Search and marks over HTTP.

| asked | answered |
|---|---|
| ``search?q=`` | matches from a position on: how many, which, and up to where it was looked |
| ``marks`` | lines that look like errors and warnings, groups, and stderr's lines where they are known, likewise |

An answer comes within about 0.2 s: ``done`` false means that there is more to look through, from
``to`` on. While a run lives, asking again from ``to`` tells what came since. A search that is not wanted any more ends
with its answer. Must never know: Redis, how the output is looked at.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from livetask.errors import ArgumentInvalid
from livetask.position import START, Position
from livetask.server.edge import whole_number
from livetask.server.log_api import Asked, LogReader
from livetask.server.searching.finders import Finders
from livetask.server.searching.looking import LINES_MOST, MARKS_MOST
from livetask.server.searching.walking import Read, Walk, walked

HITS_MOST = 2000
_HITS = 500
_PATTERN_CHARS = 1000
_BUDGET_S = 0.15


class SearchApi:
    """See the module's docstring. ``reader``: finds runs; ``read``: the store's."""

    def __init__(self, reader: LogReader, read: Read, finders: Finders) -> None:
        self._reader = reader
        self._read = read
        self._finders = finders

    def routes(self) -> list[web.RouteDef]:
        place = "/api/tasks/{task_id}/runs/{run}"
        return [web.get(f"{place}/search", self.get_search), web.get(f"{place}/marks", self.get_marks)]

    async def get_search(self, request: web.Request) -> web.Response:
        """Where a text or a regular expression stands."""
        wanted = {
            "q": _pattern(request),
            "case": whole_number(request, "case", 0, 1, 0) == 1,
            "regex": whole_number(request, "regex", 0, 1, 0) == 1,
            "limit": whole_number(request, "limit", 0, HITS_MOST, _HITS),
        }
        asked, walk = await self._walked(request, "search", wanted)
        hits = [hit for found in walk.found for hit in found["hits"]]
        lines = [line for found in walk.found for line in found["lines_hit"]][:LINES_MOST]
        answer = {"total": sum(found["total"] for found in walk.found), "hits": hits, "lines_hit": lines}
        return _answered(asked, walk, answer)

    async def get_marks(self, request: web.Request) -> web.Response:
        """Errors, warnings, groups, and which lines are known to be stderr's."""
        asked, walk = await self._walked(request, "marks", None)
        answer: dict[str, Any] = {"more": any(found["more"] for found in walk.found)}
        for kind in ("errors", "warnings", "groups"):
            marks = [mark for found in walk.found for mark in found[kind]]
            answer[kind] = marks[:MARKS_MOST]
            answer["more"] = answer["more"] or len(marks) > MARKS_MOST
        answer["stderr"] = walk.stderr
        return _answered(asked, walk, answer)

    async def _walked(self, request: web.Request, what: str, wanted: dict[str, Any] | None) -> tuple[Asked, Walk]:
        asked = await self._reader.asked(request.match_info["task_id"], request.match_info["run"])
        text = request.query.get("from")
        start = START if text is None else Position.parse(text)
        async with self._finders.taken() as finder:
            await finder.begin(what, start.line, wanted)
            return asked, await walked(self._read, finder, asked.task_id, asked.cursor(start), _BUDGET_S)


def _pattern(request: web.Request) -> str:
    text = request.query.get("q")
    if not text or len(text) > _PATTERN_CHARS or "\n" in text:
        raise ArgumentInvalid("q", text, f"what to look for: 1 to {_PATTERN_CHARS} characters on one line")
    return text


def _answered(asked: Asked, walk: Walk, found: dict[str, Any]) -> web.Response:
    answer = {
        "run": asked.run.run,
        "from": str(walk.start),
        "to": str(walk.to),
        "done": walk.done,
        "end": str(walk.end),
        "ended": walk.how is not None,
        "lines": walk.to.line - walk.start.line,
        "gaps": [{"from": str(gap.start), "to": str(gap.end), "reason": gap.reason} for gap in walk.gaps],
    }
    return web.json_response(answer | found, headers={"Cache-Control": "no-store"})
