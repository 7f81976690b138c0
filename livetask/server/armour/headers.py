"""What answers forbid the browser: the headers that every page and every file carries.

Pages run own files only, and make no markup from text: output, names and arguments can then be nothing but text,
whatever they hold. Trusted Types enforce that in the browser itself.

Must never know: what a route is for, other than by the path that it is asked under.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

EMBED = "/embed/"
"""Under this path lie the pages that others may frame, if the setting frame_ancestors lists them."""

_STATIC = "/static/"
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_POWERS = (
    "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid", "magnetometer",
    "microphone", "midi", "payment", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
_PERMISSIONS = ", ".join(f"{power}=()" for power in _POWERS)


def security_headers(
    frame_ancestors: tuple[str, ...] = (),
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What to append to ``on_response_prepare``. ``frame_ancestors``: origins that may frame the pages under EMBED.

    Browsers are made to ask before they use a stored file again: they get a short 304 by its ETag, so that an upgrade
    never mixes old and new modules.
    """

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        static = request.path.startswith(_STATIC)
        # files hold nothing of anybody's, and the log element is used by pages of other origins
        headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if static else "same-origin")
        if static:
            headers["Cache-Control"] = "no-cache"
        if response.content_type == "text/html":
            framed = frame_ancestors if request.path.startswith(EMBED) else ()
            headers.setdefault("Cache-Control", "no-store")
            headers.setdefault("Content-Security-Policy", content_security_policy(request.host, framed))
            # not no-referrer: with it a browser sends 'Origin: null' with the forms of our own pages
            headers.setdefault("Referrer-Policy", "same-origin")
            headers.setdefault("Permissions-Policy", _PERMISSIONS)
            headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
            if not framed:
                headers.setdefault("X-Frame-Options", "DENY")

    return add


def content_security_policy(host: str, frame_ancestors: tuple[str, ...] = ()) -> str:
    """The policy for pages that were asked for at ``host``: own files only, no markup made from text.

    ``'self'`` covers a WebSocket to the same place in today's browsers; older ones need it spelled out.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"connect-src 'self'{sockets}",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'self'",
            f"frame-ancestors {_sources(frame_ancestors)}",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _sources(frame_ancestors: tuple[str, ...]) -> str:
    return " ".join("'self'" if one == "self" else one for one in frame_ancestors) or "'none'"
