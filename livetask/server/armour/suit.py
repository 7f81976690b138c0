"""The armour put together: what the application puts before its routes, and what it adds to every answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web, web_response

from livetask.server.armour.headers import security_headers
from livetask.server.armour.hosts import is_known
from livetask.server.armour.origins import cors_headers, is_for_script, may_act, origins_checked
from livetask.server.armour.patience import BODY_S, bodies_awaited
from livetask.server.edge import Handler, refusal


@dataclass(frozen=True, slots=True)
class Suit:
    """``hosts``: names that the server is known by, besides its addresses. ``origins``: others whose pages may act.

    ``frame_ancestors``: origins that may frame the pages made for it. ``body_s``: how long a request's body may take
    to arrive.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()
    body_s: float = BODY_S

    def middlewares(self) -> list[Any]:
        """In their order; they stand inside of what answers errors, and before what asks who somebody is."""
        return [hosts_checked(self.hosts), origins_checked(self.origins), bodies_awaited(self.body_s)]

    def passes(self, request: web.Request) -> bool:
        """Whether all of these middlewares would let a request for a WebSocket pass."""
        return is_asked_for_us(request, self.hosts) and may_act(request, self.origins) and not is_for_script(request)

    def attach(self, app: web.Application) -> None:
        """Add to every answer what belongs to it."""
        app.on_response_prepare.append(cors_headers(self.origins))
        app.on_response_prepare.append(security_headers(self.frame_ancestors))
        # aiohttp tells its and Python's versions, also where it answers by itself what is no request at all
        web_response.SERVER_SOFTWARE = "livetask"  # type: ignore[attr-defined]


def is_asked_for_us(request: web.Request, allowed: tuple[str, ...]) -> bool:
    """Whether a request names one of our hosts, or none at all."""
    names = request.headers.getall("Host", [])
    return not names or (len(names) == 1 and is_known(names[0], allowed))


def hosts_checked(allowed: tuple[str, ...]) -> Any:
    """A middleware that refuses requests for names that are not ours.

    A request that names no host at all is no browser's, and is taken.
    """

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_asked_for_us(request, allowed):
            text = (
                "this server is not known by the name that was asked for: add it to the setting allowed_hosts "
                "(LIVETASK_ALLOWED_HOSTS), or use its address"
            )
            return await refusal(request, 421, "host_not_allowed", text)
        return await handler(request)

    return check_host
