"""The gate: who is it that asks? Before every request, at every Socket.IO connection, and again while they last.

A request is asked about once, by the middleware, and carries the answer as ``request[CALLER]``; a viewer carries it as
``viewer.caller``; ``caller_now`` gives it to whatever runs for one of them. Ways to be recognised are tried in their
order, and the first that answers wins. A way says None where nothing of its kind was presented, and NOBODY where
something was that does not hold: then no other way is tried.

Without any way the gate is open, and everyone is OPEN; that is decided when the server starts and never by what is
stored or missing. What cannot be asked (Redis is away) is raised, and lets nobody in.

Must never know: Redis, Celery, tasks, what a caller may do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any

from aiohttp import web

from livetask.access_errors import LoginNeeded
from livetask.server.access.caller import NOBODY, OPEN, Caller
from livetask.server.access.presented import Presented

CALLER = web.RequestKey("CALLER", Caller)

Way = Callable[[Presented], Awaitable[Caller | None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_now: ContextVar[Caller] = ContextVar("livetask_caller", default=NOBODY)


def caller_now() -> Caller:
    """Who asks for what is being done in this context; NOBODY outside of a request and of a viewer's message."""
    return _now.get()


def acting_for(caller: Caller) -> None:
    """From here on, this context does what that caller asks for."""
    _now.set(caller)


class Gate:
    """See the module's docstring. ``ways``: those to be recognised; none: everyone is let in as OPEN."""

    def __init__(self, ways: Sequence[Way] = ()) -> None:
        self._ways = tuple(ways)

    @property
    def is_open(self) -> bool:
        """Nobody is asked who they are."""
        return not self._ways

    async def caller_of(self, presented: Presented) -> Caller:
        """Who presents this; NOBODY if no way recognises it. Raises what a way raises when it cannot be asked."""
        if self.is_open:
            return OPEN
        for way in self._ways:
            caller = await way(presented)
            if caller is not None:
                return caller
        return NOBODY

    async def admitted(self, presented: Presented) -> Caller:
        """Who presents this. Raises LoginNeeded for nobody."""
        caller = await self.caller_of(presented)
        if caller.is_nobody:
            raise LoginNeeded()
        return caller

    @property
    def middleware(self) -> Any:
        """What every request passes, within the middleware that answers errors."""

        @web.middleware
        async def stand(request: web.Request, handler: Handler) -> web.StreamResponse:
            caller = await self.caller_of(presented_by(request))
            request[CALLER] = caller
            acting_for(caller)
            return await handler(request)

        return stand


def presented_by(request: web.Request) -> Presented:
    """What a request brings along."""
    names = {name.lower() for name in request.headers}
    headers = {name: tuple(request.headers.getall(name)) for name in names}
    return Presented(request.remote or "", headers, dict(request.cookies))
