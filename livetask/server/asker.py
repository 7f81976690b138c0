"""Who asks: noted with what they have stopped.

The caller's name where the gate knows one, else the address that the request comes from. What is known of the asker
belongs to the request, so that no part has to hand it on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from aiohttp import web

from livetask.server.access.caller import NOBODY
from livetask.server.access.gate import acting_for, caller_now

_asker: ContextVar[str] = ContextVar("livetask_asker", default="")


def asked_by() -> str:
    """Who asks for what is being done in this context, '' if that is not known."""
    return caller_now().name or _asker.get()


def asked_from() -> str:
    """The address that whatever is done in this context was asked from, '' if that is not known."""
    return _asker.get()


def note_asker(address: str) -> None:
    """From here on, this context does what somebody at that address asks for, of whom no more is known yet."""
    acting_for(NOBODY)  # a connection serves many, one after the other: nothing of the one before is left
    _asker.set(address)


def asker_noted(address_of: Callable[[web.Request], str]) -> Any:
    """The middleware that notes who asks; what comes over a Socket.IO connection belongs to its request.

    ``address_of``: where a request comes from, which behind a proxy is not where the connection comes from.
    """

    @web.middleware
    async def note(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        note_asker(address_of(request))
        return await handler(request)

    return note
