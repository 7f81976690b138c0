"""The OpenAPI document of the whole HTTP API: every route, what it takes, and every answer that it can give.

Served at ``/api/openapi.json``. Written by hand, and held against the code by tests: each route of the server is in it,
it has no others, and what the server answers to generated requests is what it says.
"""

from __future__ import annotations

from aiohttp import web

import livetask
from livetask.server.access.described import logins, shares
from livetask.server.listing.rows import ORDERS
from livetask.server.operations import (
    ON,
    ONE_TASK,
    bare,
    errors,
    failures,
    json_answer,
    operation,
    query,
    text_answer,
    wrong,
)
from livetask.server.schemas import (
    CURSOR,
    FLAG,
    SCHEMAS,
    STRING,
    WHOLE,
    Json,
    maybe,
    ref,
    shape,
)  # fmt: skip


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
        "paths": _asked({**_tasks(), **_logs(), **_stirfried(), **_machines(), **_pages(), **shares()}) | logins(),
        "components": {"schemas": SCHEMAS},
    }


def _tasks() -> Json:
    return {
        "/api/tasks": {
            "get": operation(
                "Tasks, filtered and in order, and how many are in each state. There are no other arguments.",
                [
                    query("q", {"type": "string", "maxLength": 200}, "words, name: state: queue: worker: id:, -word"),
                    query("state", STRING, "some of the states, with commas between them"),
                    query("sort", {"type": "string", "enum": list(ORDERS), "default": "changed"}),
                    query("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}),
                    query("after", STRING, "the next of an answer in the same order: those after it"),
                ],
                {200: json_answer("The tasks.", ref("Tasks")), **errors(400, 503)},
            )
        },
        "/api/tasks/{task_id}": {
            "get": operation(
                "One task with its runs.",
                [ONE_TASK],
                {200: json_answer("It.", ref("Task")), **errors(400, 404, 500, 503)},
            ),
            "delete": operation(
                "Delete what a task that has ended printed and was called with, in Redis and in the archive.",
                [ONE_TASK],
                {
                    200: json_answer("It is done.", shape(id=STRING, deleted=FLAG, archived_bytes=WHOLE)),
                    **errors(400, 403, 404, 409, 500, 503),
                },
            ),
        },
        "/api/archived": {
            "get": operation(
                "Archived tasks, those that ended last first.",
                _ARCHIVED,
                {
                    200: json_answer("Them.", ref("Archived")),
                    **errors(400, 429, 500, 503),
                },
            )
        },
        "/api/tasks/{task_id}/workflow": {
            "get": operation(
                "The tasks that share this task's root: chains, groups and chords; at most 200, the oldest.",
                [ONE_TASK],
                {200: json_answer("They.", ref("Workflow")), **errors(400, 404, 429, 500, 503)},
            )
        },
        "/api/tasks/{task_id}/workflow/log": {
            "get": operation(
                "The logs of at most 50 of them as one. Of each task all comes, once, in order; between tasks by time.",
                [ONE_TASK, query("after", STRING, "the next of the answer before")],
                {200: json_answer("What comes next.", ref("MergedLog")), **errors(400, 404, 429, 500, 503)},
            )
        },
        "/api/startable": {
            "get": operation(
                "The tasks that may be started here, and the form of each, as its workers have published it.",
                [],
                {200: json_answer("They.", ref("Startable")), **errors(503)},
            )
        },
        "/api/openapi.json": {
            "get": operation("This document.", [], {200: json_answer("It.", {"type": "object"}), **errors()})
        },
    }


def _logs() -> Json:
    place = "/api/tasks/{task_id}/runs/{run}"
    run: Json = {"name": "run", "in": "path", "required": True, "schema": STRING, "description": "a number, or last"}
    whole = {200: text_answer("All that is kept.", "text/plain"), **errors(400, 404, 429, 500, 503)}
    colour = query("colour", {"type": "string"}, "0: without escape codes")
    zipped = {200: text_answer("The same, compressed.", "application/gzip"), **errors(400, 404, 429, 500, 503)}
    return {
        f"{place}/log": {
            "get": operation(
                "A run's output: by position as bytes, by line as JSON, or live.",
                [
                    ONE_TASK,
                    run,
                    query("offset", STRING, "-1, now, a cursor or <line>-<byte>"),
                    query("from", STRING, "the same for livetask's own events, which have no offset"),
                    query("live", {"type": "string", "enum": ["sse", "long-poll"]}),
                    query("encoding", {"type": "string", "enum": ["text", "base64"]}, "of server-sent events"),
                    query("line", {"type": "integer", "minimum": 1, "maximum": 10**15}, "lines as JSON, from this one"),
                    query("count", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
                    query("tail", {"type": "integer", "minimum": 1, "maximum": 1000}, "the last lines as JSON"),
                    query("cursor", STRING, "of long polls: the last Stream-Cursor"),
                    {"name": "Last-Event-ID", "in": "header", "schema": CURSOR, "description": "goes on after it"},
                ],
                {200: _log_answer(), **bare(204, 304), **errors(400, 404, 409, 410, 429, 500, 503)},
            )
        },
        f"{place}/log.txt": {
            "get": operation(
                "The log as a file, also while it grows.",
                [
                    ONE_TASK,
                    run,
                    colour,
                    query("download", STRING, "1: to be saved"),
                    query("follow", STRING, "1: until the task has ended"),
                    query("offset", STRING, "with follow: where to begin"),
                ],
                {**whole, **errors(409)},
            )
        },
        f"{place}/log.gz": {"get": operation("The log, compressed.", [ONE_TASK, run, colour], zipped)},
        f"{place}/search": {
            "get": operation(
                "Where a text stands in a run's output, from a position on; to be asked again from 'to' until 'done'.",
                [
                    ONE_TASK,
                    run,
                    {
                        **query("q", {"type": "string", "minLength": 1, "maxLength": 1000}, "what to look for"),
                        "required": True,
                    },
                    query("case", ON, "1: upper and lower case differ"),
                    query("regex", ON, "1: q is a regular expression, as Python has them"),
                    query("from", STRING, "<line>-<byte>, the beginning of a line; default: the output's"),
                    query("limit", {"type": "integer", "minimum": 0, "maximum": 2000, "default": 500}),
                ],
                {200: json_answer("What was found.", ref("Found")), **errors(400, 404, 409, 500, 503)},
            )
        },
        f"{place}/marks": {
            "get": operation(
                "Lines that look like errors and warnings, stderr's lines, groups; from a position on, as with search.",
                [ONE_TASK, run, query("from", STRING, "<line>-<byte>, the beginning of a line")],
                {200: json_answer("They.", ref("Marks")), **errors(400, 404, 409, 500, 503)},
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
    started = {
        201: json_answer("It is sent; data is its id.", ref("Started")),
        **failures(400, 403, 404, 413, 429, 503),
    }
    again = {"content": {"application/json": {"schema": ref("Rerun")}}}
    rerun = {
        201: json_answer("It is sent; data is the new id.", ref("Rerunning")),
        **failures(400, 403, 404, 409, 413, 429),
    }
    stop = [
        query("terminate", {"type": "string", "enum": ["0", "1"]}, "1: also where it runs"),
        query("grace_s", {"type": "number", "minimum": 0, "maximum": 3600}, "with terminate: seconds until then"),
    ]
    stopped = {200: json_answer("What becomes of it.", ref("Stopped")), **failures(400, 403, 404, 409, 429, 500, 503)}
    return {
        "/task": {"post": {**operation("Start a task.", [], started), "requestBody": body}},
        "/task/{task_id}": {
            "get": operation(
                "What has become of a task.",
                [ONE_TASK],
                {200: json_answer("It.", ref("Info")), **failures(400, 404, 500, 503)},
            ),
            "delete": operation(
                "Revoke a task: it never begins, or is asked to end, or is terminated.", [ONE_TASK, *stop], stopped
            ),
        },
        "/task/{task_id}/rerun": {
            "post": {
                **operation("Run a task again.", [ONE_TASK], {**rerun, **failures(500, 503)}),
                "requestBody": again,
            }
        },
    }


def _machines() -> Json:
    alive = shape(status=STRING, version=STRING)
    figures = {200: text_answer("Prometheus' format.", "text/plain"), **errors()}
    few = {name: maybe("number") for name in ("store_ping_ms", "loop_lag_ms", "viewers", "windows_full", "lag_bytes")}
    return {
        "/healthz": {
            "get": operation("Whether the server lives.", [], {200: json_answer("It does.", alive), **errors()})
        },
        "/readyz": {
            "get": operation(
                "Whether Redis answers too.",
                [],
                {200: json_answer("It does.", shape(status=STRING, store=STRING, **few)), **errors(503)},
            )
        },
        "/metrics": {"get": operation("The server's figures.", [], figures)},
    }


_ARCHIVED = [
    query("q", STRING, "a filter as of /api/tasks; a thousand tasks are looked at, the rest by next_before"),
    query("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}),
    query("before", STRING, "next_before of an answer, or a time in ms since 1970"),
]


def _pages() -> Json:
    page = {200: text_answer("A page.", "text/html")}
    lines = [query("run", STRING), query("line", STRING, "the first line to show")]
    return {
        "/": {"get": operation("The dashboard.", [], page)},
        "/archived": {"get": operation("The archived tasks.", _ARCHIVED, {**page, **wrong(400, 429, 500, 503)})},
        "/tasks/{task_id}": {
            "get": operation("A task's page.", [ONE_TASK, query("run", STRING)], {**page, **wrong(400, 404, 500, 503)})
        },
        "/tasks/{task_id}/workflow": {
            "get": operation(
                "The workflow of a task: its tasks, and their logs as one.",
                [ONE_TASK],
                {**page, **wrong(400, 404, 500, 503)},
            )
        },
        "/tasks/{task_id}/log": {
            "get": operation(
                "A task's log without JavaScript.", [ONE_TASK, *lines], {**page, **wrong(400, 404, 500, 503)}
            )
        },
        "/embed/tasks/{task_id}": {
            "get": operation(
                "A task's log alone, for the frames of other pages.",
                [ONE_TASK, *(query(name, STRING) for name in ("run", "wrap", "times", "theme"))],
                {**page, **wrong(400, 404, 500)},
            )
        },
    }


def _asked(paths: Json) -> Json:
    """The paths, each with the answers that any request may get: to those who are not recognised (a browser is led from
    a page to the login), who ask for another server, or whose body does not come."""
    for path, methods in paths.items():
        told = failures if path.startswith("/task/") or path == "/task" else errors
        for one in methods.values():
            said = {**errors(421), **({} if path == "/healthz" else told(401))}
            if "requestBody" in one:
                said |= errors(408)
            one["responses"] |= {str(status): answer for status, answer in said.items()}
    return paths
