"""Passwords: hashed with scrypt, off the event loop, a few at a time.

scrypt comes with Python (by OpenSSL), so that no package is needed for it. The cost is OWASP's for scrypt, 32 MiB and
about a third of a second; it is written into each hash, so that it can be raised for those that come.

Two at a time: a flood of logins takes 64 MiB and two threads, and others wait in line, which is bounded too.

Must never know: who the password belongs to.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from livetask.errors import ArgumentInvalid, TooMany

LEAST_CHARACTERS = 8
MOST_CHARACTERS = 256

_LOG2_N, _R, _P = 15, 8, 3
_MOST_MEMORY = 128 * 1024 * 1024
_AT_ONCE = 2
_WAITING = 64

T = TypeVar("T")


class Passwords:
    """Hashes and checks. ``close`` it. ``log2_n``: the cost; lower for tests only."""

    def __init__(self, log2_n: int = _LOG2_N) -> None:
        self._log2_n = log2_n
        self._threads = ThreadPoolExecutor(_AT_ONCE, "livetask-passwords")
        self._waiting = 0
        self._nobodys = ""

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hashed(self, password: str) -> str:
        """What is to be kept of a password."""
        return await self._run(lambda: _hash(password, self._log2_n))

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether it is the password. ``kept``: None for a user that does not exist, which takes as long."""
        if kept is None:
            self._nobodys = self._nobodys or await self.hashed(secrets.token_hex())
            await self._run(lambda: _check(password, self._nobodys))
            return False
        return await self._run(lambda: _check(password, kept))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING:
            raise TooMany("logins", _WAITING)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def password_checked(password: str) -> str:
    """The password unchanged if it is neither too short nor too long. Raises ArgumentInvalid, without showing it."""
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        wanted = f"{LEAST_CHARACTERS} to {MOST_CHARACTERS} characters"
        raise ArgumentInvalid("password", len(password), wanted)
    return password


def _hash(password: str, log2_n: int) -> str:
    salt = secrets.token_bytes(16)
    key = _scrypt(password, salt, log2_n, _R, _P)
    return "$".join(("scrypt", str(log2_n), str(_R), str(_P), _text(salt), _text(key)))


def _check(password: str, kept: str) -> bool:
    try:
        kind, log2_n, r, p, salt, key = kept.split("$")
        found = _scrypt(password, base64.b64decode(salt), int(log2_n), int(r), int(p))
        return kind == "scrypt" and hmac.compare_digest(found, base64.b64decode(key))
    except (ValueError, MemoryError):
        return False  # what is stored cannot be read


def _scrypt(password: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=1 << log2_n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
