"""The routes of the login, of share links and of the audit, as the OpenAPI document has them.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from livetask.server.access.audit import KINDS
from livetask.server.operations import ONE_TASK, errors, json_answer, operation, query, text_answer, wrong
from livetask.server.schemas import STRING, Json, listed, maybe, ref, shape


def shares() -> Json:
    """Links and the audit."""
    share = {"schema": ref("Share")}
    made = operation(
        "A link by which anybody can read the task's log for a while.",
        [ONE_TASK],
        {
            201: json_answer("It; the path holds its secret, which is not told again.", ref("MadeShare")),
            **errors(400, 404),
        }
        | errors(403, 413, 429, 500, 503),
    ) | {"requestBody": {"content": {"application/json": {"schema": ref("ShareWish")}}}}
    ended = {200: {"description": "It was ended.", "content": {"application/json": share}}, **errors(403, 404, 503)}
    of_audit = [
        query("who", {"type": "string", "maxLength": 200}, "the caller's name"),
        query("task_id", {"type": "string", "maxLength": 200}),
        query("kind", {"type": "string", "enum": list(KINDS)}),
        query("before", STRING, "the id of an entry: those older than it"),
    ]
    entries = shape(entries=listed(ref("AuditEntry")), next=maybe("string"))
    limit = query("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100})
    opened = shape(task_id=STRING, until={"type": "integer", "description": "ms since the epoch"})
    share_id: Json = {"name": "share_id", "in": "path", "required": True, "schema": STRING}
    return {
        "/api/tasks/{task_id}/shares": {"post": made},
        "/api/shares": {
            "get": operation(
                "One's own links; for administrators all of them.",
                [query("task_id", STRING)],
                {200: json_answer("They.", shape(shares=listed(ref("Share")))), **errors(403, 503)},
            )
        },
        "/api/shares/{share_id}": {"delete": operation("End a link.", [share_id], ended)},
        "/api/share": {
            "get": operation(
                "Where a link leads, whose secret comes as 'Authorization: Share SECRET'.",
                [],
                {200: json_answer("There.", opened), **errors(503)},
            )
        },
        "/share": {"get": operation("The page of a link.", [], {200: text_answer("A page.", "text/html")})},
        "/api/audit": {
            "get": operation(
                "What was done by whom, newest first.",
                [*of_audit, limit],
                {200: json_answer("Entries.", entries), **errors(400, 403, 503)},
            )
        },
        "/audit": {
            "get": operation(
                "The same as a page.", of_audit, {200: text_answer("A page.", "text/html"), **wrong(400, 403, 503)}
            )
        },
    }


def logins() -> Json:
    """Logging in and out."""
    form = {"application/x-www-form-urlencoded": {"schema": shape(name=STRING, password=STRING, next=STRING)}}
    out = {"application/x-www-form-urlencoded": {"schema": shape(everywhere=STRING)}}
    on = {303: {"description": "The way on; a login comes with a session's cookie."}}
    page = {200: text_answer("The login.", "text/html")}
    tried = operation("Log in.", [], {**on, **wrong(400, 401, 413, 429, 500, 503)}) | {"requestBody": {"content": form}}
    left = operation("Log out, with ``everywhere`` in all browsers.", [], {**on, **wrong(400, 413, 500, 503)})
    me = shape(name=STRING, by=STRING, role=STRING, abilities={"type": "array", "items": STRING})
    return {
        "/login": {"get": operation("The login.", [query("next", STRING)], {**page, **on}), "post": tried},
        "/logout": {"post": left | {"requestBody": {"content": out}}},
        "/api/me": {"get": operation("Who asks.", [], {200: json_answer("You.", me), **errors(401, 503)})},
    }
