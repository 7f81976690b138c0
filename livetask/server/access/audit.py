"""What was done by whom: started, cancelled, run again, logged in, refused, shared, downloaded; kept for a while.

An entry is noted in the moment it happens and written a moment later, so that no answer waits for it. What waits is
bounded; what finds no room, or no Redis for too long, is dropped and counted, and the count is among the figures. Of
the refusals of one caller from one place for one ability, those within a second become one entry with their number:
nobody pushes other entries out by knocking.

Each entry is also a line of the logger ``livetask.audit``, level INFO. Neither holds a secret, an argument or output.

| kind | when | detail |
|---|---|---|
| start, rerun | the broker has taken the task | its name |
| cancel | a wish that it stops was taken | how |
| download | a log was asked for as a file | which |
| delete | what a task printed was taken away | |
| refused | a caller lacked a right | the ability |
| login, login_failed, logout, logout_everywhere | at the door | how |
| share, share_revoked, share_opened | of links | the link's id |

Must never know: HTTP, Celery, what rights are.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from livetask.errors import RedisUnavailable
from livetask.server.access.caller import Caller
from livetask.server.answers import entries_of, text_of
from livetask.server.backoff import Backoff

KINDS = (
    "start", "rerun", "cancel", "download", "delete", "refused", "login", "login_failed", "logout", "logout_everywhere",
    "share", "share_revoked", "share_opened",
)  # fmt: skip

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]

log = logging.getLogger("livetask.audit")

_WAITING = 10_000
_AT_ONCE = 200
_GATHER_S = 1.0
_CLOSE_S = 1.0
_TEXT = 200
_READ_AT_ONCE = 1000
_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done. ``who``, ``by``, ``role``, ``credential``: of the caller. ``remote``: its address.

    ``at_ms``: wall clock. ``count``: how many of its kind it stands for. ``id``: of the stream, '' before it is there.
    """

    kind: str
    who: str
    by: str
    role: str
    credential: str
    remote: str
    task_id: str
    detail: str
    at_ms: int
    count: int = 1
    id: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the API gives it."""
        return {
            "id": self.id,
            "at": self.at_ms,
            "kind": self.kind,
            "who": self.who,
            "by": self.by,
            "role": self.role,
            "credential": self.credential,
            "from": self.remote,
            "task_id": self.task_id,
            "detail": self.detail,
            "count": self.count,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; '' is any. ``who``: a caller's name. ``kind``: one of KINDS."""

    who: str = ""
    task_id: str = ""
    kind: str = ""

    def holds(self, entry: Entry) -> bool:
        """Whether it lets such an entry through."""
        return (
            (not self.who or self.who == entry.who)
            and (not self.task_id or self.task_id == entry.task_id)
            and (not self.kind or self.kind == entry.kind)
        )


