"""The client: start, stop, ask after and follow tasks through a livetask server, by asyncio.

Calls go by HTTP and are tried once: a call that starts a task must not be repeated by anybody but its caller. Output
comes by Socket.IO and goes on by itself, from its cursor, whatever happens to the connection or the server.

Must never know: Celery, Redis, the server's code, the worker's code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import aiohttp

from livetask.client.failures import AddressInvalid, ServerUnreachable, reason_of, refusal
from livetask.client.following import Following, TryLater
from livetask.client.items import Gap, Item, Notice, Output, RunBegan
from livetask.client.line import Line, LineLost
from livetask.client.pace import Acks, Silence, Tries
from livetask.client.tasks import Share, Stopped, Task, TaskInfo
from livetask.errors import ArgumentInvalid
from livetask.position import Cursor

DEFAULT_URL = "http://127.0.0.1:8400"

_LACKING = 3
_PAGE = 500
"""So many heartbeats that tell of output which does not come make a line a bad one."""


class Client:
    """A livetask server, as a program sees it.

    ``url``: its address, with the path it is served under, if any. ``token``: says who asks, if the server wants it.
    ``call_timeout_s``: how long a call may take. ``transports``: of Socket.IO, in the order they are tried; polling
    needs a server that is alone, or sticky sessions.

    Use it as a context manager, in one event loop:

        async with Client("http://127.0.0.1:8400") as client:
            task_id = await client.send("reports.build", ["2024-05"])
            async for item in client.output(task_id, wait=True):
                if isinstance(item, Output):
                    sys.stdout.buffer.write(item.data)

    Raises AddressInvalid. All methods raise ServerUnreachable and the errors of livetask.errors that the server
    refuses with; a refusal of any other kind is Refused.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        call_timeout_s: float = 30.0,
        transports: Sequence[str] = ("websocket",),
    ) -> None:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
            raise AddressInvalid(url)
        self.url = url.rstrip("/")
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=call_timeout_s)
        self._transports = tuple(transports)
        self._session: aiohttp.ClientSession | None = None
        self._lines: set[Line] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections, those of unfinished ``output`` too."""
        for line in list(self._lines):
            await line.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ---- calls

    async def send(self, name: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None) -> str:
        """Start a task and return its id. ``name``: as Celery knows it. ``args``, ``kwargs``: what JSON can hold.

        Raises TaskNotAllowed, ArgumentInvalid as Refused, BrokerUnavailable. After ServerUnreachable it is not known
        whether the task was started.
        """
        message = {"task_name": name, "args": _listed(args or ()), "kwargs": _named(kwargs or {})}
        return str((await self._call("POST", "/task", message, name=name))["data"])

    async def revoke(self, task_id: str, terminate: bool = False, grace_s: float = 0.0) -> Stopped:
        """Tell all workers not to begin the task, and, where it runs, the task itself to end at its next checkpoint.

        ``terminate``: also end it where it runs, as far as the pool can. ``grace_s``: how long it may go on before
        that, in seconds; the server sees to it. Raises TaskUnknown; StopRefused when it was to be terminated and was
        not, which ``code`` and the sentence explain.
        """
        query = {"terminate": "1"} if terminate else {}
        query |= {"grace_s": f"{grace_s:g}"} if grace_s else {}
        found = await self._call("DELETE", f"/task/{_quoted(task_id)}", query=query, task_id=task_id)
        return Stopped(task_id, str(found.get("outcome") or ""), str(found.get("words") or ""))

    async def rerun(
        self, task_id: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None
    ) -> str:
        """Run a task again, as a new one, and return the id of that. ``args``, ``kwargs``: None for those it had.

        Raises TaskUnknown, ArgumentsUnknown, and what ``send`` does.
        """
        message: dict[str, Any] = {} if args is None else {"args": _listed(args)}
        message |= {} if kwargs is None else {"kwargs": _named(kwargs)}
        path = f"/task/{_quoted(task_id)}/rerun"
        return str((await self._call("POST", path, message, task_id=task_id))["data"])

    async def info(self, task_id: str) -> TaskInfo:
        """What Celery's result backend knows of the task, else what livetask does. Raises TaskUnknown."""
        found = await self._call("GET", f"/task/{_quoted(task_id)}", task_id=task_id)
        return TaskInfo(task_id, str(found["state"]), found.get("result"))

    async def task(self, task_id: str) -> Task:
        """What livetask knows of the task and its runs. Raises TaskUnknown."""
        return Task.parse(await self._call("GET", f"/api/tasks/{_quoted(task_id)}", task_id=task_id))

    async def tasks(
        self, *, states: Iterable[str] = (), text: str = "", sort: str = "changed", limit: int = 100
    ) -> list[Task]:
        """The tasks of the list, page by page if these are many.

        ``states``: only these, empty for all. ``text``: a filter as the dashboard has it: words, ``name:``, ``queue:``,
        ``worker:``, ``id:``. ``sort``: changed (the last change first), newest, oldest, name, duration or state.
        ``limit``: how many at most.
        """
        found: list[Task] = []
        query = {"state": ",".join(states), "q": text, "sort": sort}
        while len(found) < limit:
            query["limit"] = str(min(limit - len(found), _PAGE))
            page = await self._call("GET", "/api/tasks", query={name: value for name, value in query.items() if value})
            found += [Task.parse(task) for task in page["tasks"]]
            if page["next"] is None:
                break
            query["after"] = page["next"]
        return found

    async def share(self, task_id: str, hours: float = 24.0) -> str:
        """Make a link by which anybody can read the task's log, without an account, and return its address.

        ``hours``: how long it works; the server has a limit. It can be ended before: see ``shares``, ``unshare``.
        Raises TaskUnknown, Refused.
        """
        path = f"/api/tasks/{_quoted(task_id)}/shares"
        found = await self._call("POST", path, {"hours": hours}, task_id=task_id)
        place = urlsplit(self.url)
        return f"{place.scheme}://{place.netloc}{found['path']}"

    async def shares(self) -> list[Share]:
        """The links that this caller may end: its own; all of them if it may administer. The last made first."""
        found = await self._call("GET", "/api/shares")
        return [Share(one["id"], one["task_id"], one["by"], one["made_at"], one["until"]) for one in found["shares"]]

    async def unshare(self, share_id: str) -> None:
        """End a link. Raises NotFound as Refused."""
        await self._call("DELETE", f"/api/shares/{_quoted(share_id)}")

    async def _call(
        self,
        method: str,
        path: str,
        message: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        **about: Any,
    ) -> dict[str, Any]:
        """One call; its answer as JSON. ``about``: what a refusal is about."""
        request = self._opened().request(
            method, self.url + path, json=message, params=query, headers=self._headers(), timeout=self._timeout
        )
        try:
            async with request as response:
                body = await response.read()
                status = response.status
        except TimeoutError:
            raise ServerUnreachable(self.url, f"no answer in {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ServerUnreachable(self.url, reason_of(error)) from error
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ServerUnreachable(self.url, f"what answers there is no livetask server (status {status})")
        if status >= 400:
            raise _refused(found, status, about)
        return found

    # ---- output

    async def output(
        self,
        task_id: str,
        cursor: str | Cursor | None = None,
        *,
        run: int | None = None,
        wait: bool = False,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Item, None]:
        """Follow a task: everything it writes, exactly and once, until it has ended.

        ``cursor``: where to begin: None or 'start': at the first byte kept; 'now': at the end; 'tail:N': N lines
        before it; or the cursor of an earlier item, or its text: right after that item. ``run``: only the run of this
        ordinal; None: all runs, retries and redeliveries too, one after the other. ``wait``: the task may not be known
        yet, as when it has just been sent; otherwise TaskUnknown is raised. ``timeout_s``: give up with
        ServerUnreachable when there was no connection for so long; None: never.

        Goes on by itself over lost connections and restarts of the server, which show as Notice. What is not consumed
        is not acknowledged, so the server sends no more than its window ahead: a slow program needs no more memory.
        A cancelled or interrupted loop goes on where it was with the cursor of the last item. Leaving the loop early
        ends the connection; for doing so at once, wrap it in contextlib.aclosing.

        Raises TaskUnknown, RunUnknown, PositionUnknown, CursorInvalid, Refused; OutputBroken when what came cannot be
        the run's output; ServerUnreachable.
        """
        following = Following(task_id, _place(cursor), run, wait=wait)
        way = _Way(Tries(timeout_s))
        while not following.done:
            line = self._line()
            wait_s: float | None = 0.0
            try:
                await line.open()
                async for item in _through(line, following, way):
                    yield item
            except (LineLost, TryLater) as error:
                wait_s = way.tries.wait_s(_now_s(), random.random(), way.asked_s)
                if wait_s is None:
                    raise ServerUnreachable(self.url, str(error)) from None
                if not way.away:
                    way.away = True
                    yield Notice("away", str(error))
            finally:
                self._lines.discard(line)
                await line.close()
            if wait_s:
                await asyncio.sleep(wait_s)

    # ---- connections

    def _line(self) -> Line:
        auth = {"token": self._token} if self._token else None
        line = Line(self._opened(), self.url, headers=self._headers(), auth=auth, transports=self._transports)
        self._lines.add(line)
        return line

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession()
        return self._session

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}


