"""Tokens: for programs, and for people in a terminal. Made and revoked by ``livetask token``.

A token is ``ltk_<id>_<secret>``; the secret is 256 random bits and shown once. What is stored is its SHA-256. A slow
hash makes guessing dear where secrets can be guessed; nobody guesses 256 bits, so here it would only make every request
dear.

Must never know: HTTP, Socket.IO, what a token's role allows.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import asdict, dataclass

from livetask.access_errors import CredentialUnknown
from livetask.errors import ArgumentInvalid
from livetask.keys import Keys
from livetask.server.access.caller import NOBODY, ROLES, Caller
from livetask.server.access.presented import Presented
from livetask.server.access.secret import Ask

_MARK = "ltk_"
_TOKEN = re.compile(r"ltk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,49}")
_DAY_S = 24 * 3600
_MOST_DAYS = 36_500
NAME_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Token:
    """One token, without its secret. ``expires_at_s``: Unix time; 0 for never. ``digest``: SHA-256 of the secret."""

    token_id: str
    name: str
    role: str
    made_at_s: int
    expires_at_s: int
    digest: str

    def has_expired(self, now_s: float) -> bool:
        return 0 < self.expires_at_s <= now_s


class Tokens:
    """See the module's docstring. ``ask``: sends commands to Redis; its RedisUnavailable passes through."""

    def __init__(self, ask: Ask, keys: Keys) -> None:
        self._ask = ask
        self._key = keys.tokens()

    async def make(self, name: str, role: str, days: int | None = None) -> tuple[str, Token]:
        """A new token, as it is to be shown this once, and what is kept of it. Raises ArgumentInvalid."""
        name_checked(name)
        role_checked(role)
        if days is not None and not 1 <= days <= _MOST_DAYS:
            raise ArgumentInvalid("days", days, f"1 to {_MOST_DAYS} days")
        now_s = int(time.time())
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        expires_at_s = now_s + days * _DAY_S if days else 0
        token = Token(token_id, name, role, now_s, expires_at_s, _digest(secret))
        await self._ask([("HSET", self._key, token_id, json.dumps(asdict(token)))])
        return f"ltk_{token_id}_{secret}", token

    async def all(self) -> list[Token]:
        """All tokens, the newest first; those that have expired too."""
        (flat,) = await self._ask([("HVALS", self._key)])
        found = [token for text in flat if (token := _token_read(text)) is not None]
        return sorted(found, key=lambda token: token.made_at_s, reverse=True)

    async def revoke(self, token_id: str) -> None:
        """Take a token back: whoever holds it is out within a minute, also of what they are looking at."""
        (removed,) = await self._ask([("HDEL", self._key, token_id)])
        if not removed:
            raise CredentialUnknown("token", token_id)

    async def way(self, presented: Presented) -> Caller | None:
        """The holder of the token that is presented; None if it is none of ours, NOBODY if it does not hold."""
        if not presented.token.startswith(_MARK):
            return None  # somebody else's: another way may know it
        match = _TOKEN.fullmatch(presented.token)
        if match is None:
            return NOBODY
        (text,) = await self._ask([("HGET", self._key, match[1])])
        token = _token_read(text)
        if token is None or not hmac.compare_digest(token.digest, _digest(match[2])):
            return NOBODY
        if token.has_expired(time.time()):
            return NOBODY
        return Caller(token.name, "token", token.role, ROLES.get(token.role, ()), token.token_id)


def role_checked(role: object) -> str:
    """The role unchanged if it can be one's name. Raises ArgumentInvalid.

    One that is not built in gives nothing but what the setting ``rights`` gives to it.
    """
    if not isinstance(role, str) or _ROLE.fullmatch(role) is None:
        raise ArgumentInvalid("role", role, f"{', '.join(ROLES)}, or one from the setting rights: a-z 0-9 _ -")
    return role


def name_checked(name: object) -> str:
    """The name unchanged if it is one that can be shown in a line. Raises ArgumentInvalid."""
    fits = isinstance(name, str) and 0 < len(name) <= NAME_CHARACTERS and name.isprintable() and name == name.strip()
    if not isinstance(name, str) or not fits:
        raise ArgumentInvalid("name", name, f"1 to {NAME_CHARACTERS} printable characters without blanks around them")
    return name


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token_read(text: bytes | None) -> Token | None:
    """What is stored, or None if it cannot be read."""
    try:
        return None if text is None else Token(**json.loads(text))
    except (ValueError, TypeError):
        return None
