"""The OpenAPI document of the whole HTTP API: every route, what it takes, and every answer that it can give.

Served at ``/api/openapi.json``. Written by hand, and held against the code by tests: each route of the server is in it,
it has no others, and what the server answers to generated requests is what it says.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

import livetask
from livetask.server.access.audit import KINDS
from livetask.server.listing.rows import ORDERS
from livetask.server.schemas import (
    CURSOR,
    FLAG,
    SCHEMAS,
    STRING,
    TASK_ID,
    TIME,
    WHOLE,
    Json,
    listed,
    maybe,
    ref,
    shape,
)  # fmt: skip

_WORDS = {
    204: "There is nothing, or nothing more will come.",
    304: "What the client has is still right.",
    400: "A value is wrong; the answer says which, and what would be right.",
    401: "The server wants to know who asks; the answer says how to tell it.",
    403: "The task is not in the allow-list, or a page of another origin asks.",
    404: "There is no such task, run or address.",
    409: "The position is not one of this run; the task has not ended, cannot be stopped, or not run again as it was.",
    410: "What stood there is no longer kept; Stream-First-Offset says what is.",
    413: "The body is too large.",
    429: "Too much in too short a time (Retry-After says when to ask again), or too many terminations wait.",
    500: "A bug, or something stored by another version.",
    503: "Redis or the broker does not answer; ask again later.",
}


def routes() -> list[web.RouteDef]:
    """The HTTP route."""
    return [web.get("/api/openapi.json", _get)]


async def _get(request: web.Request) -> web.Response:
    return web.json_response(document(), headers={"Cache-Control": "no-cache"})


def document() -> Json:
    """The document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "livetask",
            "version": livetask.__version__,
            "description": "The live output of Celery tasks. GET routes answer HEAD too. Socket.IO has its own page.",
        },
        "paths": _asked({**_tasks(), **_logs(), **_stirfried(), **_machines(), **_pages(), **_shares()}) | _access(),
        "components": {"schemas": SCHEMAS},
    }


def _tasks() -> Json:
    return {
        "/api/tasks": {
            "get": _operation(
                "Tasks, filtered and in order, and how many are in each state. There are no other arguments.",
                [
                    _query("q", {"type": "string", "maxLength": 200}, "words, name: state: queue: worker: id:, -word"),
                    _query("state", STRING, "some of the states, with commas between them"),
                    _query("sort", {"type": "string", "enum": list(ORDERS), "default": "changed"}),
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}),
                    _query("after", STRING, "the next of an answer in the same order: those after it"),
                ],
                {200: _json("The tasks.", ref("Tasks")), **_errors(400, 503)},
            )
        },
        "/api/tasks/{task_id}": {
            "get": _operation(
                "One task with its runs.", [_TASK_ID], {200: _json("It.", ref("Task")), **_errors(400, 404, 500, 503)}
            ),
            "delete": _operation(
                "Delete what a task that has ended printed and was called with, in Redis and in the archive.",
                [_TASK_ID],
                {
                    200: _json("It is done.", shape(id=STRING, deleted=FLAG, archived_bytes=WHOLE)),
                    **_errors(400, 403, 404, 409, 500, 503),
                },
            ),
        },
        "/api/archived": {
            "get": _operation(
                "Archived tasks, those that ended last first.",
                [
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}),
                    _query("before", {"type": "integer", "minimum": 0, "maximum": 10**15}, "next_before of an answer"),
                ],
                {
                    200: _json("Them.", shape(tasks=listed(ref("Task")), next_before=TIME)),
                    **_errors(400, 500, 503),
                },
            )
        },
        "/api/tasks/{task_id}/workflow": {
            "get": _operation(
                "The tasks that share this task's root: chains, groups and chords; at most 200, the oldest.",
                [_TASK_ID],
                {200: _json("They.", ref("Workflow")), **_errors(400, 404, 500, 503)},
            )
        },
        "/api/tasks/{task_id}/workflow/log": {
            "get": _operation(
                "The logs of at most 50 of them as one. Of each task all comes, once, in order; between tasks by time.",
                [_TASK_ID, _query("after", STRING, "the next of the answer before")],
                {200: _json("What comes next.", ref("MergedLog")), **_errors(400, 404, 500, 503)},
            )
        },
        "/api/startable": {
            "get": _operation(
                "The tasks that may be started here, and the form of each, as its workers have published it.",
                [],
                {200: _json("They.", ref("Startable")), **_errors(503)},
            )
        },
        "/api/openapi.json": {
            "get": _operation("This document.", [], {200: _json("It.", {"type": "object"}), **_errors()})
        },
    }


