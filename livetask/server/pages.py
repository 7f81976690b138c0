"""The pages: the dashboard, a task, and a task's log for browsers without JavaScript.

A page is a frame; its scripts ask the same API as everybody else. What a page shows of a task by itself (its title,
the list and the log without JavaScript) it is given by `Sources`, in the shapes of the JSON API. Output is text here
as everywhere: the templates escape it, and escape codes are taken out of it.

Must never know: Redis, Celery, Socket.IO.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web

import livetask
from livetask.errors import LivetaskError, NotFound
from livetask.keys import task_id_checked
from livetask.position import Position
from livetask.server.access.caller import ABILITIES
from livetask.server.access.gate import caller_now
from livetask.server.access.policy import may_somewhere

PLAIN_LINES = 500
"""How many lines one page of the log without JavaScript shows."""

# CSI sequences; OSC, DCS and their kind up to their end; other two-character escapes
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
# control characters, and those that change the direction of the text around them
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


_LAST_MS = 253402300799_000
"""The end of the year 9999, beyond which Python has no date."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the pages get what they show, each as the JSON API gives it.

    ``tasks``: the newest tasks, ``{"tasks": [...], "counts": {...}}``. ``task``: one task by its id. ``lines``: of a
    task id, a run (an ordinal or ``last``), a first line (None: the last lines there are) and a count; answers like
    ``/api/tasks/{id}/runs/{run}/log?line=N&count=M``. All raise errors of the LivetaskError tree. ``opening``: of a
    task id and an ordinal or '', what the log is shown from first, see opening.py; None for nothing; never raises.
    """

    tasks: Callable[[], Awaitable[Mapping[str, Any]]]
    task: Callable[[str], Awaitable[Mapping[str, Any]]]
    lines: Callable[[str, str, int | None, int], Awaitable[Mapping[str, Any]]]
    opening: Callable[[str, str], Awaitable[Mapping[str, Any] | None]]


def setup_jinja(app: web.Application, templates_dir: Path, base: str = "", *, has_archive: bool = False) -> None:
    """Let the pages of ``app`` be rendered from ``templates_dir``, everything escaped. ``base``: their links' path.

    ``has_archive``: they lead to the archive.
    """
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(templates_dir),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["base"] = base
    environment.globals["has_archive"] = has_archive
    environment.globals["version"] = livetask.__version__
    environment.globals["caller_now"] = caller_now
    environment.globals["able"] = lambda: sorted(one for one in ABILITIES if may_somewhere(caller_now(), one))
    environment.filters["plain"] = plain


def routes(sources: Sources, static_dir: Path) -> list[web.AbstractRouteDef]:
    """The routes of all pages and of what they load from ``static_dir``."""
    pages = _Pages(sources)
    return [
        web.get("/", pages.dashboard),
        web.get("/tasks/{task_id}", pages.task),
        web.get("/tasks/{task_id}/log", pages.log),
        web.get("/embed/tasks/{task_id}", pages.embed),
        web.get("/tasks/{task_id}/workflow", pages.workflow),
        web.static("/static", static_dir),
    ]


class _Pages:
    """The handlers; each renders one template."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def dashboard(self, request: web.Request) -> web.Response:
        try:
            listed = await self._sources.tasks()
        except LivetaskError:
            # the frame is shown all the same: its script says that the store is unreachable, and goes on trying
            listed = {"tasks": [], "counts": {}}
        context = {"tasks": listed["tasks"], "counts": listed["counts"]}
        return aiohttp_jinja2.render_template("dashboard.html", request, context)

    async def task(self, request: web.Request) -> web.Response:
        task_id = request.match_info["task_id"]
        try:
            task: Mapping[str, Any] | None = await self._sources.task(task_id)
        except NotFound:
            # it may have been sent a moment ago: the page waits for it
            task = None
        except LivetaskError as error:
            return await _refusal(request, error)
        asked = request.query.get("run", "")
        run = asked if asked.isascii() and asked.isdecimal() else ""
        opening = None if task is None else await self._sources.opening(task_id, run)
        context = {"task_id": task_id, "task": task, "run": run, "opening": opening}
        return aiohttp_jinja2.render_template("task.html", request, context)

    async def embed(self, request: web.Request) -> web.Response:
        """The log alone, for frames. ``?run=&wrap&times&theme=light|dark``. Raises TaskIdInvalid."""
        asked = request.query
        context = {
            "task_id": task_id_checked(request.match_info["task_id"]),
            "run": asked.get("run", "") if asked.get("run", "").isdecimal() else "",
            "switches": [name for name in ("wrap", "times") if name in asked],
            "theme": asked.get("theme") if asked.get("theme") in ("light", "dark") else "",
        }
        return aiohttp_jinja2.render_template("embed.html", request, context)

    async def workflow(self, request: web.Request) -> web.Response:
        task_id = request.match_info["task_id"]
        try:
            task = await self._sources.task(task_id)
        except LivetaskError as error:
            return await _refusal(request, error)
        return aiohttp_jinja2.render_template("workflow.html", request, {"task_id": task_id, "task": task})

    async def log(self, request: web.Request) -> web.Response:
        task_id, run = request.match_info["task_id"], request.query.get("run", "last")
        line = request.query.get("line", "")
        try:
            task = await self._sources.task(task_id)
            wanted = max(1, int(line[:15])) if line.isdecimal() else None
            answer = await self._sources.lines(task_id, run, wanted, PLAIN_LINES)
        except LivetaskError as error:
            return await _refusal(request, error)
        first, lines = int(answer["first_line"]), list(answer["lines"])
        kept = int(answer["first_kept_line"])
        context = {
            "task_id": task_id,
            "task": task,
            "run": run,
            "rows": _rows(first, lines, answer["gaps"]),
            "kept": kept,
            "older": max(kept, first - PLAIN_LINES) if first > kept else None,
            "newer": first + len(lines) if wanted is not None and len(lines) == PLAIN_LINES else None,
            "ended": bool(answer["ended"]),
        }
        return aiohttp_jinja2.render_template("log.html", request, context)


