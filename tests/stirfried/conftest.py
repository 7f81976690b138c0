"""A Redis, a worker with Stirfried's tasks, and server processes that serve them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import socketio

from tests.server.serving import ServerProcess, a_server
from tests.system.rig import Redis, Running


@dataclass
class Place:
    """A Redis and a worker on it. ``environ``: of the processes that serve them."""

    url: str
    directory: Path
    pool: str
    environ: dict[str, str]
    worker: Running | None = None

    def start_worker(self) -> None:
        words = [sys.executable, "-m", "celery", "-A", "tests.stirfried.app", "worker", "-P", self.pool, "-c", "3"]
        words += ["--without-mingle", "--without-gossip", "-l", "INFO"]
        self.worker = Running.start(words, self.directory / f"log-{time.monotonic_ns()}", self.environ)
        self.worker.wait_for_log("ready.")

    def kill_worker(self) -> None:
        """SIGKILL to all its processes at once."""
        assert self.worker is not None
        os.killpg(self.worker.process.pid, signal.SIGKILL)
        self.worker.process.wait(90)

    @asynccontextmanager
    async def server(self) -> AsyncIterator[ServerProcess]:
        """A server process, as `celery -A ... livetask`."""
        command = ("-m", "celery", "-A", "tests.stirfried.app", "livetask")
        async with a_server(command=command, **self.environ) as server:
            yield server


@contextlib.contextmanager
def a_place(directory: Path, pool: str = "prefork", **environ: str) -> Iterator[Place]:
    store = Redis(directory / "redis").start("no")
    known = {
        "LIVETASK_TEST_STIRFRIED_URL": store.url,
        "LIVETASK_SPOOL_DIR": str(directory),
        "LIVETASK_FLUSH_MS": "5",
        **environ,
    }
    place = Place(store.url, directory, pool, known)
    try:
        place.start_worker()
        yield place
    finally:
        if place.worker is not None:
            place.worker.end()
        store.end()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """With the default serializer."""
    with a_place(tmp_path_factory.mktemp("stirfried")) as found:
        yield found


@pytest.fixture(scope="session")
def packed_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """With the serializer msgpack, and errors told."""
    more = {"LIVETASK_TEST_STIRFRIED_SERIALIZER": "msgpack", "LIVETASK_TEST_STIRFRIED_ERRORS": "1"}
    with a_place(tmp_path_factory.mktemp("packed"), **more) as found:
        yield found


class Client:
    """A client of python-socketio that keeps what it is told."""

    NAMES = ("on_progress", "on_retry", "on_failure", "on_success", "on_return", "output", "end")

    def __init__(self, url: str, serializer: str = "default", **headers: str) -> None:
        self._url, self._headers = url, headers
        self.io = socketio.AsyncClient(reconnection=False, serializer=serializer)
        self.told: list[tuple[str, dict[str, Any]]] = []
        for name in self.NAMES:
            self.io.on(name, self._keeping(name))

    async def __aenter__(self) -> Self:
        await self.io.connect(self._url, transports=["websocket"], headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(90):
                await self.io.disconnect()

    def _keeping(self, name: str) -> Callable[[dict[str, Any]], Any]:
        async def keep(data: dict[str, Any]) -> None:
            self.told.append((name, data))

        return keep

    async def ask(self, event: str, data: Any) -> dict[str, Any]:
        answer = await self.io.call(event, data, timeout=90)
        assert isinstance(answer, dict)
        return answer

    async def send(self, name: str, *args: Any, **more: Any) -> str:
        answer = await self.ask("send_task", {"task_name": name, "args": list(args), **more})
        assert answer["status"] == "success", answer
        return str(answer["data"])

    def of(self, task_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The task's own events, in the order in which they came."""
        return [(name, data) for name, data in self.told if name.startswith("on_") and data["task_id"] == task_id]

    def names(self, task_id: str) -> list[str]:
        return [name for name, _ in self.of(task_id)]

    async def until(self, task_id: str, name: str = "on_return", count: int = 1) -> list[tuple[str, dict[str, Any]]]:
        """The task's events, once that one has come."""
        async with asyncio.timeout(90):
            while self.names(task_id).count(name) < count:  # noqa: ASYNC110 - told by another task
                await asyncio.sleep(0.01)
        return self.of(task_id)


Connect = Callable[..., AbstractAsyncContextManager[Client]]
