"""The secret that cookies and links are signed with: made once, kept in Redis, shared by all servers on it.

Each purpose has a key of its own, derived from it, so that what was signed for one is worth nothing for another.
Whoever can read this Redis can read all output anyway; the secret keeps out those who cannot.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from livetask.keys import Keys

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]
"""Sends plain commands to Redis, and gives its answers."""

_BYTES = 32
_BELIEVED_S = 30.0


class ServerSecret:
    """See the module's docstring. ``ask``: sends commands. Raises RedisUnavailable wherever it must be read."""

    def __init__(self, ask: Ask, keys: Keys) -> None:
        self._ask = ask
        self._key = keys.secret()
        self._kept = b""
        self._read_at_s = float("-inf")

    async def key(self, purpose: str) -> bytes:
        """The key for one purpose, 32 bytes. What was read is believed for a while; a flush of Redis makes another."""
        if time.monotonic() - self._read_at_s > _BELIEVED_S:
            made = secrets.token_bytes(_BYTES)
            _, self._kept = await self._ask([("SET", self._key, made, "NX"), ("GET", self._key)])
            self._read_at_s = time.monotonic()
        return hmac.digest(self._kept, purpose.encode(), hashlib.sha256)
