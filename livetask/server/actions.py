"""What clients do with tasks that are there: run them again, and stop or run again many at once.

| event | HTTP | answer |
|---|---|---|
| rerun_task {task_id, args?, kwargs?} | POST /task/{id}/rerun | {status, data: the new id, rerun_of} |
| rerun_tasks {task_ids} | | {status, data: [an answer for each, with its task_id]} |
| cancel_tasks {task_ids, terminate?, grace_s?} | | the same |

Must never know: Celery, Redis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from livetask.errors import ArgumentInvalid, TaskIdInvalid
from livetask.keys import task_id_checked
from livetask.server.access.gate import caller_now
from livetask.server.asker import asked_by
from livetask.server.calls import Sender
from livetask.server.edge import json_body
from livetask.server.reruns import Reruns
from livetask.server.stirfried import Event, answered
from livetask.server.stop_words import many_read, stopped_json
from livetask.server.stops import Stops
from livetask.server.wire import failed_json

Json = dict[str, Any]


class Actions:
    """The calls. ``stops``, ``reruns``: do them. ``limit_bytes``: of a body."""

    def __init__(self, stops: Stops, reruns: Reruns, limit_bytes: int) -> None:
        self._stops = stops
        self._reruns = reruns
        self._limit_bytes = limit_bytes

    def events(self) -> Mapping[str, Event]:
        """The Socket.IO events by name: each takes the message and gives the acknowledgement; none raises."""
        return {
            "cancel_tasks": answered(self._cancel_many),
            "rerun_task": answered(self._rerun),
            "rerun_tasks": answered(self._rerun_many),
        }

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [web.post("/task/{task_id}/rerun", self.post_rerun)]

    async def post_rerun(self, request: web.Request) -> web.Response:
        """Run a task again: ``{args?, kwargs?}`` or no body; 201 with the id of the new one."""
        task_id = task_id_checked(request.match_info["task_id"])
        body = await json_body(request, self._limit_bytes) if request.body_exists else {}
        if not isinstance(body, dict):
            raise ArgumentInvalid("body", body, "an object with args and kwargs if they change")
        sender = Sender(name=caller_now().name)
        return web.json_response(await self._rerun_of({"task_id": task_id, **body}, sender), status=201)

    async def _rerun(self, message: object, sender: Sender) -> tuple[Json, tuple[str, ...]]:
        return await self._rerun_of(message, Sender(name=sender.name)), ()

    async def _rerun_of(self, message: object, sender: Sender) -> Json:
        new_id = await self._reruns.rerun(message, sender)
        rerun_of = message.get("task_id") if isinstance(message, dict) else None
        return {"status": "success", "data": new_id, "rerun_of": rerun_of}

    async def _rerun_many(self, message: object, sender: Sender) -> tuple[Json, tuple[str, ...]]:
        task_ids = many_read(message)[0]
        answers = []
        for task_id in task_ids:
            answer, _ = await answered(self._rerun)({"task_id": task_id}, sender)
            answers.append({"task_id": task_id, **answer})
        return {"status": "success", "data": answers}, ()

    async def _cancel_many(self, message: object, _: Sender) -> tuple[Json, tuple[str, ...]]:
        task_ids, terminate, grace_s = many_read(message)
        answers = {task_id: _invalid(task_id) for task_id in task_ids}
        valid = [task_id for task_id, refusal in answers.items() if refusal is None]
        if valid:
            for stopped in await self._stops.stop(valid, by=asked_by(), terminate=terminate, grace_s=grace_s):
                answers[stopped.task_id] = stopped_json(stopped)
        found = [{"task_id": one, **(answers[one] or {})} for one in task_ids]
        return {"status": "success", "data": found}, ()


def _invalid(task_id: str) -> Json | None:
    """The refusal of an id that cannot be one; None if it can."""
    try:
        task_id_checked(task_id)
    except TaskIdInvalid as error:
        return failed_json(error)
    return None