def _rows(first: int, lines: Sequence[str], gaps: Sequence[Mapping[str, str]]) -> list[tuple[int, str, str]]:
    """The lines as (number, text, gap), where a gap's row has number 0; lines that lie within a gap are left out."""
    spans = [(Position.parse(gap["from"]), Position.parse(gap["to"]), gap["reason"]) for gap in gaps]
    before = {end.line: _gap_text(start, end, reason) for start, end, reason in spans if end.line > first}
    rows: list[tuple[int, str, str]] = []
    for number, text in enumerate(lines, first):
        if number in before:
            rows.append((0, "", before[number]))
        if text or not any(start.line <= number < end.line for start, end, _ in spans):
            rows.append((number, text, ""))
    return rows


def _gap_text(start: Position, end: Position, reason: str) -> str:
    words = {"trimmed": "no longer kept", "dropped": "missing: the worker had to give them up", "deleted": "deleted"}
    why = words.get(reason, "lost")
    return f"{end.line - start.line:,} lines ({end.byte - start.byte:,} bytes) are {why}"


async def _refusal(request: web.Request, error: LivetaskError) -> web.Response:
    title = {404: "Not found", 503: "Not reachable"}.get(error.status, "Not possible")
    return await error_page(request, error.status, title, str(error))


async def error_page(request: web.Request, status: int, title: str, text: str) -> web.Response:
    """A page that says what went wrong; ``text``: one sentence."""
    context = {"title": title, "text": text, "status": status}
    return aiohttp_jinja2.render_template("error.html", request, context, status=status)


def moment(at_ms: int) -> dict[str, str]:
    """A time in ms as a table's row shows it: ``at`` for people, ``at_iso`` for programs; both UTC."""
    when = datetime.fromtimestamp(min(at_ms, _LAST_MS) / 1000, UTC)
    return {"at": f"{when:%Y-%m-%d %H:%M:%S}", "at_iso": when.isoformat(timespec="seconds")}


def plain(text: str) -> str:
    """A line of output as a reader without a terminal sees it.

    Escape codes go, a line rewritten with carriage returns shows what was written last, and control characters show
    as symbols.
    """
    parts = [part for part in _ESCAPES.sub("", text).split("\r") if part]
    return _CONTROLS.sub(_symbol, parts[-1]) if parts else ""


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"<U+{code:04X}>"