@dataclass(slots=True)
class _Way:
    """The way to the server. ``away``: it is lost. ``asked_s``: how long the server asked to stay away."""

    tries: Tries
    away: bool = False
    asked_s: float = 0.0

    def works(self) -> list[Item]:
        """The server serves; told when it had not."""
        was_away, self.away = self.away, False
        self.tries.worked()
        self.asked_s = 0.0
        return [Notice("back", "connected again")] if was_away else []


async def _through(line: Line, following: Following, way: _Way) -> AsyncGenerator[Item, None]:
    """What comes through one line, until all has come or another line is to be taken."""
    silence, acks = Silence(_now_s()), Acks()
    lacking = 0
    await line.send("subscribe", following.wish(), answered=True)
    while not following.done:
        event, data = await _next(line, silence, acks, following.task_id)
        wire = data if isinstance(data, Mapping) else {}
        items = following.take(event, wire)
        if event == "answer" and isinstance(wire.get("window"), int):
            acks.window_bytes = wire["window"]
        for item in [*way.works(), *items] if event == "answer" else items:
            yield item
            if isinstance(item, Output | Gap | RunBegan):
                acks.consumed(item.cursor, len(item.data) if isinstance(item, Output) else 0, _now_s())
        lacking = lacking + (following.lacks(wire) and line.empty) if event == "heartbeat" else 0
        if following.unsure:
            return
        if following.homeless or lacking >= _LACKING:
            raise LineLost("the server has lost its place")
        if event == "bye":
            way.asked_s = float(wire.get("retry_ms") or 0) / 1000


