"""A server that asks who one is, in this process, and those who may come in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from livetask.keys import Keys
from livetask.server.access.passwords import Passwords
from livetask.server.access.secret import ServerSecret
from livetask.server.access.sessions import Sessions
from livetask.server.access.tokens import Tokens
from livetask.server.access.users import Users
from livetask.server.store import Store
from tests.server.serving import Client, served

PASSWORD = "correct horse"


@dataclass
class Stored:
    """What is stored of those who may come in."""

    url: str
    tokens: Tokens
    users: Users
    sessions: Sessions

    async def token(self, name: str = "ci", role: str = "viewer") -> str:
        return (await self.tokens.make(name, role))[0]

    async def session(self, name: str, role: str | None = None) -> dict[str, str]:
        """The cookie of a session, as a header."""
        cookie = await self.sessions.begin(name, role, await self.sessions.epoch(name))
        return {"Cookie": f"livetask_session={cookie}"}


@pytest.fixture
async def stored(redis_url: str) -> AsyncIterator[Stored]:
    passwords = Passwords(log2_n=4)
    async with Store(redis_url) as store:
        ask, keys = store.commands, Keys()
        sessions = Sessions(ask, keys, ServerSecret(ask, keys), 3600)
        yield Stored(redis_url, Tokens(ask, keys), Users(ask, keys, passwords), sessions)
    passwords.close()


@pytest.fixture
async def client(stored: Stored) -> AsyncIterator[Client]:
    """Of a server with ``auth = "required"``."""
    async with served(stored.url, auth="required") as found:
        yield found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
