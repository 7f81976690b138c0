"""What the server reads from Redis, and the little it writes.

``connecting`` reaches Redis, for commands and for bells. Nothing is tried again in silence, since whoever asked knows
better what to do: it is told RedisUnavailable.

All reads of output begin at a position and are exact from there on; see ``slices``. A read takes one round trip from
where an entry begins, which is where live viewers stand, and two from within an entry or from where something is
missing. Nothing is kept between calls, so any number of servers can do the same.

Reads by line are in ``lines``. Nothing here knows of viewers, windows and the wire.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from livetask.errors import FormatUnknown, PositionUnknown, RedisUnavailable, RunUnknown
from livetask.keys import BUCKETS, Keys, alive_parsed, bucket_of
from livetask.position import Cursor
from livetask.scripts import script
from livetask.server.answers import Rung, bell_of, entries_of, fields_of, head_of, text_of
from livetask.server.connecting import reached
from livetask.server.event_reads import EventReads
from livetask.server.listing.reads import ListReads
from livetask.server.slices import (
    BeforeNeeded,
    FlatEntry,
    Head,
    RawEntry,
    ReadAt,
    Slice,
    sliced,
    sliced_within,
    unbroken,
)
from livetask.server.tasks import Task, task_parsed

BELL_COUNT = 1000
"""A bell keeps at least its last 1,000 entries: who gets that many at once may have missed some before them."""

BLOCK_MS = 2000
"""How long the bell reader waits within Redis. Below every timeout, or redis-py would break the connection."""

_PIPELINED = 64
_OK = b"OK"
_AWAY = (ReadOnlyError, MasterDownError, ClusterDownError, TryAgainError, OutOfMemoryError)
_AWAY_TEXTS = ("LOADING", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "OOM", "MISCONF", "NOREPLICAS")
_SHUT_TEXTS = ("ACL failure in script", "unknown command", "WRONGTYPE")
"""What an operator has done and can undo while the server runs: rights of its user, renamed commands, foreign keys."""
_MOST_TOLD = 64

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Store:
    """Redis, as the server sees it. Connects when first asked; ``close`` it, or use it with ``async with``.

    ``url``: of one server, of Sentinels or of a cluster, see ``redis_places``. ``prefix``: what all keys begin with.
    ``keep_s``: how long an ended task is kept. ``recent_cap``: how many tasks the list holds. ``timeout_s``: for
    connecting, for each answer, and for a free connection. ``connections``: the most for commands.

    Every method raises RedisUnavailable if Redis does not answer in time.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "livetask",
        keep_s: int = 24 * 3600,
        recent_cap: int = 10_000,
        timeout_s: float = 5.0,
        connections: int = 16,
    ) -> None:
        self._keys = Keys(prefix)
        self._bells = {self._keys.bell(bucket): bucket for bucket in range(BUCKETS)}
        self._ttl_ms = keep_s * 1000
        self._recent_cap = max(1, recent_cap // BUCKETS)
        self._told: set[str] = set()
        self._redis = reached(url, timeout_s, connections)
        self.events = EventReads(self.commands, self._keys)
        self.listed = ListReads(self.commands, self._keys)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.close()

    async def ping(self) -> float:
        """How long Redis takes to answer, in ms."""
        began = time.monotonic()
        await self.commands([("PING",)])
        return (time.monotonic() - began) * 1000

    async def clock_ms(self) -> int:
        """What Redis' clock says: the one by which tasks change and end."""
        ((seconds, micros),) = await self.commands([("TIME",)])
        return int(seconds) * 1000 + int(micros) // 1000

    async def info(self) -> dict[str, str]:
        """What Redis says of itself, INFO's fields by name; empty if this user may not ask."""
        (text,) = await self._asked(partial(self._redis.pipe, [("INFO",)]))
        lines = [] if isinstance(text, Exception) else text_of(text).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    # ---- tasks

    async def task(self, task_id: str) -> Task | None:
        """The task, or None if nothing is stored under that id. Raises FormatUnknown."""
        (fields,) = await self.commands([("HGETALL", self._keys.task(task_id))])
        return task_parsed(task_id, fields_of(fields))

    async def tasks(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """Those of the tasks that are stored, in few round trips; what another version stored is left out."""
        found: dict[str, Task] = {}
        keys = [("HGETALL", self._keys.task(task_id)) for task_id in task_ids]
        for task_id, fields in zip(task_ids, await self.commands(keys), strict=True):
            try:
                task = task_parsed(task_id, fields_of(fields))
            except FormatUnknown:
                continue
            if task is not None:
                found[task_id] = task
        return found

    async def note(self, task_id: str, what: str, fields: Mapping[str, str]) -> bool:
        """Note facts of a task; False if what is known is newer. ``what``: queued, progress or state."""
        bucket = bucket_of(task_id)
        keys = (self._keys.task(task_id), self._keys.recent(bucket), self._keys.bell(bucket))
        args = (task_id, what, self._ttl_ms, self._recent_cap, json.dumps(dict(fields)))
        ((answer, *_),) = await self.scripted([("note", keys, args)])
        return bytes(answer) == _OK

    # ---- output

    async def read(self, task_id: str, cursor: Cursor, max_bytes: int = 64 * 1024, count: int = 8) -> Slice:
        """The run's output from the cursor on: whole entries, about ``max_bytes``, at most ``count`` of them.

        An empty slice whose ``end`` is the cursor's position: nothing more is there yet. Raises RunUnknown if the
        run is not stored under this nonce, PositionUnknown if livetask did not give this cursor out.
        """
        found = (await self.read_many([ReadAt(task_id, cursor, max_bytes, count)]))[0]
        if found is None:
            raise RunUnknown(task_id, cursor.run)
        if isinstance(found, PositionUnknown):
            raise found
        return found

    async def read_many(self, wanted: Sequence[ReadAt]) -> list[Slice | PositionUnknown | None]:
        """Several reads in few round trips; None where the run is not stored."""
        answers = await self.commands([command for at in wanted for command in (self._range(at), self._head(at))])
        results: list[Slice | PositionUnknown | None] = []
        for number, at in enumerate(wanted):
            raw, head = answers[2 * number], head_of(at.cursor, answers[2 * number + 1])
            try:
                results.append(_read(at, raw, head) if head else None)
            except BeforeNeeded:
                results.append(await self._read_within(at))
            except PositionUnknown as error:
                results.append(error)
        return results

    async def _read_within(self, at: ReadAt) -> Slice | PositionUnknown | None:
        """Read again, with the entry that holds the position, and with the end asked for first and last."""
        before = ("XREVRANGE", self._output(at), str(at.cursor.position), "-", "COUNT", 1)
        answers = await self.commands([self._head(at), before, self._range(at), self._head(at)])
        known, head = head_of(at.cursor, answers[0]), head_of(at.cursor, answers[3])
        if known is None or head is None:
            return None
        position = at.cursor.position
        if head.end.byte < known.end.byte or position.byte > head.end.byte:
            return Slice(position, (), head.end, head.how)
        raw = entries_of(answers[2])
        must_reach = known.end if len(raw) < at.count else None
        try:
            return sliced_within(position, entries_of(answers[1]), raw, head, at.max_bytes, must_reach)
        except PositionUnknown as error:
            return error

    async def entries(
        self, task_id: str, cursor: Cursor, *, back: bool, start: str, count: int
    ) -> tuple[Head, list[RawEntry]]:
        """Raw entries of a run and what is known of it, as ``lines`` needs them. ``cursor``: names the run.

        ``start``: the ID to begin at, itself included; '-' and '+' are the ends. ``back``: towards the first one.
        Raises RunUnknown.
        """
        at = ReadAt(task_id, cursor)
        command = ("XREVRANGE", self._output(at), start, "-") if back else ("XRANGE", self._output(at), start, "+")
        raw, fields = await self.commands([(*command, "COUNT", count), self._head(at)])
        head = head_of(cursor, fields)
        if head is None:
            raise RunUnknown(task_id, cursor.run)
        return head, entries_of(raw)

    async def entries_soon(
        self, task_id: str, cursor: Cursor, *, back: bool, start: str, count: int
    ) -> tuple[Head, list[RawEntry]]:
        """As ``entries``, for the pump, which reads for all: nothing but Redis is waited for."""
        return await self.entries(task_id, cursor, back=back, start=start, count=count)

    def _output(self, at: ReadAt) -> str:
        return self._keys.output(at.task_id, at.cursor.nonce)

    def _range(self, at: ReadAt) -> tuple[Any, ...]:
        return ("XRANGE", self._output(at), str(at.cursor.position), "+", "COUNT", at.count)

    def _head(self, at: ReadAt) -> tuple[Any, ...]:
        names = (f"{at.cursor.run}.{name}" for name in ("nonce", "end", "first", "first_why", "how"))
        return ("HMGET", self._keys.task(at.task_id), *names)

    # ---- bells and leases

    async def bell_ends(self) -> tuple[str, ...]:
        """Where each of the bells stands: what ``bells`` is given first, so that it reports what rings from now."""
        asked = [("XREVRANGE", self._keys.bell(bucket), "+", "-", "COUNT", 1) for bucket in range(BUCKETS)]
        return tuple(text_of(raw[0][0]) if raw else "0-0" for raw in map(entries_of, await self.commands(asked)))

    async def bells(self, last_ids: Sequence[str], block_ms: int = BLOCK_MS) -> Rung:
        """Wait up to ``block_ms`` until a bell rings; on a connection of its own. ``last_ids``: of the last call."""
        asked = dict(zip(self._bells, last_ids, strict=True))
        answer = await self._asked(partial(self._redis.bells, asked, BELL_COUNT, block_ms))
        ids, bells, overrun = list(last_ids), [], False
        for name, found in answer:
            entries = entries_of(found)
            ids[self._bells[text_of(name)]] = text_of(entries[-1][0])
            overrun = overrun or len(entries) >= BELL_COUNT
            bells += [bell for _, fields in entries if (bell := bell_of(fields)) is not None]
        return Rung(tuple(bells), tuple(ids), overrun)

    async def watch(self, task_ids: Sequence[str], lease_ms: int) -> None:
        """Take or renew the lease on tasks, whose bell then rings for output for at least ``lease_ms``."""
        by_bucket: dict[int, list[str]] = {}
        for task_id in task_ids:
            by_bucket.setdefault(bucket_of(task_id), []).append(task_id)
        await self.scripted(
            [
                ("watch", (self._keys.watched(bucket),), (lease_ms, *some))
                for bucket, ids in by_bucket.items()
                for some in _parts(ids, 500)
            ]
        )

    async def expired(self, limit: int = 100) -> list[tuple[str, int, str]]:
        """(task id, run, nonce) of runs whose worker has not renewed its lease, at most ``limit`` of each bucket."""
        ((seconds, micros),) = await self.commands([("TIME",)])  # the clock that the leases are measured by
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        asked = [
            ("ZRANGEBYSCORE", self._keys.alive(bucket), "-inf", now_ms, "LIMIT", 0, limit) for bucket in range(BUCKETS)
        ]
        return [alive_parsed(text_of(member)) for answer in await self.commands(asked) for member in answer]

    async def finish_lost(self, task_id: str, run: int, nonce: str, reason: str) -> bool:
        """End a run as LOST if its lease is over; True if this call did it. Several servers may try at once."""
        bucket = bucket_of(task_id)
        keys = (
            self._keys.task(task_id),
            self._keys.output(task_id, nonce),
            self._keys.alive(bucket),
            self._keys.recent(bucket),
            self._keys.bell(bucket),
        )
        detail = json.dumps({"reason": reason})
        args = (task_id, run, nonce, "", "LOST", detail, "", "LOST", self._ttl_ms, self._recent_cap, "1", "{}")
        ((answer, *_),) = await self.scripted([("finish", keys, args)])
        return bytes(answer) == _OK

    # ---- how Redis is asked

    async def scripted(self, calls: Sequence[tuple[str, Sequence[str], Sequence[Any]]]) -> list[Any]:
        """Run scripts: (name, keys, arguments). All of them can be repeated, so a missing one is loaded and all run."""
        asked = [("EVALSHA", script(name).sha, len(keys), *keys, *args) for name, keys, args in calls]
        try:
            return await self.commands(asked)
        except NoScriptError:
            for name in {name for name, _, _ in calls}:
                await self._asked(partial(self._redis.load, script(name).text))
            return await self.commands(asked)

    async def commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send commands together, in parts; their answers as Redis gave them."""
        answers: list[Any] = []
        for some in _parts(commands):
            answers += await self._asked(partial(self._pipe, some))
        return answers

    async def _pipe(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        answers = await self._redis.pipe(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of Redis; RedisUnavailable if there is none. An answer that says 'wrong' is a bug and passes."""
        try:
            answer = await ask()
        except ResponseError as error:
            text = str(error)
            if isinstance(error, NoPermissionError) or text.startswith(_SHUT_TEXTS):
                self._tell_once(text)
            elif not isinstance(error, _AWAY) and not text.startswith(_AWAY_TEXTS):
                raise
            raise RedisUnavailable(_explained(text)) from error
        except (RedisError, OSError) as error:
            _heed_cancellation()
            raise RedisUnavailable(f"{type(error).__name__}: {error}") from error
        _heed_cancellation()
        return answer

    def _tell_once(self, text: str) -> None:
        """Log it: the rest may work, and then nobody else says why this does not."""
        if text not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(text)
            _log.error("Redis refuses what livetask needs: %s", _explained(text))


def _read(at: ReadAt, raw: Sequence[FlatEntry], head: Head) -> Slice:
    position = at.cursor.position
    found = unbroken(position, raw, head, at.max_bytes)
    return found or sliced(position, entries_of(raw), head, at.max_bytes)


def _explained(text: str) -> str:
    """What Redis said, with the way out where it names none."""
    if not text.startswith("WRONGTYPE"):
        return text
    return f"{text}: something else has a key where livetask has its own; give livetask another prefix, or that one"


def _heed_cancellation() -> None:
    """Raise CancelledError if the task was cancelled and has not heard of it.

    redis-py sends under asyncio.wait_for, which in Python 3.11 forgets a cancellation that comes just when the sending
    is done: a loop would go on for ever, and the server never stop.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _parts(things: Sequence[T], size: int = _PIPELINED) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]
