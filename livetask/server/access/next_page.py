"""Where to go after a login: to a page of this server and to nowhere else.

Pure: no I/O, no clock. Must never know: sessions, requests.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

_MOST_CHARACTERS = 2000


def next_checked(given: str) -> str:
    """The path that is given, or '/' if a browser could take it for an address of another place."""
    if not given.startswith("/") or given[1:2] in ("/", "\\") or len(given) > _MOST_CHARACTERS:
        return "/"
    if not given.isprintable() or "\\" in given or " " in given:
        return "/"
    try:
        parts = urlsplit(given)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc else given


def login_address(wanted: str) -> str:
    """The address of the login page that leads on to ``wanted``."""
    goal = next_checked(wanted)
    return "/login" if goal == "/" else f"/login?{urlencode({'next': goal})}"