def _logs() -> Json:
    place = "/api/tasks/{task_id}/runs/{run}"
    run: Json = {"name": "run", "in": "path", "required": True, "schema": STRING, "description": "a number, or last"}
    whole = {200: _text("All that is kept.", "text/plain"), **_errors(400, 404, 429, 500, 503)}
    colour = _query("colour", {"type": "string"}, "0: without escape codes")
    zipped = {200: _text("The same, compressed.", "application/gzip"), **_errors(400, 404, 429, 500, 503)}
    return {
        f"{place}/log": {
            "get": _operation(
                "A run's output: by position as bytes, by line as JSON, or live.",
                [
                    _TASK_ID,
                    run,
                    _query("offset", STRING, "-1, now, a cursor or <line>-<byte>"),
                    _query("from", STRING, "the same for livetask's own events, which have no offset"),
                    _query("live", {"type": "string", "enum": ["sse", "long-poll"]}),
                    _query("encoding", {"type": "string", "enum": ["text", "base64"]}, "of server-sent events"),
                    _query(
                        "line", {"type": "integer", "minimum": 1, "maximum": 10**15}, "lines as JSON, from this one"
                    ),
                    _query("count", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
                    _query("tail", {"type": "integer", "minimum": 1, "maximum": 1000}, "the last lines as JSON"),
                    _query("cursor", STRING, "of long polls: the last Stream-Cursor"),
                    {"name": "Last-Event-ID", "in": "header", "schema": CURSOR, "description": "goes on after it"},
                ],
                {200: _log_answer(), **_bare(204, 304), **_errors(400, 404, 409, 410, 429, 500, 503)},
            )
        },
        f"{place}/log.txt": {
            "get": _operation(
                "The log as a file, also while it grows.",
                [
                    _TASK_ID,
                    run,
                    colour,
                    _query("download", STRING, "1: to be saved"),
                    _query("follow", STRING, "1: until the task has ended"),
                    _query("offset", STRING, "with follow: where to begin"),
                ],
                {**whole, **_errors(409)},
            )
        },
        f"{place}/log.gz": {"get": _operation("The log, compressed.", [_TASK_ID, run, colour], zipped)},
        f"{place}/search": {
            "get": _operation(
                "Where a text stands in a run's output, from a position on; to be asked again from 'to' until 'done'.",
                [
                    _TASK_ID,
                    run,
                    {
                        **_query("q", {"type": "string", "minLength": 1, "maxLength": 1000}, "what to look for"),
                        "required": True,
                    },
                    _query("case", _FLAG, "1: upper and lower case differ"),
                    _query("regex", _FLAG, "1: q is a regular expression, as Python has them"),
                    _query("from", STRING, "<line>-<byte>, the beginning of a line; default: the output's"),
                    _query("limit", {"type": "integer", "minimum": 0, "maximum": 2000, "default": 500}),
                ],
                {200: _json("What was found.", ref("Found")), **_errors(400, 404, 409, 500, 503)},
            )
        },
        f"{place}/marks": {
            "get": _operation(
                "Lines that look like errors and warnings, and groups of lines; from a position on, as with search.",
                [_TASK_ID, run, _query("from", STRING, "<line>-<byte>, the beginning of a line")],
                {200: _json("They.", ref("Marks")), **_errors(400, 404, 409, 500, 503)},
            )
        },
    }


def _log_answer() -> Json:
    text = "Stream-Next-Offset is the cursor after it; Stream-Up-To-Date and Stream-Closed say that there is no more."
    headers = ("Stream-Next-Offset", "Stream-First-Offset", "Stream-Up-To-Date", "Stream-Closed", "Stream-Gap")
    return {
        "description": f"Bytes, lines or events. {text}",
        "headers": {name: {"schema": STRING, "required": False} for name in (*headers, "Stream-Cursor", "ETag")},
        "content": {
            "text/plain": {"schema": STRING},
            "application/octet-stream": {"schema": STRING},
            "text/event-stream": {
                "schema": {"description": "events with their data, and the cursor after each as its id"}
            },
            "application/json": {"schema": ref("Lines")},
        },
    }


def _stirfried() -> Json:
    body = {"required": True, "content": {"application/json": {"schema": ref("Call")}}}
    started = {201: _json("It is sent; data is its id.", ref("Started")), **_failures(400, 403, 404, 413, 429, 503)}
    again = {"content": {"application/json": {"schema": ref("Rerun")}}}
    rerun = {201: _json("It is sent; data is the new id.", ref("Rerunning")), **_failures(400, 403, 404, 409, 413, 429)}
    stop = [
        _query("terminate", {"type": "string", "enum": ["0", "1"]}, "1: also where it runs"),
        _query("grace_s", {"type": "number", "minimum": 0, "maximum": 3600}, "with terminate: seconds until then"),
    ]
    stopped = {200: _json("What becomes of it.", ref("Stopped")), **_failures(400, 403, 404, 409, 429, 500, 503)}
    return {
        "/task": {"post": {**_operation("Start a task.", [], started), "requestBody": body}},
        "/task/{task_id}": {
            "get": _operation(
                "What has become of a task.",
                [_TASK_ID],
                {200: _json("It.", ref("Info")), **_failures(400, 404, 500, 503)},
            ),
            "delete": _operation(
                "Revoke a task: it never begins, or is asked to end, or is terminated.", [_TASK_ID, *stop], stopped
            ),
        },
        "/task/{task_id}/rerun": {
            "post": {
                **_operation("Run a task again.", [_TASK_ID], {**rerun, **_failures(500, 503)}),
                "requestBody": again,
            }
        },
    }


def _machines() -> Json:
    alive = shape(status=STRING, version=STRING)
    figures = {200: _text("Prometheus' format.", "text/plain"), **_errors()}
    few = {name: maybe("number") for name in ("store_ping_ms", "loop_lag_ms", "viewers", "windows_full", "lag_bytes")}
    return {
        "/healthz": {"get": _operation("Whether the server lives.", [], {200: _json("It does.", alive), **_errors()})},
        "/readyz": {
            "get": _operation(
                "Whether Redis answers too.",
                [],
                {200: _json("It does.", shape(status=STRING, store=STRING, **few)), **_errors(503)},
            )
        },
        "/metrics": {"get": _operation("The server's figures.", [], figures)},
    }


def _pages() -> Json:
    page = {200: _text("A page.", "text/html")}
    lines = [_query("run", STRING), _query("line", STRING, "the first line to show")]
    return {
        "/": {"get": _operation("The dashboard.", [], page)},
        "/tasks/{task_id}": {
            "get": _operation(
                "A task's page.", [_TASK_ID, _query("run", STRING)], {**page, **_wrong(400, 404, 500, 503)}
            )
        },
        "/tasks/{task_id}/workflow": {
            "get": _operation(
                "The workflow of a task: its tasks, and their logs as one.",
                [_TASK_ID],
                {**page, **_wrong(400, 404, 500, 503)},
            )
        },
        "/tasks/{task_id}/log": {
            "get": _operation(
                "A task's log without JavaScript.", [_TASK_ID, *lines], {**page, **_wrong(400, 404, 500, 503)}
            )
        },
    }


def _shares() -> Json:
    share = {"schema": ref("Share")}
    made = _operation(
        "A link by which anybody can read the task's log for a while.",
        [_TASK_ID],
        {201: _json("It; the path holds its secret, which is not told again.", ref("MadeShare")), **_errors(400, 404)}
        | _errors(403, 413, 429, 500, 503),
    ) | {"requestBody": {"content": {"application/json": {"schema": ref("ShareWish")}}}}
    ended = {200: {"description": "It was ended.", "content": {"application/json": share}}, **_errors(403, 404, 503)}
    of_audit = [
        _query("who", {"type": "string", "maxLength": 200}, "the caller's name"),
        _query("task_id", {"type": "string", "maxLength": 200}),
        _query("kind", {"type": "string", "enum": list(KINDS)}),
        _query("before", STRING, "the id of an entry: those older than it"),
    ]
    entries = shape(entries=listed(ref("AuditEntry")), next=maybe("string"))
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100})
    opened = shape(task_id=STRING, until={"type": "integer", "description": "ms since the epoch"})
    share_id: Json = {"name": "share_id", "in": "path", "required": True, "schema": STRING}
    return {
        "/api/tasks/{task_id}/shares": {"post": made},
        "/api/shares": {
            "get": _operation(
                "One's own links; for administrators all of them.",
                [_query("task_id", STRING)],
                {200: _json("They.", shape(shares=listed(ref("Share")))), **_errors(403, 503)},
            )
        },
        "/api/shares/{share_id}": {"delete": _operation("End a link.", [share_id], ended)},
        "/api/share": {
            "get": _operation(
                "Where a link leads, whose secret comes as 'Authorization: Share SECRET'.",
                [],
                {200: _json("There.", opened), **_errors(503)},
            )
        },
        "/share": {"get": _operation("The page of a link.", [], {200: _text("A page.", "text/html")})},
        "/api/audit": {
            "get": _operation(
                "What was done by whom, newest first.",
                [*of_audit, limit],
                {200: _json("Entries.", entries), **_errors(400, 403, 503)},
            )
        },
        "/audit": {
            "get": _operation(
                "The same as a page.", of_audit, {200: _text("A page.", "text/html"), **_wrong(400, 403, 503)}
            )
        },
    }


