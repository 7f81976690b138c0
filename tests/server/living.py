"""The live half of the server on a real port, and viewers that check what they are told as they are told it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Self

import socketio
from aiohttp import web

from livetask.position import Cursor
from livetask.server.live import Live
from livetask.server.store import Store


async def until(what: str, holds: Callable[[], Any], timeout_s: float = 90) -> None:
    """Wait for a condition."""
    try:
        async with asyncio.timeout(timeout_s):
            while not holds():  # noqa: ASYNC110 - a condition of any kind
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited {timeout_s} s in vain until {what}") from None


class Serving:
    """A server. ``store``: None for one of its own. ``given``: settings of Live."""

    def __init__(self, redis_url: str, prefix: str, port: int = 0, store: Store | None = None, **given: Any) -> None:
        self._redis_url, self._prefix, self._given = redis_url, prefix, given
        self._store = store
        self.port = port

    async def __aenter__(self) -> Self:
        self.store = self._store or Store(self._redis_url, prefix=self._prefix)
        self.live = Live(self.store, **self._given)
        app = web.Application()
        self.live.attach(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self.store.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Seen:
    """What a viewer was told of one task. Output and gaps must join without a hole and without an overlap."""

    def __init__(self) -> None:
        self.text: dict[int, bytearray] = defaultdict(bytearray)
        self.start: dict[int, int] = {}
        self.at: dict[int, Cursor] = {}
        self.gaps: list[dict[str, Any]] = []
        self.ends: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.skipped = 0
        self.events: list[tuple[str, dict[str, Any]]] = []

    def output(self, data: dict[str, Any]) -> None:
        cursor = Cursor.parse(data["cursor"])
        raw = data["data"] if "data" in data else data["text"].encode()
        self._follows(cursor.run, data["from"], data.get("skipped", 0))
        self.skipped += data.get("skipped", 0)
        if "data" in data or "\ufffd" not in data["text"]:
            assert len(raw) == cursor.position.byte - int(data["from"].split("-")[1])
        self.text[cursor.run] += raw
        self.at[cursor.run] = cursor

    def gap(self, data: dict[str, Any]) -> None:
        cursor = Cursor.parse(data["cursor"])
        self._follows(cursor.run, data["from"], 0)
        self.gaps.append(data)
        self.at[cursor.run] = cursor

    def _follows(self, run: int, start: str, skipped: int) -> None:
        byte = int(start.split("-")[1])
        if run in self.at:
            expected = self.at[run].position.byte + skipped
            assert byte == expected, f"a piece at {byte} where {expected} comes next"
        else:
            self.start[run] = byte


class Viewer:
    """A client of python-socketio. ``acks``: whether it acknowledges what it takes over."""

    def __init__(self, serving: Serving, *, acks: bool = True, transports: tuple[str, ...] = ("websocket",)) -> None:
        self._serving, self._acks, self._transports = serving, acks, list(transports)
        self.io = socketio.AsyncClient(reconnection=False)
        self.tasks: dict[str, Seen] = defaultdict(Seen)
        self.others: list[tuple[str, Any]] = []
        self.errors: list[BaseException] = []
        for name in ("output", "gap", "caught_up", "run", "reset", "end", "grown"):
            self.io.on(name, self._taking(name))
        for name in ("task", "unlisted", "counts", "heartbeat", "store", "bye"):
            self.io.on(name, self._keeping(name))

    async def __aenter__(self) -> Self:
        await self.io.connect(self._serving.url, transports=self._transports)
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(90):
                await self.io.disconnect()
        assert not self.errors, self.errors

    def _taking(self, name: str) -> Callable[[dict[str, Any]], Awaitable[None]]:
        async def take(data: dict[str, Any]) -> None:
            seen = self.tasks[data["task_id"]]
            seen.names.append(name)
            seen.events.append((name, data))
            try:
                if name == "output":
                    seen.output(data)
                elif name == "gap":
                    seen.gap(data)
                elif name == "end":
                    seen.ends.append(data)
                elif name == "reset" and data["cursor"]:
                    run = int(data["cursor"].split(".")[0])
                    seen.text.pop(run, None)
                    seen.at.pop(run, None)
            except BaseException as error:
                self.errors.append(error)
                raise
            if self._acks and name in ("output", "gap"):
                await self.io.emit("ack", {"task_id": data["task_id"], "cursor": data["cursor"]})

        return take

    def _keeping(self, name: str) -> Callable[[Any], Awaitable[None]]:
        async def keep(data: Any) -> None:
            self.others.append((name, data))

        return keep

    async def ask(self, event: str, data: Any) -> dict[str, Any]:
        answer = await self.io.call(event, data, timeout=90)
        assert isinstance(answer, dict)
        return answer

    async def subscribe(self, task_id: str, **given: Any) -> dict[str, Any]:
        if "whence" in given:
            given["from"] = given.pop("whence")
        return await self.ask("subscribe", {"task_id": task_id, **given})

    async def ended(self, task_id: str, count: int = 1) -> Seen:
        seen = self.tasks[task_id]
        await until(f"{task_id} has ended", lambda: len(seen.ends) >= count or self.errors)
        assert not self.errors, self.errors
        return seen
