"""By which names the server is known: a request that asks for another one is refused.

Without this a page of any site could reach a server on the reader's own machine: the site's name is made to lead to
127.0.0.1 once its page is open (DNS rebinding), and the browser then takes both for one origin. Such a request asks for
the site's name, so a name that was not listed is refused. An address written in figures cannot be made to lead
elsewhere, and is always taken.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address

ANY = "*"

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")


def name_of(host: str) -> str | None:
    """The name or address in a Host header, in lower case and without port and brackets; None if it is none."""
    found = _HOST.fullmatch(host)
    return None if found is None else found["name"].strip("[]").rstrip(".").lower()


def is_known(host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a request with this Host header is for us.

    ``allowed``: names in lower case; ``*.example.org`` stands for all names below example.org, ``*`` for every name.
    Addresses in figures and names of the own machine (localhost) are always ours.
    """
    if ANY in allowed:
        return True
    name = name_of(host)
    if name is None:
        return False
    return name in allowed or _is_own(name) or any(_is_below(name, one) for one in allowed)


@lru_cache(256)
def _is_own(name: str) -> bool:
    """Browsers take localhost and what is below it to the own machine, whatever a name server says."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_below(name: str, pattern: str) -> bool:
    return pattern.startswith("*.") and name.endswith(pattern[1:]) and len(name) >= len(pattern)
