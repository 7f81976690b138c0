"""What the tests of the HTTP side stand on: a Redis, a writer in place of a worker, servers, a broker that hangs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from aiohttp.test_utils import TestClient, TestServer
from celery import Celery

from livetask.keys import Keys, alive_member, bucket_of
from livetask.position import START, Position
from livetask.scripts import script
from livetask.server.app import make_app
from livetask.settings import Settings
from tests.real import warm
from tests.real.warm import Warm
from tests.system.rig import CHECKOUT, Redis

Client = TestClient[Any, Any]
DAY_MS = "86400000"


@contextmanager
def a_redis(directory: Path) -> Iterator[Redis]:
    """A Redis of our own that ends with the block."""
    store = Redis(directory).start("no")
    try:
        yield store
    finally:
        store.end()


@pytest.fixture(scope="module")
def redis_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis for all tests of a module, which says ``store = redis_of_the_module``."""
    with a_redis(tmp_path_factory.mktemp("redis") / "data") as found:
        yield found


@pytest.fixture
async def client_of_the_store(store: Redis) -> AsyncIterator[Client]:
    """A client of the whole app over the module's ``store``, as it is without any setting."""
    async with served(store.url) as found:
        yield found


@pytest.fixture
def new_task_id() -> str:
    """An id that no other test has."""
    return uuid4().hex


@pytest.fixture
def writer_of_the_task(store: Redis, task_id: str) -> Writer:
    """Of a run of the module's ``task_id``, which has begun."""
    return Writer(store.url, task_id).begin()


class Writer:
    """Writes one run into Redis as a worker does, by the same scripts. Blocks for a round trip at a time."""

    def __init__(self, url: str, task_id: str, nonce: str = "abcdefghijkl", cap_bytes: int = 8 << 20) -> None:
        self.redis = redis.Redis.from_url(url)
        self.task_id = task_id
        self.nonce = nonce
        self.run = "1"
        self.at = START
        self.all = b""
        self._cap = str(cap_bytes)
        self._keys = Keys()
        self._bucket = bucket_of(task_id)

    def begin(self, name: str = "a.task", why: str = "first") -> Writer:
        fields = json.dumps({"name": name, "args": "(1,)", "kwargs": "{}"})
        run = json.dumps({"why": why, "host": "here", "pid": "7", "worker": "w", "begun_at": "1700000000000"})
        keys = [self._keys.task(self.task_id), *self._shared("alive", "recent", "bell")]
        keys.append(self._keys.output(self.task_id, self.nonce))
        args = [self.task_id, self.nonce, "0", "1-0", "", DAY_MS, "20000", "1000", "50", fields, run]
        self.run = str(self._call("begin", keys, args)[0])
        return self

    def write(self, data: bytes, sgr: bytes = b"", at_ms: int = 0, stderr: bytes = b"") -> Writer:
        end = self.at.after(data)
        more = [
            *([b"s", sgr] if sgr else []),
            *([b"t", str(at_ms)] if at_ms else []),
            *([b"x", stderr] if stderr else []),
        ]
        self._append(end, [b"d", data, *more])
        self.all += data
        return self

    def drop(self, end: Position) -> Writer:
        """An explicit gap up to ``end``."""
        self._append(end, [b"g", b"dropped", b"e", str(end)])
        return self

    def finish(self, how: str = "SUCCESS", state: str | None = None) -> Writer:
        keys = [self._keys.task(self.task_id), self._keys.output(self.task_id, self.nonce)]
        keys += self._shared("alive", "recent", "bell")
        crc = f"{zlib.crc32(self.all):08x}"
        args = [
            self.task_id,
            self.run,
            self.nonce,
            str(self.at),
            how,
            "{}",
            crc,
            state or how,
            DAY_MS,
            "1000",
            "",
            "{}",
        ]
        assert self._call("finish", keys, args)[0] == b"OK"
        return self

    def give_up(self) -> Writer:
        """Let the lease of the run be over."""
        member = alive_member(self.task_id, int(self.run), self.nonce)
        self.redis.zadd(self._keys.alive(self._bucket), {member: 1})
        return self

    def _append(self, end: Position, fields: list[Any]) -> None:
        keys = [self._keys.task(self.task_id), self._keys.output(self.task_id, self.nonce)]
        keys += self._shared("bell", "watched")
        args = [self.task_id, self.run, self.nonce, str(self.at), str(end), self._cap, DAY_MS, *fields]
        assert self._call("append", keys, args)[0] == b"OK"
        self.at = end

    def _shared(self, *names: str) -> list[str]:
        return [getattr(self._keys, name)(self._bucket) for name in names]

    def _call(self, name: str, keys: list[str], args: list[Any]) -> Any:
        return self.redis.eval(script(name).text, len(keys), *keys, *args)


