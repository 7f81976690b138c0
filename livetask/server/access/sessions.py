"""Sessions: whoever has logged in by a browser holds a cookie, and Redis holds its digest.

The cookie is ``<256 random bits>.<signature>``. It is made anew at each login, whatever the browser held before, so a
cookie that somebody else has put there is worth nothing. What this server never signed is refused without asking
Redis.

A session ends by its age, by logging out, when its user is removed, and when the user logs out everywhere or gets
another password: those count up the user's epoch, and a session of an earlier one holds no more.

Must never know: HTTP, Socket.IO, how its user was recognised.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import asdict, dataclass

from livetask.keys import Keys
from livetask.server.access.caller import ROLES, Caller
from livetask.server.access.presented import Presented
from livetask.server.access.secret import Ask, ServerSecret
from livetask.server.access.users import user_read

COOKIE = "livetask_session"

_PURPOSE = "session"
_COOKIE = re.compile(r"([A-Za-z0-9_-]{43})\.([0-9a-f]{64})")
_ID_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Session:
    """What is kept of one. ``role``: None for a user with a password, whose role is the one it has now."""

    name: str
    role: str | None
    epoch: int


class Sessions:
    """See the module's docstring. ``life_s``: how long one lasts."""

    def __init__(self, ask: Ask, keys: Keys, secret: ServerSecret, life_s: int) -> None:
        self._ask = ask
        self._keys = keys
        self._secret = secret
        self.life_s = life_s

    async def epoch(self, name: str) -> int:
        """How often that user has logged out everywhere. To be asked before the password is looked at: a session that
        an old password opens while another one is given is then over at once."""
        (epoch,) = await self._ask([("HGET", self._keys.epochs(), name)])
        return int(epoch or 0)

    async def begin(self, name: str, role: str | None, epoch: int) -> str:
        """The cookie of a new session. ``role``: of a user that livetask does not keep; else None."""
        secret = secrets.token_urlsafe(32)
        session = Session(name, role, epoch)
        text = json.dumps(asdict(session))
        await self._ask([("SET", self._keys.session(_digest(secret)), text, "EX", self.life_s)])
        return f"{secret}.{await self._signature(secret)}"

    async def end(self, cookie: str) -> None:
        """End the session of this cookie, if it is one."""
        digest = await self._digest_of(cookie)
        if digest is not None:
            await self._ask([("DEL", self._keys.session(digest))])

    async def way(self, presented: Presented) -> Caller | None:
        """Whose session is presented; None if there is no cookie or the session has ended.

        An old cookie is no attempt to get in: other ways may still recognise its bearer.
        """
        cookie = presented.cookies.get(COOKIE)
        if not cookie:
            return None
        digest = await self._digest_of(cookie)
        if digest is None:
            return None
        (text,) = await self._ask([("GET", self._keys.session(digest))])
        session = _session_read(text)
        if session is None:
            return None
        epochs, users = ("HGET", self._keys.epochs(), session.name), ("HGET", self._keys.users(), session.name)
        epoch, user_text = await self._ask([epochs, users])
        if session.epoch != int(epoch or 0):
            return None
        role = session.role
        if role is None:
            user = user_read(user_text)
            if user is None:
                return None
            role = user.role
        return Caller(session.name, "session", role, ROLES.get(role, ()), digest[:_ID_CHARACTERS])

    async def _digest_of(self, cookie: str) -> str | None:
        """What the session is kept under, None for what this server never signed."""
        match = _COOKIE.fullmatch(cookie)
        if match is None or not hmac.compare_digest(match[2], await self._signature(match[1])):
            return None
        return _digest(match[1])

    async def _signature(self, secret: str) -> str:
        return hmac.new(await self._secret.key(_PURPOSE), secret.encode(), hashlib.sha256).hexdigest()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _session_read(text: bytes | None) -> Session | None:
    """What is stored, or None if there is nothing or it cannot be read."""
    try:
        return None if text is None else Session(**json.loads(text))
    except (ValueError, TypeError):
        return None
