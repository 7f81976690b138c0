"""Five kinds of viewers that keep what they are given: Socket.IO in both modes, SSE, long polls, the Python client.

Each is a context manager that follows one task until ``done``, over every break, from where its record stands. What
is refused or cut is asked again after a short while; none of them mends or hides anything.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Self

import aiohttp
import socketio

from livetask.client import Client
from livetask.client.items import Gap, Notice, Output, Reset, RunEnded, TaskEnded
from livetask.errors import LivetaskError
from livetask.position import START, Cursor, Position
from tests.oracle.record import Again, Back, End, Given, Hole, Lines, Record

AGAIN_S = 0.1
SILENCE_S = 20.0
"""Heartbeats come every 5 s, or 15 while nothing moves: a connection without one for so long is given up."""

_LINES_AT_ONCE = 1000


class Viewer:
    """``url``: of the server, or of what stands before it. ``done``: the task has ended for this viewer."""

    name = ""

    def __init__(self, url: str, task_id: str) -> None:
        self.url = url
        self.task_id = task_id
        self.record = Record(self.name, self.name.startswith("screen"))
        self.done = asyncio.Event()
        self.connects = 0
        self._moved_s = time.monotonic()
        self._cursor: Cursor | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def ended(self, within_s: float) -> None:
        """Wait until it is done; raises what its task raised."""
        waiting = asyncio.ensure_future(self.done.wait())
        assert self._task is not None
        await asyncio.wait({waiting, self._task}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done() and not self.done.is_set():
            self._task.result()
        at, ends = self._cursor, [end.how for end in self.record.ends]
        assert self.done.is_set(), (
            f"{self.name}: not done within {within_s:g} s, stands at {at}, {self.connects} connects, told of "
            f"{len(ends)} ends, the last {ends[-3:]}, {time.monotonic() - self._moved_s:.0f} s after its last output"
        )

    async def _follow(self) -> None:
        """Follow until the end, connection by connection."""
        while not self.done.is_set():
            self.record.add(Again())
            with suppress(OSError, TimeoutError, aiohttp.ClientError, socketio.exceptions.ConnectionError):
                await self._once()
            if not self.done.is_set():
                await asyncio.sleep(AGAIN_S)

    async def _once(self) -> None:
        raise NotImplementedError

    # ---- what comes

    def _given(self, start: Position, cursor: Cursor, data: bytes, skipped: int = 0) -> None:
        self.record.add(Given(start, cursor, data, skipped))
        self._cursor = cursor
        self._moved_s = time.monotonic()

    def _hole(self, start: Position, cursor: Cursor, reason: str) -> None:
        self.record.add(Hole(start, cursor, reason))
        self._cursor = cursor

    def _back(self, run: int, cursor: Cursor | None, reason: str) -> None:
        self.record.add(Back(run, cursor, reason))
        self._cursor = cursor

    def _end(self, cursor: Cursor, how: str, crc: str | None) -> None:
        self.record.add(End(cursor, how, crc or ""))
        self._cursor = cursor

    def _took(self, event: str, wire: dict[str, Any]) -> None:
        """Take an event of the server, as Socket.IO and SSE have it."""
        cursor = Cursor.parse(wire["cursor"]) if wire.get("cursor") else None
        if event == "reset":
            self._back(wire["run"], cursor, wire["reason"])
        elif event == "run" and wire["run"]["how"] is None:
            self.record.add(Again())  # Redis had lost its end, and it is told anew when it is there again
        elif cursor is None:
            return
        elif event == "output":
            data = wire["data"] if "data" in wire else wire["text"].encode()
            self._given(Position.parse(wire["from"]), cursor, data, wire.get("skipped", 0))
        elif event == "gap":
            self._hole(Position.parse(wire["from"]), cursor, wire["reason"])
        elif event == "end":
            self._end(cursor, wire["how"], wire["crc"])


class SocketViewer(Viewer):
    """Socket.IO with python-socketio, mode ``all``; bytes, acknowledged."""

    name = "all"
    wish: dict[str, Any] = {"mode": "all", "binary": True}  # noqa: RUF012 - it is only read
    acks = True

    async def _once(self) -> None:
        # a session of ours: the client leaves its own one open where it cannot connect
        async with aiohttp.ClientSession() as session:
            await self._over_session(session)

    async def _over_session(self, session: aiohttp.ClientSession) -> None:
        client = socketio.AsyncClient(reconnection=False, logger=False, engineio_logger=False, http_session=session)
        heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        for name in ("output", "gap", "reset", "end", "run", "heartbeat", "bye", "disconnect"):
            client.on(name, _putting(heard, name))
        try:
            async with asyncio.timeout(10):
                await client.connect(self.url, transports=["websocket"], wait_timeout=5)
                self.connects += 1
                if not await self._subscribed(client):
                    return
            await self._hear(client, heard)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await client.shutdown()

    async def _subscribed(self, client: Any) -> bool:
        """Whether the server takes it; what it refuses it is asked again later, a position unknown too."""
        begin = str(self._cursor) if self._cursor else "start"
        answer = await client.call("subscribe", {"task_id": self.task_id, "from": begin, "wait": True, **self.wish})
        return bool(answer and answer.get("ok"))

    async def _hear(self, client: Any, heard: asyncio.Queue[tuple[str, Any]]) -> None:
        while True:
            async with asyncio.timeout(SILENCE_S):
                event, wire = await heard.get()
            if event in ("disconnect", "bye"):
                return
            if event == "heartbeat":
                continue
            self._took(event, wire)
            if self.acks and event in ("output", "gap"):
                await client.emit("ack", {"task_id": self.task_id, "cursor": wire["cursor"]})
            # a run that is lost may yet turn out to live
            if event == "end" and wire["last"] and wire["how"] != "LOST":
                if await self._over():
                    self.done.set()
                return  # and if it could not read what it still wants, it comes back

    async def _over(self) -> bool:
        return True


class PlainViewer(SocketViewer):
    """The same as a plain client that asks for text and never acknowledges."""

    name = "all, plain"
    wish = {"mode": "all"}  # noqa: RUF012
    acks = False


class ScreenViewer(SocketViewer):
    """Socket.IO, mode ``screen``: the newest lines; all others are read by their numbers when the task has ended."""

    name = "screen"
    wish = {"mode": "screen", "binary": True}  # noqa: RUF012

    def __init__(self, url: str, task_id: str) -> None:
        super().__init__(url, task_id)
        self._read_to: dict[int, int] = {}

    async def _over(self) -> bool:
        runs = {item.cursor.run for item in self.record.items if isinstance(item, Given | End)}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            for run in sorted(runs):
                if not await self._read(session, run):
                    return False
        return True

    async def _read(self, session: aiohttp.ClientSession, run: int) -> bool:
        """Read all lines of a run, those from where an earlier try stopped."""
        complete = False
        while not complete:
            line = self._read_to.get(run, 1)
            query = {"line": str(line), "count": str(_LINES_AT_ONCE)}
            async with session.get(f"{self.url}/api/tasks/{self.task_id}/runs/{run}/log", params=query) as answer:
                if answer.status != 200:
                    return False
                found = await answer.json()
            if not found["ended"]:
                return False  # Redis has lost the end, and is being sent it again
            if not found["lines"]:
                return True
            self.record.add(Lines(run, found["first_line"], tuple(found["lines"])))
            line = self._read_to[run] = found["first_line"] + len(found["lines"])
            complete = len(found["lines"]) < _LINES_AT_ONCE and line >= Cursor.parse(found["end"]).position.line
        return True


class SseViewer(Viewer):
    """Server-sent events, base64, with Last-Event-ID."""

    name = "sse"

    _last_id = ""

    async def _once(self) -> None:
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        address = f"{self.url}/api/tasks/{self.task_id}/runs/last/log"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            query = {"live": "sse", "encoding": "base64"}
            async with session.get(address, params=query, headers=headers) as answer:
                self.connects += 1
                if answer.status == 204 and self.record.ends and self.record.ends[-1].how != "LOST":
                    self.done.set()
                if answer.status != 200:
                    return
                async for cursor, event, data in _events_of(answer):
                    self._heard(cursor, event, data)
                    self._last_id = cursor or self._last_id
                if self.record.ends and self._is_over:
                    self.done.set()

    _is_over = False

    def _heard(self, cursor: str, event: str, data: str) -> None:
        if event == "output":
            at, piece = Cursor.parse(cursor), base64.b64decode(data)
            # its beginning is not told: it is where the viewer stands, or where another run begins
            same = self._cursor is not None and self._cursor.nonce == at.nonce
            start = self._cursor.position if same and self._cursor else START
            self._given(start, at, piece)
        elif event in ("gap", "reset", "end", "run"):
            wire = json.loads(data)
            self._took(event, wire)
            self._is_over = event == "end" and wire["last"] and wire["how"] != "LOST"


class PollViewer(Viewer):
    """Long polls of one run after the other, by offset."""

    name = "long poll"
    _run = 1

    async def _once(self) -> None:
        timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not self.done.is_set():
                offset = str(self._cursor) if self._cursor else "-1"
                query = {"offset": offset, "live": "long-poll"}
                address = f"{self.url}/api/tasks/{self.task_id}/runs/{self._run}/log"
                async with session.get(address, params=query) as answer:
                    self.connects += 1
                    if answer.status not in (200, 204):
                        return
                    self._took_poll(answer.headers, await answer.read())
                    closed = answer.headers.get("Stream-Closed") == "true"
                if closed:
                    await self._close_run(session)

    def _took_poll(self, headers: Any, body: bytes) -> None:
        cursor = Cursor.parse(headers["Stream-Next-Offset"])
        at = self._cursor.position if self._cursor else START
        if gap := headers.get("Stream-Gap"):
            start, stop, reason = gap.split(" ")
            self._hole(Position.parse(start), Cursor(cursor.run, cursor.nonce, Position.parse(stop)), reason)
            at = Position.parse(stop)
        if body:
            self._given(at, cursor, body)

    async def _close_run(self, session: aiohttp.ClientSession) -> None:
        """The run is over: note its end, and go on to the next one, if there is one."""
        async with session.get(f"{self.url}/api/tasks/{self.task_id}") as answer:
            if answer.status != 200:
                return
            task = await answer.json()
        run = next((run for run in task["runs"] if run["run"] == self._run), None)
        if run is None or run["how"] in (None, "LOST"):
            return
        cursor = self._cursor or Cursor(run["run"], run["nonce"], START)
        if not any(end.cursor.nonce == cursor.nonce for end in self.record.ends):
            self._end(cursor, run["how"], run["crc"])
        if any(run["run"] > self._run for run in task["runs"]):
            self._run += 1
            self._cursor = None
        elif task["open"] == 0 and task["state"] not in ("QUEUED", "RUNNING", "RETRY"):
            self.done.set()
        else:
            await asyncio.sleep(AGAIN_S)


class ClientViewer(Viewer):
    """The Python client, ``livetask.client``, which goes on by itself."""

    name = "python client"

    async def _once(self) -> None:
        self.connects += 1
        async with Client(self.url) as client, aclosing(client.output(self.task_id, self._cursor, wait=True)) as items:
            async for item in items:
                match item:
                    case Output(start, cursor, data):
                        self._given(start, cursor, data)
                    case Gap(start, cursor, _, _, reason):
                        self._hole(start, cursor, reason)
                    case Reset(run, cursor, reason):
                        self._back(run, cursor, reason)
                    case RunEnded(cursor, how):
                        self._end(cursor, how, "" if how == "LOST" else await self._crc(client, cursor.run))
                    case Notice("back"):
                        self.connects += 1
                    case TaskEnded(state) if state != "LOST":
                        self.done.set()

    async def _crc(self, client: Client, run: int) -> str:
        """The run's CRC-32 as it is stored; the item says only that it was compared."""
        while True:
            with suppress(LivetaskError):  # what is away now is asked again: the test has a time limit
                task = await client.task(self.task_id)
                if crc := next((found.crc for found in task.runs if found.run == run), None):
                    return crc
            await asyncio.sleep(AGAIN_S)


ALL: tuple[type[Viewer], ...] = (SocketViewer, PlainViewer, ScreenViewer, SseViewer, PollViewer, ClientViewer)


def _putting(heard: asyncio.Queue[tuple[str, Any]], name: str) -> Callable[..., Any]:
    async def put(wire: Any = None, *_: Any) -> None:
        heard.put_nowait((name, wire))

    return put


async def _events_of(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str, str]]:
    """(id, event, data) of each server-sent event that came whole."""
    rest = b""
    async for chunk in answer.content.iter_any():
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            words = [line.partition(": ") for line in block.decode().split("\n")]
            known = {name: text for name, _, text in words if name in ("id", "event")}
            data = "\n".join(text for name, _, text in words if name == "data")
            if "event" in known:
                yield known.get("id", ""), known["event"], data
