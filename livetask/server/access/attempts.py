"""How many logins have failed of late, by name and by address: Redis counts, so that all servers share the count.

An attempt is counted before it is looked at, and taken back when it succeeds, so that many at once gain nothing. A name
has ten times the room of an address: otherwise anybody could keep a user out by failing in its name.

Must never know: HTTP, passwords.
"""

from __future__ import annotations

import hashlib

from livetask.access_errors import LoginsTooMany
from livetask.keys import Keys
from livetask.server.access.secret import Ask

WINDOW_S = 15 * 60
_NAME_ROOM = 10


class Attempts:
    """See the module's docstring. ``most``: how many may fail from one address in a quarter of an hour."""

    def __init__(self, ask: Ask, keys: Keys, most: int) -> None:
        self._ask = ask
        self._keys = keys
        self._most = most

    async def count(self, name: str, address: str) -> None:
        """Count one attempt. Raises LoginsTooMany."""
        for key, most in self._limits(name, address):
            _, number, left_s = await self._ask(
                [("SET", key, 0, "EX", WINDOW_S, "NX"), ("INCR", key), ("TTL", key)],
            )
            if int(number) > most:
                raise LoginsTooMany(max(1, int(left_s)))

    async def succeeded(self, name: str, address: str) -> None:
        """Take the attempt back."""
        await self._ask([("DECR", key) for key, _ in self._limits(name, address)])

    def _limits(self, name: str, address: str) -> tuple[tuple[str, int], ...]:
        return (
            (self._keys.failures(_short("address", address)), self._most),
            (self._keys.failures(_short("name", name)), self._most * _NAME_ROOM),
        )


def _short(kind: str, text: str) -> str:
    """A name of its own for each text, however long: what clients send is no part of a key."""
    return f"{kind}:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:32]}"
