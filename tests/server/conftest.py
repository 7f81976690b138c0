"""A real Valkey, a store on it, and a server of the live half on a real port."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis

from livetask.server.archive import leafing
from livetask.server.archive import store as archived_store
from livetask.server.store import Store
from livetask.service.embedded import find_program
from tests.real.redis_servers import RealRedis, running_server
from tests.real.writer import RunWriter
from tests.server.living import Serving

Write = Callable[..., RunWriter]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    with running_server(find_program().path, tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[RealRedis]:
    """One that the test may kill."""
    with running_server(find_program().path, tmp_path) as server:
        yield server


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive is looked through for a minute and waited for as long: on a slow machine a part of its list would be
    shorter than it says here, and a screen would begin with what is at hand."""
    monkeypatch.setattr(leafing, "_LOOKING_S", 60.0)
    monkeypatch.setattr(archived_store, "PATIENCE_S", 60.0)


@pytest.fixture
def prefix() -> str:
    """A livetask of one's own on the shared Valkey."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
def client(valkey: RealRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url) as found:
        yield found


@pytest.fixture
def writer(client: redis.Redis, prefix: str) -> Write:
    """Makes writers of runs: ``writer("task-1")``."""

    def make(task_id: str = "task-1", **given: object) -> RunWriter:
        return RunWriter(client, task_id, prefix=prefix, **given)  # type: ignore[arg-type]

    return make


@pytest.fixture
async def store(valkey: RealRedis, prefix: str) -> AsyncIterator[Store]:
    async with Store(valkey.url, prefix=prefix) as found:
        yield found


@pytest.fixture
async def serving(valkey: RealRedis, prefix: str) -> AsyncIterator[Serving]:
    """The live half of the server, listening."""
    async with Serving(valkey.url, prefix) as found:
        yield found
