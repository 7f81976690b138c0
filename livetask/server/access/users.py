"""Users with passwords, made and removed by ``livetask user``.

Must never know: HTTP, Socket.IO, what a user's role allows, how a password is hashed.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace

from livetask.access_errors import CredentialUnknown, UserExists
from livetask.keys import Keys
from livetask.server.access.passwords import Passwords, password_checked
from livetask.server.access.secret import Ask
from livetask.server.access.tokens import name_checked, role_checked


@dataclass(frozen=True, slots=True)
class User:
    """One user. ``made_at_s``: Unix time. ``password``: its hash."""

    name: str
    role: str
    made_at_s: int
    password: str


class Users:
    """See the module's docstring. ``ask``: sends commands to Redis; its RedisUnavailable passes through."""

    def __init__(self, ask: Ask, keys: Keys, passwords: Passwords) -> None:
        self._ask = ask
        self._keys = keys
        self._passwords = passwords

    async def make(self, name: str, role: str, password: str) -> User:
        """A new user. Raises ArgumentInvalid, UserExists."""
        name_checked(name)
        role_checked(role)
        kept = await self._passwords.hashed(password_checked(password))
        user = User(name, role, int(time.time()), kept)
        (made,) = await self._ask([("HSETNX", self._keys.users(), name, json.dumps(asdict(user)))])
        if not made:
            raise UserExists(name)
        return user

    async def all(self) -> list[User]:
        """All users by name."""
        (texts,) = await self._ask([("HVALS", self._keys.users())])
        found = [user for text in texts if (user := user_read(text)) is not None]
        return sorted(found, key=lambda user: user.name)

    async def find(self, name: str) -> User | None:
        """The user of that name."""
        (text,) = await self._ask([("HGET", self._keys.users(), name)])
        return user_read(text)

    async def change_password(self, name: str, password: str) -> None:
        """Give another password, and end all sessions of the user. Raises CredentialUnknown, ArgumentInvalid."""
        user = await self.find(name)
        if user is None:
            raise CredentialUnknown("user", name)
        kept = await self._passwords.hashed(password_checked(password))
        text = json.dumps(asdict(replace(user, password=kept)))
        await self._ask([("HSET", self._keys.users(), name, text)])
        await self.log_out_everywhere(name)

    async def remove(self, name: str) -> None:
        """Remove a user and end all its sessions. Raises CredentialUnknown."""
        (removed,) = await self._ask([("HDEL", self._keys.users(), name)])
        if not removed:
            raise CredentialUnknown("user", name)
        await self.log_out_everywhere(name)

    async def log_out_everywhere(self, name: str) -> None:
        """End all sessions of that name, those of other ways to log in too."""
        await self._ask([("HINCRBY", self._keys.epochs(), name, 1)])

    async def with_password(self, name: str, password: str) -> User | None:
        """The user, if that is its password; whether the name or the password is wrong takes equally long."""
        user = await self.find(name)
        fits = await self._passwords.fits(password, None if user is None else user.password)
        return user if fits else None


def user_read(text: bytes | None) -> User | None:
    """What is stored, or None if it cannot be read."""
    try:
        return None if text is None else User(**json.loads(text))
    except (ValueError, TypeError):
        return None
