"""The gate: who is it that asks? Before every request, at every Socket.IO connection, and again while they last.

A request is asked about once, by the middleware, and carries the answer as ``request[CALLER]``; a viewer carries it as
``viewer.caller``; ``caller_now`` gives it to whatever runs for one of them. Ways to be recognised are tried in their
order, and the first that answers wins. A way says None where nothing of its kind was presented, and NOBODY where
something was that does not hold: then no other way is tried.

Without any way the gate is open, and everyone is OPEN; that is decided when the server starts and never by what is
stored or missing. With one, nobody passes unrecognised but to the few routes that are named as public. What cannot be
asked (Redis is away) is raised, and lets nobody in.

Must never know: Redis, Celery, tasks, what a caller may do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from aiohttp import web

from livetask.access_errors import LoginNeeded
from livetask.errors import LivetaskError
from livetask.server.access.caller import NOBODY, OPEN, Caller
from livetask.server.access.next_page import login_address
from livetask.server.access.presented import Presented
from livetask.server.access.standing import AGAIN_S, Loss, Standing
from livetask.server.listening import BASE

CALLER = web.RequestKey("CALLER", Caller)
PRESENTED = web.RequestKey("PRESENTED", Presented)
GATE: web.AppKey[Gate] = web.AppKey("GATE")
LOST = web.RequestKey("LOST", Loss)
"""Set when a request is ended because its caller is not recognised any more."""

SOCKETS = "/socket.io/"
"""Its connections are asked about when they say who they are, which is after their first request."""

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
    """See the module's docstring.

    ``ways``: those to be recognised; none: everyone is let in as OPEN. ``public``: the routes that anybody may ask for,
    as aiohttp writes them. ``again_s``: how often those who stay are looked at again. ``granted``: gives
    those who are recognised the rights that are theirs.
    """

    def __init__(
        self,
        ways: Sequence[Way] = (),
        public: Iterable[str] = (),
        again_s: float = AGAIN_S,
        granted: Callable[[Caller], Caller] = lambda caller: caller,
    ) -> None:
        self._ways = tuple(ways)
        self._granted = granted
        self._public = frozenset(public)
        self.standing = Standing(self, again_s)

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
                return caller if caller.is_nobody else self._granted(caller)
        return NOBODY

    async def admitted(self, presented: Presented) -> Caller:
        """Who presents this. Raises LoginNeeded for nobody."""
        caller = await self.caller_of(presented)
        if caller.is_nobody:
            raise LoginNeeded("what was presented is not valid (any more)" if presented.token else "")
        return caller

    @property
    def middleware(self) -> Any:
        """What every request passes, within the middleware that answers errors."""

        @web.middleware
        async def stand(request: web.Request, handler: Handler) -> web.StreamResponse:
            acting_for(NOBODY)
            if self.is_open:
                return await _as(OPEN, request, handler)
            if _route_of(request) in self._public:
                return await _as(await self._perhaps(request), request, handler)
            presented = presented_by(request)
            try:
                caller = await self.admitted(presented)
            except LoginNeeded:
                if _is_navigation(request):
                    raise web.HTTPSeeOther(request.app.get(BASE, "") + login_address(request.path_qs)) from None
                raise
            with self._staying(request, presented, caller):
                return await _as(caller, request, handler)

        return stand

    async def _perhaps(self, request: web.Request) -> Caller:
        """Who asks for something public; NOBODY too where that cannot be found out."""
        if _route_of(request) in (SOCKETS, "/static"):
            return NOBODY  # not worth asking
        try:
            return await self.caller_of(presented_by(request))
        except LivetaskError:
            return NOBODY

    @contextmanager
    def _staying(self, request: web.Request, presented: Presented, caller: Caller) -> Iterator[None]:
        """Have the request looked at again as long as it lasts. One that has to go is cancelled; raises LoginNeeded."""
        task = asyncio.current_task()
        assert task is not None

        async def lost(loss: Loss) -> None:
            request[LOST] = loss
            task.cancel()

        stay = self.standing.enter(presented, caller, lost)
        try:
            yield
        except asyncio.CancelledError:
            if LOST not in request or task.uncancel() > 0:
                raise
            raise LoginNeeded(request[LOST].reason) from None
        finally:
            self.standing.leave(stay)


async def _as(caller: Caller, request: web.Request, handler: Handler) -> web.StreamResponse:
    request[CALLER] = caller
    acting_for(caller)
    return await handler(request)


def presented_by(request: web.Request) -> Presented:
    """What a request brings along."""
    if PRESENTED in request:
        return request[PRESENTED]
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in request.headers.items():
        name = name.lower()
        headers[name] = (*headers.get(name, ()), value)
    found = request[PRESENTED] = Presented(request.remote or "", headers, dict(request.cookies))
    return found


def _route_of(request: web.Request) -> str:
    """The route that answers the request, '' if there is none."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


def _is_navigation(request: web.Request) -> bool:
    """A person's browser asks for a page, and can be led to the login."""
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get("Accept", "")
