"""Every request and every message of a viewer is held against what its route or event needs, before anything is done.

This is the outer one of two walls: the parts behind it read tasks through Sight, which hides what may not be viewed,
and ask it before they act on one.

Must never know: Redis, Celery, what the routes do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from typing import Any

from aiohttp import web

from livetask.access_errors import Forbidden, LoginNeeded
from livetask.errors import LivetaskError, NotFound
from livetask.keys import task_id_checked
from livetask.server.access.caller import Caller
from livetask.server.access.needs import Need, need_of_event, need_of_route
from livetask.server.access.policy import may_somewhere
from livetask.server.access.rules import Rules
from livetask.server.access.sight import Sight

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def abilities_checked(sight: Sight, caller_now: Callable[[], Caller], rules: Rules, public: Container[str] = ()) -> Any:
    """A middleware, to stand inside the gate.

    ``rules``: told of refusals and of downloads. ``public``: the routes that the gate lets anybody pass to.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is None:  # nothing is registered there
            return await handler(request)
        need = need_of_route(request.method, resource.canonical)
        if need.ability and resource.canonical not in public:
            try:
                _check(caller_now(), need)
            except Forbidden:
                rules.refused(caller_now(), need.ability, "")
                raise
            if "task_id" in request.match_info and not need.waits:
                await sight.require(task_id_checked(request.match_info["task_id"]), need.ability)
        if need.noted and request.method != "HEAD":
            return await _noted(request, handler, need.noted, rules)
        return await handler(request)

    return check


async def _noted(request: web.Request, handler: Handler, kind: str, rules: Rules) -> web.StreamResponse:
    """The handler's answer, which is noted unless it is a refusal: also one that the client breaks off."""
    task_id = request.match_info["task_id"]
    what = request.path.rpartition("/")[2] if kind == "download" else ""
    try:
        response = await handler(request)
    except (LivetaskError, web.HTTPException):
        raise
    except BaseException:
        rules.done(kind, task_id, what)
        raise
    rules.done(kind, task_id, what)
    return response


def check_event(caller: Caller, name: str, rules: Rules | None = None) -> None:
    """Raise Forbidden if the caller may not send an event of this name at all. ``rules``: told of it."""
    need = need_of_event(name)
    if (caller.by == "share" and not need.shared) or not may_somewhere(caller, need.ability):
        if rules is not None:
            rules.refused(caller, need.ability, "")
        raise Forbidden(need.ability)


def _check(caller: Caller, need: Need) -> None:
    if caller.is_nobody:
        raise LoginNeeded()
    if caller.by == "share" and not need.shared:
        raise NotFound("there is nothing at this address")
    if not may_somewhere(caller, need.ability):
        raise Forbidden(need.ability)
