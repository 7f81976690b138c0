"""How long a request's body may take to arrive: who sends it a byte at a time holds a connection, and memory, for ever.

The parts that read bodies need not know: reading fails once the time is over, and the request is answered with 408.
Headers that never end, and connections that stay silent, are ended by aiohttp's own limit (see `listening`).

Must never know: what a route is for.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from livetask.server.edge import Handler

BODY_S = 15.0
"""For 32 KiB at most: two kilobytes a second."""


def bodies_awaited(within_s: float = BODY_S) -> Any:
    """A middleware that gives a body this long to arrive, counted from its headers."""

    @web.middleware
    async def await_body(request: web.Request, handler: Handler) -> web.StreamResponse:
        body = request.content
        if body.is_eof():
            return await handler(request)
        late = asyncio.get_running_loop().call_later(within_s, _give_up, request)
        try:
            return await handler(request)
        finally:
            late.cancel()

    return await_body


def _give_up(request: web.Request) -> None:
    if not request.content.is_eof():
        request.content.set_exception(web.HTTPRequestTimeout())