class Audit:
    """See the module's docstring. ``run`` is its one loop.

    ``ask``: sends commands to Redis. ``key``: of the stream. ``keep_s``: how long an entry is kept. ``most``: how many
    are. ``remote``: says from which address the one comes who asks in this context.
    """

    def __init__(self, ask: Ask, key: str, *, keep_s: int, most: int, remote: Callable[[], str] | None = None) -> None:
        self._ask = ask
        self._key = key
        self._keep_ms = keep_s * 1000
        self._most = most
        self._remote = remote or (lambda: "")
        self._waiting: deque[Entry] = deque()
        self._work = asyncio.Event()
        self.noted: dict[str, int] = {}
        """How many entries were noted, by kind."""
        self.dropped = 0
        """How many of them were not written."""

    def note(self, kind: str, caller: Caller, task_id: str = "", detail: str = "", remote: str = "") -> None:
        """Note what a caller has done. Never waits, never raises.

        ``remote``: where from; '' for the address of the request, or the connection, in which this is called.
        """
        entry = Entry(
            kind,
            _short(caller.name),
            caller.by,
            _short(caller.role),
            _short(caller.credential),
            _short(remote or self._remote()),
            _short(task_id),
            _short(detail),
            int(time.time() * 1000),
        )
        self.noted[kind] = self.noted.get(kind, 0) + 1
        log.info("%s", _line(entry))
        if len(self._waiting) >= _WAITING:
            self.dropped += 1
            return
        self._waiting.append(entry)
        self._work.set()

    async def run(self) -> None:
        """Write what was noted, for ever."""
        backoff = Backoff()
        while True:
            await self._work.wait()
            await asyncio.sleep(_GATHER_S)  # what belongs together comes together
            try:
                await self._write_all()
            except RedisUnavailable:
                await backoff.wait()
            else:
                backoff.reset()

    async def close(self) -> None:
        """Write what still waits, within a second."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._write_all()
        except (TimeoutError, RedisUnavailable):
            self.dropped += len(self._waiting)
            log.warning("%d entries of the audit were not written", len(self._waiting))

    async def _write_all(self) -> None:
        while self._waiting:
            some = [self._waiting[number] for number in range(min(_AT_ONCE, len(self._waiting)))]
            added = [self._added(entry) for entry in _gathered(some)]
            newest = text_of((await self._ask(added))[-1])
            for _ in some:
                self._waiting.popleft()
            await self._ask(self._trimmed(int(newest.partition("-")[0])))
        self._work.clear()

    def _added(self, entry: Entry) -> tuple[Any, ...]:
        fields = {name: str(value) for name, value in entry.as_json().items() if value and name != "id"}
        return ("XADD", self._key, "*", *(part for pair in fields.items() for part in pair))

    def _trimmed(self, newest_ms: int) -> list[tuple[Any, ...]]:
        # Redis numbers the entries by its own clock: what is too old by one of the two only stays.
        oldest = max(0, min(int(time.time() * 1000), newest_ms) - self._keep_ms)
        return [
            ("XTRIM", self._key, "MAXLEN", "~", self._most),
            ("XTRIM", self._key, "MINID", "~", oldest),
            ("PEXPIRE", self._key, self._keep_ms),
        ]

    # ---- reading

    async def page(self, wanted: Wanted, limit: int, before: str = "") -> tuple[list[Entry], str | None]:
        """The newest ``limit`` entries that are wanted, and before which to go on; None when there are no more.

        ``before``: the id of an entry, or what came back of an earlier call; '' begins at the newest. A look goes over
        20,000 entries at most, so there can be fewer than ``limit`` and still more to come. Raises RedisUnavailable.
        """
        found: list[Entry] = []
        oldest = int(time.time() * 1000) - self._keep_ms
        for _ in range(_LOOKED_AT // _READ_AT_ONCE):
            start = f"({before}" if before else "+"
            (answer,) = await self._ask([("XREVRANGE", self._key, start, oldest, "COUNT", _READ_AT_ONCE)])
            raw = entries_of(answer)
            for number, (entry_id, fields) in enumerate(raw, 1):
                before = text_of(entry_id)
                entry = _read(before, {text_of(name): text_of(value) for name, value in fields.items()})
                if wanted.holds(entry):
                    found.append(entry)
                if len(found) == limit:
                    return found, before if number < len(raw) or len(raw) == _READ_AT_ONCE else None
            if len(raw) < _READ_AT_ONCE:
                return found, None
        return found, before


def _gathered(entries: Sequence[Entry]) -> list[Entry]:
    """The entries in order, in which refusals of the same caller for the same ability have become one."""
    found: list[Entry] = []
    places: dict[tuple[str, ...], int] = {}
    for entry in entries:
        same = (entry.kind, entry.who, entry.credential, entry.remote, entry.detail)
        place = places.get(same) if entry.kind in ("refused", "login_failed") else None
        if place is None:
            places[same] = len(found)
            found.append(entry)
        else:
            found[place] = replace(found[place], count=found[place].count + 1)
    return found


def _read(entry_id: str, fields: dict[str, str]) -> Entry:
    def whole(name: str, default: int) -> int:
        text = fields.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 17 else default

    return Entry(
        kind=fields.get("kind", ""),
        who=fields.get("who", ""),
        by=fields.get("by", ""),
        role=fields.get("role", ""),
        credential=fields.get("credential", ""),
        remote=fields.get("from", ""),
        task_id=fields.get("task_id", ""),
        detail=fields.get("detail", ""),
        at_ms=whole("at", int(entry_id.partition("-")[0])),
        count=whole("count", 1),
        id=entry_id,
    )


def _line(entry: Entry) -> str:
    """One line for a log, whatever the texts hold."""
    known = {name: value for name, value in entry.as_json().items() if value and name not in ("id", "at", "count")}
    return " ".join(f"{name}={json.dumps(value)}" for name, value in known.items())


def _short(text: str) -> str:
    return text if len(text) <= _TEXT else text[: _TEXT - 3] + "..."
