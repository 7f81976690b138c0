"""The loop that keeps the archive: hears which runs grow and which tasks end, and has them moved when they are due.

| it hears | what is due | when |
|---|---|---|
| a run has grown by an eighth of what Redis keeps | its whole steps | now |
| a run has ended | all of it | ``after_s`` later |
| nothing (a bell was missed, the server was not there) | the same | within ``sweep_s`` |

A few tasks are worked on at once, in threads of their own and at a bounded rate. What fails is tried again with growing
pauses, and shows in the figures; Redis gives up nothing meanwhile. Any number of servers can do this side by side.

Must never know: how objects lie on a shelf, viewers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from livetask.archive_errors import ArchiveDamaged, ArchiveUnavailable
from livetask.errors import FormatUnknown, RedisUnavailable, RunUnknown
from livetask.keys import BUCKETS, Keys, alive_parsed
from livetask.server.answers import Bell, text_of
from livetask.server.archive.moving import Mover
from livetask.server.archive.shelving import LeaseLost
from livetask.server.backoff import Backoff
from livetask.server.store import Store

log = logging.getLogger(__name__)

_AT_ONCE = 2
_MOST_KNOWN = 100_000
_LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """``after_s``: how long after its end a run is moved. ``step_bytes``: how much of a run that goes on at once.

    ``bytes_per_s``: the most text moved in a second. ``sweep_s``: how often everything is looked at. The rest is for
    what the archive keeps: of one run, of all, and how long.
    """

    after_s: float
    step_bytes: int
    bytes_per_s: int
    sweep_s: float = 15.0
    run_cap_bytes: int = 1 << 30
    cap_bytes: int = 10 << 30
    keep_s: float = 30 * 24 * 3600.0


class Archiver:
    """See the module's docstring. ``run`` is its one loop; ``rung`` is to be called with what the bells say."""

    def __init__(self, store: Store, mover: Mover, prefix: str, terms: Terms) -> None:
        self._store = store
        self._mover = mover
        self._keys = Keys(prefix)
        self._terms = terms
        self._due: dict[str, float] = {}
        self._failed: dict[str, int] = {}
        self._work = asyncio.Event()
        self._sweep_due_s = 0.0
        self._swept_ms = 0
        self.is_ok = True
        self.failures = 0

    @property
    def waiting(self) -> int:
        """How many tasks are to be looked at, now or later."""
        return len(self._due)

    def rung(self, bells: Sequence[Bell], missed: bool) -> None:
        """These bells rang; ``missed``: there may have been others."""
        for bell in bells:
            if bell.what == "grown":
                self._look(bell.task_id, 0.0)
            elif bell.what == "end":
                self._look(bell.task_id, self._terms.after_s)
        if missed:
            self._sweep_due_s = 0.0
            self._work.set()

    def _look(self, task_id: str, wait_s: float) -> None:
        """Look at a task then, or before. Beyond a bound the sweep will find it."""
        due_s = time.monotonic() + wait_s
        if len(self._due) < _MOST_KNOWN or task_id in self._due:
            self._due[task_id] = min(due_s, self._due.get(task_id, due_s))
            self._work.set()

    async def run(self) -> None:
        """Move what is due, for ever."""
        backoff = Backoff(0.5, 30.0)
        while True:
            try:
                if time.monotonic() >= self._sweep_due_s:
                    await self._sweep()
                    self._sweep_due_s = time.monotonic() + self._terms.sweep_s
                moved = await self._move_due()
            except RedisUnavailable as error:
                log.debug("archiver: %s", error)
                await backoff.wait()
                continue
            except ArchiveUnavailable as error:
                self._told(error)
                await backoff.wait()
                continue
            if moved:
                self._told(None)
                backoff.reset()
            await self._wait()

    async def _wait(self) -> None:
        """Until something is due."""
        now_s = time.monotonic()
        next_s = min(min(self._due.values(), default=self._sweep_due_s), self._sweep_due_s)
        self._work.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, next_s - now_s)):
                await self._work.wait()

    async def _move_due(self) -> bool:
        """Have all moved that is due now; whether anything was. Raises RedisUnavailable, ArchiveUnavailable."""
        now_s = time.monotonic()
        due = sorted((due_s, task_id) for task_id, due_s in self._due.items() if due_s <= now_s)
        for start in range(0, len(due), _AT_ONCE):
            some = [task_id for _, task_id in due[start : start + _AT_ONCE]]
            began_s, began_bytes = time.monotonic(), self._mover.text_bytes
            done = await asyncio.gather(*map(self._move, some), return_exceptions=True)
            for error in done:
                if isinstance(error, BaseException):
                    raise error
            await self._paced(began_s, self._mover.text_bytes - began_bytes)
        return bool(due)

    async def _paced(self, began_s: float, moved_bytes: int) -> None:
        """Wait as long as that much text may take."""
        left_s = moved_bytes / self._terms.bytes_per_s - (time.monotonic() - began_s)
        if left_s > 0:
            await asyncio.sleep(left_s)

    async def _move(self, task_id: str) -> None:
        """Have one task moved; when it fails of itself it is looked at again, later each time."""
        self._due.pop(task_id, None)
        try:
            before_ms = await self._store.clock_ms() - int(self._terms.after_s * 1000)
            await self._mover.move(task_id, step_bytes=self._terms.step_bytes, ended_before_ms=before_ms)
        except (RedisUnavailable, ArchiveUnavailable):
            self._look(task_id, 0.0)
            raise
        except (LeaseLost, RunUnknown):
            self._look(task_id, self._terms.sweep_s)
        except FormatUnknown:
            return
        except ArchiveDamaged as error:
            log.error("%s", error)
            self.failures += 1
            tries = self._failed[task_id] = self._failed.get(task_id, 0) + 1
            self._look(task_id, min(_LONGEST_S, 2.0**tries))
        else:
            self._failed.pop(task_id, None)

    async def _sweep(self) -> None:
        """Look at what runs, and at what has changed since the last sweep and may have ended."""
        alive = [("ZRANGE", self._keys.alive(bucket), 0, -1) for bucket in range(BUCKETS)]
        runs = [alive_parsed(text_of(member)) for answer in await self._store.commands(alive) for member in answer]
        fields = [("HMGET", self._keys.task(task), f"{run}.end", f"{run}.archived") for task, run, _ in runs]
        for (task_id, _, _), (end, archived) in zip(runs, await self._store.commands(fields), strict=True):
            if _byte_of(end) - _byte_of(archived) >= self._terms.step_bytes:
                self._look(task_id, 0.0)
        until_ms = await self._store.clock_ms() - int(self._terms.after_s * 1000)
        since = self._swept_ms
        for bucket in range(BUCKETS):
            command = ("ZRANGEBYSCORE", self._keys.recent(bucket), since, until_ms)
            (answer,) = await self._store.commands([command])
            for member in answer:
                self._look(text_of(member), 0.0)
        self._swept_ms = max(since, until_ms - _OVERLAP_MS)

    def _told(self, error: ArchiveUnavailable | None) -> None:
        """Say once that the archive went away, or came back."""
        self.failures += error is not None
        if self.is_ok == (error is None):
            return
        self.is_ok = error is None
        if error is None:
            log.info("the archive can be used again")
        else:
            log.warning("%s; Redis keeps what is to be moved", error)


_OVERLAP_MS = 60_000
"""What was noted a moment ago may have been read before it was there."""


def _byte_of(position: bytes | None) -> int:
    return int(position.rpartition(b"-")[2] or 0) if position else 0
