"""A server to attack, with one finished task in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.server import small_app
from tests.server.serving import Client, Writer, redis_of_the_module, served
from tests.system.rig import Redis

TASK = "3b1f0c9e-0d5c-4f3e-9a44-5f6f3f0d7a11"


store = redis_of_the_module


@pytest.fixture
async def client(store: Redis) -> AsyncIterator[Client]:
    """The whole app, which may start the task ``add``."""
    writer = Writer(store.url, TASK).begin().write(b"the secret of the house\n")
    async with served(store.url, small_app.make(store.url), available_tasks=("add",)) as found:
        yield found
    writer.redis.flushall()
    writer.redis.close()