async def _next(line: Line, silence: Silence, acks: Acks, task_id: str) -> tuple[str, Any]:
    """The next event; what was consumed is acknowledged meanwhile. Raises LineLost."""
    await asyncio.sleep(0)  # what came while the program blocked the loop is heard before the line is called silent
    while True:
        now_s = _now_s()
        due_in_s = acks.due_in_s(now_s)
        if due_in_s == 0.0 and (cursor := acks.take(random.random())) is not None:
            await line.send("ack", {"task_id": task_id, "cursor": str(cursor)})
            due_in_s = None
        left_s = silence.left_s(now_s)
        if line.empty and left_s <= 0:
            raise LineLost("the server is silent")
        with contextlib.suppress(TimeoutError):
            event, data = await line.next(left_s if due_in_s is None else min(left_s, due_in_s))
            silence.heard(event, _now_s())
            return event, data


def _place(cursor: str | Cursor | None) -> str:
    """Where to begin, as the server wants it said; raises CursorInvalid."""
    if cursor is None:
        return "start"
    if isinstance(cursor, Cursor) or cursor in ("start", "now"):
        return str(cursor)
    count = cursor.removeprefix("tail:")
    if count != cursor and count.isascii() and count.isdecimal():
        return cursor
    return str(Cursor.parse(cursor))


def _refused(found: Mapping[str, Any], status: int, about: Mapping[str, Any]) -> Exception:
    """The error that an HTTP answer stands for; Stirfried's routes tell a sentence and no code."""
    sentence = str(found.get("error") or found.get("data") or "")
    code = str(found.get("code") or "")
    if not code:
        unknown = "task_unknown" if "task_id" in about else "not_found"
        codes = {403: "task_not_allowed", 404: unknown, 413: "too_large", 503: "broker_unavailable"}
        code = codes.get(status, "bad_request" if status < 500 else "internal")
    return refusal(code, sentence, status, about)


def _listed(args: Sequence[Any]) -> list[Any]:
    """Positional arguments. Raises ArgumentInvalid for one that stands alone, also a text, which is a sequence too."""
    if isinstance(args, (str, bytes)) or not isinstance(args, Sequence):
        raise ArgumentInvalid("args", args, "a list of the task's positional arguments, [5] for one")
    return list(args)


def _named(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(kwargs, Mapping):
        raise ArgumentInvalid("kwargs", kwargs, "a mapping of the task's named arguments")
    return dict(kwargs)


def _quoted(task_id: str) -> str:
    return quote(task_id, safe="")


def _now_s() -> float:
    return asyncio.get_running_loop().time()
