"""Stirfried's API, with its names, fields and answers: send_task, revoke_task, task_info, by Socket.IO and HTTP.

A client written for Stirfried runs unchanged. What differs: an HTTP error has an error's status, and a task that
Celery's result backend knows nothing of is looked for among livetask's own.

Must never know: Celery itself, Redis.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from livetask.errors import BrokerUnavailable, LivetaskError, RedisUnavailable, TaskUnknown
from livetask.keys import task_id_checked
from livetask.server.asker import asked_by
from livetask.server.control import Control
from livetask.server.edge import json_body, log_bug
from livetask.server.stop_words import StopWish, stopped_json
from livetask.server.stops import Stops
from livetask.server.tasks import Task
from livetask.server.wire import failed_json

Event = Callable[[object], Awaitable[dict[str, Any]]]
Look = Callable[[str], Awaitable[Task | None]]

_CELERY_STATES = {"QUEUED": "PENDING", "RUNNING": "STARTED"}


class Stirfried:
    """The calls. ``control``, ``stops``: do them. ``look``: livetask's own knowledge of a task. ``limit_bytes``: of a
    body.
    """

    def __init__(self, control: Control, stops: Stops, look: Look, limit_bytes: int) -> None:
        self._control = control
        self._stops = stops
        self._look = look
        self._limit_bytes = limit_bytes

    def events(self) -> Mapping[str, Event]:
        """The Socket.IO events by name: each takes the message and gives the acknowledgement; none raises."""
        return {
            "send_task": answered(self._send),
            "revoke_task": answered(self._revoke),
            "task_info": answered(self._info),
        }

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.post("/task", self.post),
            web.get("/task/{task_id}", self.get),
            web.delete("/task/{task_id}", self.delete),
        ]

    # ---- Socket.IO

    async def _send(self, message: object) -> dict[str, Any]:
        return {"status": "success", "data": await self._control.send(message)}

    async def _revoke(self, message: object) -> dict[str, Any]:
        wish = StopWish.parse(message)
        (stopped,) = await self._stops.stop(
            [wish.task_id], by=asked_by(), terminate=wish.terminate, grace_s=wish.grace_s
        )
        return stopped_json(stopped.checked())

    async def _info(self, message: object) -> dict[str, Any]:
        task_id = task_id_checked(message.get("task_id") if isinstance(message, dict) else message)
        try:
            return await self._found(task_id)
        except TaskUnknown:
            return {"id": task_id, "state": "PENDING", "result": None}

    # ---- HTTP

    async def post(self, request: web.Request) -> web.Response:
        """Start a task: ``{task_name, args, kwargs, queue, countdown, priority}``; 201 with its id."""
        task_id = await self._control.send(await json_body(request, self._limit_bytes))
        return web.json_response({"status": "success", "data": task_id}, status=201)

    async def get(self, request: web.Request) -> web.Response:
        """What is known of a task: ``{id, state, result}``, whatever has become of it; 404 if nothing is."""
        task_id = task_id_checked(request.match_info["task_id"])
        return web.json_response(await self._found(task_id), headers={"Cache-Control": "no-store"})

    async def delete(self, request: web.Request) -> web.Response:
        """Revoke a task, with ``?terminate=1`` also where it runs, with ``&grace_s=5`` when it has not ended by then.

        404 if nothing is known of it; 409 if it runs and its pool cannot end it.
        """
        task_id = task_id_checked(request.match_info["task_id"])
        wish = StopWish.of_query(task_id, request.query)
        await self._found(task_id)
        (stopped,) = await self._stops.stop(
            [wish.task_id], by=asked_by(), terminate=wish.terminate, grace_s=wish.grace_s
        )
        return web.json_response(stopped_json(stopped.checked()))

    # ---- both

    async def _found(self, task_id: str) -> dict[str, Any]:
        """Celery's answer if it has one, else livetask's own in Celery's words. Raises TaskUnknown, Unavailable."""
        away: BrokerUnavailable | None = None
        try:
            fate = await self._control.info(task_id)
            if fate.state != "PENDING":
                return {"id": task_id, "state": fate.state, "result": fate.result}
        except BrokerUnavailable as error:
            away = error
        try:
            task = await self._look(task_id)
        except RedisUnavailable as error:
            raise (away or error) from None
        if task is None:
            raise away or TaskUnknown(task_id)
        return {"id": task_id, "state": _CELERY_STATES.get(task.state, task.state), "result": task.result}


def answered(call: Event) -> Event:
    """The call as an event that never raises: an error is an answer with its code."""

    async def answer(message: object) -> dict[str, Any]:
        try:
            return await call(message)
        except LivetaskError as error:
            return failed_json(error)
        except Exception as error:
            log_bug(call.__name__, error)
            return {"status": "failed", "data": "something went wrong inside livetask", "code": "internal"}

    return answer