@asynccontextmanager
async def served(url: str, celery_app: Celery | None = None, **settings: Any) -> AsyncIterator[Client]:
    """The whole app in this process, and a client of it."""
    flags = {"redis_url": url, "broker_timeout_s": 20, **settings}
    app = make_app(Settings.load(flags=flags), celery_app)
    async with TestClient(TestServer(app)) as client:
        yield client


class ServerProcess:
    """``livetask serve``, or another command that serves, as a process. ``url``: what its line says."""

    def __init__(self, process: subprocess.Popen[bytes] | Warm, url: str) -> None:
        self.process = process
        self.url = url

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].partition("/")[0])

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.process.send_signal(number)
        return await self.ended(30)

    async def ended(self, within_s: float) -> int:
        """Wait for the end; the exit status. Raises subprocess.TimeoutExpired."""
        return await asyncio.to_thread(self.process.wait, within_s)


@asynccontextmanager
async def a_server(
    *words: str, command: tuple[str, ...] = ("-m", "livetask", "serve"), more_path: str = "", **environ: str
) -> AsyncIterator[ServerProcess]:
    """Start a server on a free port and wait for its line. ``more_path``: where it finds modules as well."""
    line = [sys.executable, *command, *words, "--port", "0"]
    env = clean_environ(PYTHONPATH=f"{CHECKOUT}:{more_path}".removesuffix(":"), **environ)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as said:
        try:
            process = warm.started(line, writing, 2, env, CHECKOUT)
        finally:
            os.close(writing)
        server = ServerProcess(process, "")
        try:
            first = await asyncio.wait_for(asyncio.to_thread(said.readline), 90)
            found = re.fullmatch(r"livetask is at (http://\S+:\d+/\S*)\n", first.decode())
            assert found, f"expected the line that says where the server is, got {first!r}"
            server.url = found[1]
            yield server
        finally:
            await server.stop(signal.SIGKILL)


def clean_environ(**more: str) -> dict[str, str]:
    """The environment without this machine's settings of livetask."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIVETASK_")}
    return kept | {"PYTHONPATH": str(CHECKOUT)} | more


@asynccontextmanager
async def a_silent_broker() -> AsyncIterator[str]:
    """The URL of a broker that takes connections and never answers."""
    open_: list[asyncio.StreamWriter] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.append(writer)

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        for writer in open_:
            writer.close()
        server.close()


@contextmanager
def slow_callbacks(limit_s: float = 0.05) -> Iterator[list[str]]:
    """The callbacks that held the running loop up for longer.

    asyncio's debug mode tells them too, but takes one that waits for a processor, on a machine that is busy with
    something else, for one that blocks.
    """
    slow: list[str] = []
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        had_waited_s, began_s = _waited_s(), time.monotonic()
        run(handle)
        took_s = time.monotonic() - began_s
        if took_s > limit_s and took_s - (_waited_s() - had_waited_s) > limit_s:
            slow.append(f"{getattr(handle._callback, '__self__', handle)!r} took {took_s:.3f} s")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        yield slow


def _waited_s() -> float:
    """How long the threads of this process, of which one at a time runs Python, were ready to run but did not."""
    waited_ns = 0
    for figures in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):
            waited_ns += int(figures.read_bytes().split()[1])
    return waited_ns / 1e9


async def until(what: str, seen: Any, within_s: float = 90) -> Any:
    """Await ``seen()`` until it gives something true, which is returned."""
    async with asyncio.timeout(within_s):
        while not (found := await seen()):  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)
    assert found, what
    return found
