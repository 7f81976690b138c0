"""Pages of other origins change nothing, and open no Socket.IO connection, unless their origin is listed.

Browsers say whose page a request comes from, and let no page lie about it: by Origin on all that changes something and
on every WebSocket, by Sec-Fetch-Site on everything. A request with neither is no page's: terminals and programs send
none.

Must never know: what a route is for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from yarl import URL

from livetask.server.edge import Handler, refusal

_SAFE = ("GET", "HEAD", "OPTIONS")
_CORS_METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
_CORS_HEADERS = "Authorization, Content-Type, If-None-Match, Last-Event-ID"
_CORS_EXPOSED = (
    "Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, Stream-First-Offset, Stream-Cursor, Stream-Gap, "
    "Stream-SSE-Data-Encoding, ETag"
)
_SOCKETS = "/socket.io"


def origins_checked(allowed: tuple[str, ...]) -> Any:
    """A middleware that refuses what pages of other origins may not do, and answers the preflights of ``allowed``."""

    @web.middleware
    async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
        sockets = request.path.startswith(_SOCKETS)
        acts = request.method not in _SAFE or (sockets and request.method != "OPTIONS")
        if acts and not may_act(request, allowed):
            text = "pages of another origin may not do this: the setting cors_allowed_origins does not list it"
            return await refusal(request, 403, "origin_not_allowed", text)
        if sockets and is_for_script(request):
            # Engine.IO's answers as a script, which any page can load; no client of today asks for them
            return await refusal(request, 400, "bad_request", "answers as a script (JSONP) are not given")
        origin = request.headers.get("Origin", "")
        if request.method == "OPTIONS" and is_listed(origin, allowed) and _is_preflight(request):
            headers = {"Access-Control-Allow-Methods": _CORS_METHODS, "Access-Control-Max-Age": "600"}
            headers["Access-Control-Allow-Headers"] = _CORS_HEADERS
            return web.Response(status=204, headers=headers)
        return await handler(request)

    return check_origin


def may_act(request: web.Request, allowed: tuple[str, ...]) -> bool:
    """Whether a request may change something, or open a connection: it is no other page's, or of one that is listed."""
    origin = request.headers.get("Origin", "")
    return is_listed(origin, allowed) or not _is_foreign(request, origin)


def is_for_script(request: web.Request) -> bool:
    """Whether the answer is wanted as a script."""
    return _names_j(request.rel_url.raw_query_string)


@lru_cache(64)
def _names_j(query: str) -> bool:
    return "j" in URL.build(query_string=query, encoded=True).query


def cors_headers(allowed: tuple[str, ...]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What to append to ``on_response_prepare`` so that pages of ``allowed`` origins may read the API's answers."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        if not allowed or request.path.startswith(_SOCKETS):
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin", "")
        if is_listed(origin, allowed):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _CORS_EXPOSED

    return add


def may_connect(allowed: tuple[str, ...]) -> Callable[[str, Mapping[str, Any]], bool]:
    """What to give Engine.IO as its ``cors_allowed_origins``: the page's own origin, and those listed.

    Its own way compares the scheme too, which it cannot know behind a proxy or with certificates of ours.
    """

    def check(origin: str, environ: Mapping[str, Any]) -> bool:
        if not origin:
            return True
        return is_listed(origin, allowed) or is_same(origin, str(environ.get("HTTP_HOST", "")))

    return check


def is_listed(origin: str, allowed: tuple[str, ...]) -> bool:
    """Whether ``allowed`` has this origin; ``*`` has every one."""
    return bool(origin) and (origin in allowed or "*" in allowed)


def is_same(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` was served by what is reached as ``host``."""
    try:
        found = urlsplit(origin)
        if found.scheme not in ("http", "https") or not found.hostname or found.username is not None:
            return False
        return found.netloc.lower() in (host.lower(), *_with_port(host.lower(), found.scheme))
    except ValueError:
        return False


def _with_port(host: str, scheme: str) -> tuple[str, ...]:
    """A host with its scheme's own port is the same place without it."""
    port = ":443" if scheme == "https" else ":80"
    return (host.removesuffix(port),)


def _is_foreign(request: web.Request, origin: str) -> bool:
    """Whether a browser says that the request comes from a page of another origin."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        return True
    return bool(origin) and not is_same(origin, request.host)


def _is_preflight(request: web.Request) -> bool:
    return "Access-Control-Request-Method" in request.headers
