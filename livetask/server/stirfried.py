"""Stirfried's API, with its names, fields and answers: send_task, revoke_task, task_info, by Socket.IO and HTTP.

A client written for Stirfried runs unchanged. What differs: an HTTP error has an error's status, and a task that
Celery's result backend knows nothing of is looked for among livetask's own.

Must never know: Celery itself, Redis.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from livetask.errors import BrokerUnavailable, LivetaskError, RedisUnavailable, TaskUnknown
from livetask.keys import task_id_checked
from livetask.server.access.gate import caller_now
from livetask.server.access.sight import Sight
from livetask.server.asker import asked_by
from livetask.server.calls import Sender
from livetask.server.control import Control
from livetask.server.edge import json_body, log_bug
from livetask.server.stop_words import StopWish, stopped_json
from livetask.server.stops import Stops
from livetask.server.wire import failed_json

Json = dict[str, Any]
Event = Callable[[object, Sender], Awaitable[tuple[Json, tuple[str, ...]]]]
"""Takes a message and who sent it; gives the acknowledgement, and the tasks whose events the sender awaits."""

_CELERY_STATES = {"QUEUED": "PENDING", "RUNNING": "STARTED"}


class Stirfried:
    """The calls. ``control``, ``stops``: do them. ``sight``: livetask's own knowledge of a task, as far as the caller
    may see it. ``count``: counts what a body asks for, and raises TooFast. ``limit_bytes``: of a body. The rest are
    settings of the same names.
    """

    def __init__(
        self,
        control: Control,
        stops: Stops,
        sight: Sight,
        count: Callable[[object], None],
        limit_bytes: int,
        *,
        error_info: bool = False,
        sentinel_room: str = "NO_EMIT",
        enable_http: bool = True,
        enable_socketio: bool = True,
        enable_task_info: bool = True,
        enable_revoke_task: bool = True,
    ) -> None:
        self._control = control
        self._stops = stops
        self._sight = sight
        self._count = count
        self._limit_bytes = limit_bytes
        self._error_info = error_info
        self._sentinel_room = sentinel_room
        self._enable_http = enable_http
        self._enable_socketio = enable_socketio
        self._enable_task_info = enable_task_info
        self._enable_revoke_task = enable_revoke_task

    def events(self) -> Mapping[str, Event]:
        """The Socket.IO events by name, those that are enabled; none raises."""
        if not self._enable_socketio:
            return {}
        found = {"send_task": answered(self._send)}
        if self._enable_revoke_task:
            found["revoke_task"] = answered(self._revoke)
        if self._enable_task_info:
            found["task_info"] = answered(self._info)
        return found

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes, those that are enabled."""
        found = []
        if self._enable_http:
            found.append(web.post("/task", self.post))
        if self._enable_http and self._enable_task_info:
            found.append(web.get("/task/{task_id}", self.get))
        if self._enable_http and self._enable_revoke_task:
            found.append(web.delete("/task/{task_id}", self.delete))
        return found

    # ---- Socket.IO

    async def _send(self, message: object, sender: Sender) -> tuple[Json, tuple[str, ...]]:
        sent = await self._control.start(message, sender)
        answer: Json = {"status": "success", "data": sent.task_id}
        if sent.chained:
            answer["chain"] = list(sent.chained)
        return answer, (sent.task_id, *sent.chained)

    async def _revoke(self, message: object, _: Sender) -> tuple[Json, tuple[str, ...]]:
        wish = StopWish.parse(message)
        await self._sight.require(wish.task_id, "cancel")
        (stopped,) = await self._stops.stop(
            [wish.task_id], by=asked_by(), terminate=wish.terminate, grace_s=wish.grace_s
        )
        return stopped_json(stopped.checked()), ()

    async def _info(self, message: object, _: Sender) -> tuple[Json, tuple[str, ...]]:
        task_id = task_id_checked(message.get("task_id") if isinstance(message, dict) else message)
        try:
            return await self._found(task_id), ()
        except TaskUnknown:
            return {"id": task_id, "state": "PENDING", "result": None}, ()

    # ---- HTTP

    async def post(self, request: web.Request) -> web.Response:
        """Start a task: ``{task_name, args, kwargs, room, chain, queue, countdown, priority}``; 201 with its id."""
        headers = {name.lower().replace("_", "-"): value for name, value in request.headers.items()}
        sender = Sender(self._sentinel_room, False, headers, caller_now().name)
        message = await json_body(request, self._limit_bytes)
        self._count(message)
        answer, _ = await self._send(message, sender)
        return web.json_response(answer, status=201)

    async def get(self, request: web.Request) -> web.Response:
        """What is known of a task: ``{id, state, result}``, whatever has become of it; 404 if nothing is."""
        task_id = task_id_checked(request.match_info["task_id"])
        found = await self._found(task_id)
        found["result"] = shown_in_json(found["result"])
        return web.json_response(found, headers={"Cache-Control": "no-store"})

    async def delete(self, request: web.Request) -> web.Response:
        """Revoke a task, with ``?terminate=1`` also where it runs, with ``&grace_s=5`` when it has not ended by then.

        404 if nothing is known of it; 409 if it runs and its pool cannot end it.
        """
        task_id = task_id_checked(request.match_info["task_id"])
        wish = StopWish.of_query(task_id, request.query)
        await self._found(task_id)
        await self._sight.require(task_id, "cancel")
        (stopped,) = await self._stops.stop(
            [wish.task_id], by=asked_by(), terminate=wish.terminate, grace_s=wish.grace_s
        )
        return web.json_response(stopped_json(stopped.checked()))

    # ---- both

    async def _found(self, task_id: str) -> dict[str, Any]:
        """Celery's answer if it has one, else livetask's own in Celery's words. Raises TaskUnknown, Unavailable."""
        await self._sight.require(task_id, "view")
        away: BrokerUnavailable | None = None
        try:
            fate = await self._control.info(task_id)
            if fate.state != "PENDING":
                return {"id": task_id, "state": fate.state, "result": self._result(fate.state, fate.result)}
        except BrokerUnavailable as error:
            away = error
        try:
            task = await self._sight.task(task_id)
        except RedisUnavailable as error:
            raise (away or error) from None
        if task is None:
            raise away or TaskUnknown(task_id)
        state = _CELERY_STATES.get(task.state, task.state)
        return {"id": task_id, "state": state, "result": self._result(state, task.result)}

    def _result(self, state: str, result: Any) -> Any:
        """What a task failed with is told only where error_info allows it."""
        return None if state == "FAILURE" and not self._error_info else result


def shown_in_json(result: Any) -> Any:
    """A result as HTTP has it: what JSON cannot hold, bytes above all, as its repr."""
    try:
        json.dumps(result, allow_nan=False)
    except (TypeError, ValueError):
        return repr(result)
    return result


def answered(call: Event) -> Event:
    """The call as an event that never raises: an error is an answer with its code."""

    async def answer(message: object, sender: Sender) -> tuple[Json, tuple[str, ...]]:
        try:
            return await call(message, sender)
        except LivetaskError as error:
            return failed_json(error), ()
        except Exception as error:
            log_bug(call.__name__, error)
            return {"status": "failed", "data": "something went wrong inside livetask", "code": "internal"}, ()

    return answer