def _access() -> Json:
    form = {"application/x-www-form-urlencoded": {"schema": shape(name=STRING, password=STRING, next=STRING)}}
    out = {"application/x-www-form-urlencoded": {"schema": shape(everywhere=STRING)}}
    on = {303: {"description": "The way on; a login comes with a session's cookie."}}
    page = {200: _text("The login.", "text/html")}
    tried = _operation("Log in.", [], {**on, **_wrong(400, 401, 413, 429, 500, 503)}) | {
        "requestBody": {"content": form}
    }
    left = _operation("Log out, with ``everywhere`` in all browsers.", [], {**on, **_wrong(400, 413, 500, 503)})
    me = shape(name=STRING, by=STRING, role=STRING, abilities={"type": "array", "items": STRING})
    return {
        "/login": {"get": _operation("The login.", [_query("next", STRING)], {**page, **on}), "post": tried},
        "/logout": {"post": left | {"requestBody": {"content": out}}},
        "/api/me": {"get": _operation("Who asks.", [], {200: _json("You.", me), **_errors(401, 503)})},
    }


def _asked(paths: Json) -> Json:
    """The paths, each with the answer to those who are not recognised; a browser is led from a page to the login."""
    for path, methods in paths.items():
        if path == "/healthz":
            continue
        said = _failures(401) if path.startswith("/task/") or path == "/task" else _errors(401)
        for operation in methods.values():
            operation["responses"] |= {"401": said[401]}
    return paths


# ---- parts


def _operation(summary: str, parameters: list[Json], responses: dict[int, Json]) -> Json:
    known = {str(status): responses[status] for status in sorted(responses)}
    return {"summary": summary, "parameters": parameters, "responses": known}


def _query(name: str, schema: Json, description: str = "") -> Json:
    more = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": schema, **more}


def _json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _text(description: str, kind: str) -> Json:
    return {"description": description, "content": {kind: {"schema": STRING}}}


def _errors(*statuses: int) -> dict[int, Any]:
    return {status: _json(_WORDS[status], ref("Error")) for status in statuses}


def _failures(*statuses: int) -> dict[int, Any]:
    return {status: _json(_WORDS[status], ref("Failed")) for status in statuses}


def _wrong(*statuses: int) -> dict[int, Any]:
    return {status: _text(_WORDS[status], "text/html") for status in statuses}


def _bare(*statuses: int) -> dict[int, Any]:
    return {status: {"description": _WORDS[status]} for status in statuses}


_FLAG: Json = {"type": "integer", "enum": [0, 1], "default": 0}
_TASK_ID: Json = {"name": "task_id", "in": "path", "required": True, "schema": TASK_ID}
