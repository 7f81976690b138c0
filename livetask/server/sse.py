"""Logs that go on while the task runs: server-sent events, long polls, and a file that grows.

Server-sent events: ``id`` is the cursor after the event, so that a client that comes back with Last-Event-ID goes on
exactly; that of an end, unless the run is lost and may turn out to live, has END_TOLD behind it. ``event`` is output,
gap, end, run, reset, caught_up, store or bye. The data of ``output`` is the text itself, of the others JSON. A line of
data cannot hold a carriage return, which is shown as U+240D; ``encoding=base64`` gives the bytes as they are.

Asked for run ``last``, a client follows the task: later runs come after this one, until the task has ended. Asked for a
run by its ordinal, it is told of that one only. What a client does not read stays with the hub's window.

With an ``offset`` the events are those of the durable streams' protocol instead; see stream_events.py.

Must never know: Redis, Celery, Socket.IO.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

from livetask.errors import ArgumentInvalid
from livetask.keys import task_id_checked
from livetask.position import START, Cursor
from livetask.server.access.gate import LOST
from livetask.server.events import CaughtUp, Ended, Event, Missing, Output, Reset
from livetask.server.follow import Following
from livetask.server.hub import Hub
from livetask.server.log_api import LogApi, LogReader, asked_by, check_kept, offset_of, started
from livetask.server.log_text import EscapesRemoved, gap_line, notice
from livetask.server.stream_events import END_TOLD, StreamEvents
from livetask.server.subscription import Wish
from livetask.server.tasks import Run, Task
from livetask.server.wire import event_json, text_of_output

_RETRY_MS = 1000
_CURSOR_S = 20


@dataclass(frozen=True, slots=True)
class Whence:
    """Where a client begins to follow. ``run``: the run it begins in, None if there is none yet.

    ``end_told``: it has been told how that one has ended.
    """

    task: Task
    run: Run | None
    begin: str | Cursor
    wish: Wish
    end_told: bool = False

    @property
    def ended_nonce(self) -> str | None:
        """Of the run whose end it has been told."""
        return self.run.nonce if self.run is not None and self.end_told else None

    @property
    def is_over(self) -> bool:
        """The client has been told all there will be."""
        if not self.end_told or self.run is None or self.begin != self.run.cursor(self.run.end):
            return False
        return self.wish.run is not None or (self.task.has_ended and self.run is self.task.runs[-1])


@dataclass(slots=True)
class Delivered:
    """What has been delivered so far, for the figures. ``gaps``: bytes by reason."""

    bytes: int = 0
    gaps: dict[str, int] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        if isinstance(event, Output):
            self.bytes += event.size_bytes
        elif isinstance(event, Missing):
            self.gaps[event.gap.reason] = self.gaps.get(event.gap.reason, 0) + event.gap.size_bytes


class LiveLog:
    """The live forms of a log. ``beat_s``: how often a silent client is looked at. ``poll_s``: how long a poll waits.

    See LogReader, LogApi, Hub.
    """

    def __init__(self, hub: Hub, reader: LogReader, logs: LogApi, beat_s: float, poll_s: float = 20.0) -> None:
        self._hub = hub
        self._reader = reader
        self._logs = logs
        self._beat_s = beat_s
        self._poll_s = poll_s
        self._open: set[asyncio.Task[object]] = set()
        self.delivered = Delivered()

    @property
    def open(self) -> int:
        """How many clients follow a log now."""
        return len(self._open)

    def routes(self) -> list[web.RouteDef]:
        """The routes of logs, live or not."""
        place = "/api/tasks/{task_id}/runs/{run}"
        return [
            web.get(f"{place}/log", self.log),
            web.get(f"{place}/log.txt", self.text),
            web.get(f"{place}/log.gz", self._logs.gzip),
        ]

    async def stop(self) -> None:
        """End what clients follow; they are told, and come back."""
        for task in self._open:
            task.cancel()

    async def log(self, request: web.Request) -> web.StreamResponse:
        """``log``: by lines, by offset, or live."""
        live = request.query.get("live")
        if "line" in request.query or "tail" in request.query:
            return await self._logs.by_lines(request)
        if live is None:
            return await self._logs.by_offset(request)
        if live == "sse":
            return await (self.stream(request) if "offset" in request.query else self.sse(request))
        if live == "long-poll":
            return await self.long_poll(request)
        raise ArgumentInvalid("live", live, "sse or long-poll")

    # ---- server-sent events

    async def sse(self, request: web.Request) -> web.StreamResponse:
        """``?live=sse``: events until the end. A client that has all there will be is answered 204, and stays away.

        One that comes again after it was told that the run is lost stays, to be told when it turns out to live.
        """
        binary = _in_base64(request)
        whence = await self._whence(request, binary, request.headers.get("Last-Event-ID"))
        if whence.is_over:
            return web.Response(status=204)
        response = web.StreamResponse(headers=_SSE_HEADERS)
        task_id = whence.task.task_id
        async with self._hub.follow(task_id, whence.begin, whence.wish) as events:
            await response.prepare(request)
            if request.method != "HEAD":
                await response.write(f"retry: {_RETRY_MS}\n\n".encode())
                await self._told(request, response, whence, events)
        return response

    async def _told(
        self, request: web.Request, response: web.StreamResponse, whence: Whence, events: Following
    ) -> None:
        task_id, wish, state = whence.task.task_id, whence.wish, self._hub.store_state
        with self._followed():
            try:
                async for event in self._beating(events):
                    if self._hub.store_state != state:
                        state = self._hub.store_state
                        await response.write(_sse("store", json.dumps({"state": state})))
                    if event is None:
                        await response.write(b": waiting\n\n")
                        continue
                    if isinstance(event, Ended) and event.run.nonce == whence.ended_nonce:
                        continue  # it was told, and waits for the next run
                    self.delivered.add(event)
                    await response.write(_sse_of(task_id, event, wish.binary))
                    stays = isinstance(event, Ended) and event.run.how == "LOST" and "Last-Event-ID" in request.headers
                    if isinstance(event, Ended) and not stays and await self._is_last(task_id, event, wish):
                        return
            except asyncio.CancelledError:
                bye = json.dumps({**_why_over(request), "retry_ms": _RETRY_MS})
                with suppress(ConnectionError):
                    await response.write(_sse("bye", bye))
                    await response.write_eof()
                raise

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """``?offset=&live=sse``: the events of the durable streams' protocol, until the run has ended."""
        binary = _in_base64(request)
        asked = await asked_by(self._reader, request)
        last_id, end_told = _end_told(request.headers.get("Last-Event-ID"))
        position = offset_of(request, asked, last_id)
        check_kept(asked, position)
        if end_told and position == asked.run.end:
            return web.Response(status=204)  # a browser, which would come again and again, then stays away
        made = StreamEvents(base64=binary, cursor=_poll_cursor(request))
        response = web.StreamResponse(headers=_SSE_HEADERS | ({_ENCODING: "base64"} if binary else {}))
        wish = Wish(binary=binary, run=asked.run.run, marks=True)
        async with self._hub.follow(asked.task_id, asked.cursor(position), wish) as events:
            await response.prepare(request)
            if request.method == "HEAD":
                return response
            with self._followed():
                await self._streamed(response, events, made)
        return response

    async def _streamed(self, response: web.StreamResponse, events: Following, made: StreamEvents) -> None:
        """A piece and what follows it at once go out together: clients see them as one step."""
        parts: list[bytes] = []
        async for event in self._beating(events):
            if event is None:
                await response.write(b": waiting\n\n")
                continue
            self.delivered.add(event)
            parts += made.of(event)
            if not events.has_more or made.over:
                await response.write(b"".join([*parts, *made.settled()]))
                parts.clear()
            if made.over:
                return

    # ---- long polls

    async def long_poll(self, request: web.Request) -> web.Response:
        """``?live=long-poll``: what is there, or what comes first; 204 when nothing came for a while, or will come."""
        if "offset" not in request.query:
            raise ArgumentInvalid("offset", None, "where to begin: -1, now, or the last Stream-Next-Offset")
        asked = await asked_by(self._reader, request)
        position = offset_of(request, asked)
        check_kept(asked, position)
        body, headers = await self._logs.read_bytes(asked, position)
        if not body and "Stream-Closed" not in headers and "Stream-Gap" not in headers:
            wish = Wish(binary=True, run=asked.run.run)
            with self._followed():
                await self._something(asked.task_id, asked.cursor(position), wish)
            body, headers = await self._logs.read_bytes(asked, position)
        headers |= {"Stream-Cursor": _poll_cursor(request), "Cache-Control": "no-store"}
        if not body and "Stream-Gap" not in headers:
            return web.Response(status=204, headers=headers)
        return self._logs.bytes_response(body, headers)

    async def _something(self, task_id: str, cursor: Cursor, wish: Wish) -> None:
        """Wait until there is something after the cursor, or as long as a poll may take."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s), self._hub.follow(task_id, cursor, wish) as events:
                async for event in events:
                    if isinstance(event, Output | Missing | Ended | Reset):
                        return

    # ---- files

    async def text(self, request: web.Request) -> web.StreamResponse:
        """``log.txt``; with ``?follow=1`` until the end."""
        if request.query.get("follow", "0") != "1" or request.method == "HEAD":
            return await self._logs.text(request)
        whence = await self._whence(request, True, None)
        ordinal = whence.run.run if whence.run is not None else 1
        response = started(request, whence.task.task_id, ordinal, "log")
        async with self._hub.follow(whence.task.task_id, whence.begin, whence.wish) as events:
            await response.prepare(request)
            with self._followed():
                await self._grow(request, response, whence.task.task_id, whence.wish, events)
        return response

    async def _grow(
        self, request: web.Request, response: web.StreamResponse, task_id: str, wish: Wish, events: Following
    ) -> None:
        plain = EscapesRemoved() if request.query.get("colour") == "0" else None
        begins_line, run = True, 0
        async for event in self._beating(events):
            if event is None:
                if request.transport is None or request.transport.is_closing():
                    return
                continue
            self.delivered.add(event)
            data = _in_file(event, begins_line)
            if isinstance(event, Output | Missing) and event.cursor.run != run:
                if run:
                    data = notice(f"run {event.cursor.run}", begins_line) + data
                run = event.cursor.run
            if plain is not None:
                data = plain.fed(data) + (plain.rest() if isinstance(event, Ended) else b"")
            if data:
                begins_line = data.endswith(b"\n")
                await response.write(data)
            if isinstance(event, Ended) and await self._is_last(task_id, event, wish):
                return

    # ---- all of them

    async def _whence(self, request: web.Request, binary: bool, last_event_id: str | None) -> Whence:
        """Where the client begins. A task whose first run has not begun can be followed as run ``last``."""
        task_id, run = task_id_checked(request.match_info["task_id"]), request.match_info["run"]
        task = await self._reader.task(task_id)
        if run == "last" and not task.runs:
            return Whence(task, None, "start", Wish(binary=binary))
        asked = await self._reader.asked(task_id, run)
        wish = Wish(binary=binary, run=None if asked.latest else asked.run.run)
        last_id, end_told = _end_told(last_event_id)
        if last_id:
            cursor = Cursor.parse(last_id)
            return Whence(asked.task, asked.task.run(cursor.run), cursor, wish, end_told)
        offset = request.query.get("from", "-1")
        begin = asked.cursor(START if offset == "-1" else offset_of(request, asked, offset))
        return Whence(asked.task, asked.run, begin, wish)

    async def _is_last(self, task_id: str, event: Ended, wish: Wish) -> bool:
        """Nothing comes after this end: no later run, which may have begun and ended before this one was told of."""
        if wish.run is not None:
            return True
        if not event.last:
            return False
        task = await self._reader.task(task_id)
        return not task.runs or task.runs[-1].run <= event.run.run

    async def _beating(self, events: Following) -> AsyncIterator[Event | None]:
        """The events, and None when there was none for a while."""
        while True:
            try:
                async with asyncio.timeout(self._beat_s):
                    event: Event | None = await anext(events)
            except TimeoutError:
                event = None
            yield event

    @contextmanager
    def _followed(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            yield
        finally:
            self._open.discard(task)


def _why_over(request: web.Request) -> dict[str, str]:
    """Why a live answer is cut short: its caller has to go, or the server stops."""
    loss = request.get(LOST)
    return {"reason": "the server stops"} if loss is None else {"reason": loss.reason, "code": loss.code}


def _end_told(last_id: str | None) -> tuple[str | None, bool]:
    """The cursor in the id of an event, and whether the end of its run was told by it."""
    return (last_id.removesuffix(END_TOLD), last_id.endswith(END_TOLD)) if last_id else (None, False)


def _sse_of(task_id: str, event: Event, binary: bool) -> bytes:
    if isinstance(event, Output):
        if binary:
            return _sse("output", base64.b64encode(event.data).decode("ascii"), event.cursor)
        text = text_of_output(event.data).replace("\r", "\u240d")
        return _sse("output", text, event.cursor)
    name, data = event_json(task_id, event)
    cursor = data.get("cursor") if isinstance(event, Missing | Ended | CaughtUp | Reset) else None
    if isinstance(event, Ended) and event.run.how != "LOST":
        cursor = f"{cursor}{END_TOLD}"
    return _sse(name, json.dumps(data), cursor)


def _sse(name: str, data: str, cursor: Cursor | str | None = None) -> bytes:
    """One event. Each line of the data is a line of its own, so that newlines come back as they were."""
    head = f"id: {cursor}\n" if cursor is not None else ""
    lines = data.replace("\n", "\ndata: ")
    return f"{head}event: {name}\ndata: {lines}\n\n".encode("utf-8", "replace")


def _in_file(event: Event, begins_line: bool) -> bytes:
    """What an event looks like in a file for people."""
    match event:
        case Output(data=data):
            return data
        case Missing(gap=gap):
            return gap_line(gap, begins_line)
        case Reset(run=number, reason=reason):
            return notice(f"what was shown of run {number} is not valid any more: {reason}", begins_line)
    return b""


def _poll_cursor(request: web.Request) -> str:
    """A number that grows with time and with each poll, so that a cache between never answers from before."""
    given = request.query.get("cursor", "")
    least = int(given) + 1 if given.isascii() and given.isdecimal() and len(given) < 16 else 0
    return str(max(int(time.time()) // _CURSOR_S, least))


def _in_base64(request: web.Request) -> bool:
    encoding = request.query.get("encoding", "text")
    if encoding not in ("text", "base64"):
        raise ArgumentInvalid("encoding", encoding, "text or base64")
    return encoding == "base64"


_ENCODING = "Stream-SSE-Data-Encoding"
_SSE_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}
