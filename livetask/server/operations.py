"""The parts that the OpenAPI document is made of: operations, arguments of a query, answers by their status.

Pure: no I/O, no clock. Must never know: which routes there are.
"""

from __future__ import annotations

from typing import Any

from livetask.server.schemas import STRING, TASK_ID, Json, ref

WORDS = {
    204: "There is nothing, or nothing more will come.",
    304: "What the client has is still right.",
    400: "A value is wrong; the answer says which, and what would be right.",
    401: "The server wants to know who asks; the answer says how to tell it.",
    403: "The task is not in the allow-list, or a page of another origin asks.",
    404: "There is no such task, run or address.",
    408: "The body took too long to arrive.",
    409: "The position is not one of this run; the task has not ended, cannot be stopped, or not run again as it was.",
    410: "What stood there is no longer kept; Stream-First-Offset says what is.",
    413: "The body is too large.",
    421: "The server is not known by the name that was asked for; the setting allowed_hosts says which it has.",
    429: "Too much in too short a time (Retry-After says when to ask again), or too many terminations wait.",
    500: "A bug, or something stored by another version.",
    503: "Redis or the broker does not answer; ask again later.",
}
"""What each status means."""


def operation(summary: str, parameters: list[Json], responses: dict[int, Json]) -> Json:
    """One method of one path."""
    known = {str(status): responses[status] for status in sorted(responses)}
    return {"summary": summary, "parameters": parameters, "responses": known}


def query(name: str, schema: Json, description: str = "") -> Json:
    """An argument of the query."""
    more = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": schema, **more}


def json_answer(description: str, schema: Json) -> Json:
    """An answer as JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def text_answer(description: str, kind: str) -> Json:
    """An answer as text of that kind."""
    return {"description": description, "content": {kind: {"schema": STRING}}}


def errors(*statuses: int) -> dict[int, Any]:
    """Refusals as the API gives them."""
    return {status: json_answer(WORDS[status], ref("Error")) for status in statuses}


def failures(*statuses: int) -> dict[int, Any]:
    """Refusals as Stirfried's clients expect them."""
    return {status: json_answer(WORDS[status], ref("Failed")) for status in statuses}


def wrong(*statuses: int) -> dict[int, Any]:
    """Refusals as pages."""
    return {status: text_answer(WORDS[status], "text/html") for status in statuses}


def bare(*statuses: int) -> dict[int, Any]:
    """Answers without a body."""
    return {status: {"description": WORDS[status]} for status in statuses}


ON: Json = {"type": "integer", "enum": [0, 1], "default": 0}
ONE_TASK: Json = {"name": "task_id", "in": "path", "required": True, "schema": TASK_ID}
