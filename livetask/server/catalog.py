"""The list of tasks, live: who watches it is sent every task that changes, each at most four times a second.

What changed is kept as a set of names, for all watchers and for each one whose transport is full; a watcher who comes
late is sent what is true then, not what was true meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from livetask.errors import RedisUnavailable
from livetask.server.answers import Bell
from livetask.server.backoff import Backoff
from livetask.server.events import TaskChanged
from livetask.server.feed import Gone, Sink
from livetask.server.frames import Told
from livetask.server.hub import Hub
from livetask.server.tasks import Task

log = logging.getLogger(__name__)

EVERY_S = 0.25
LISTED = 200
_MOST = 10_000
_COUNTS_S = 1.0
_RECHECK_MS = 60_000


class Watcher:
    """One viewer of the list. ``owed``: tasks that it has not been told of while its transport was full."""

    __slots__ = ("owed", "sink")

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.owed: set[str] = set()


@dataclass(frozen=True, slots=True)
class Listing:
    """What a watcher begins with. ``tasks``: newest first. ``counts``: of the whole list, by state."""

    tasks: tuple[Task, ...]
    counts: dict[str, int]


class Catalog:
    """See the module's docstring. ``run`` is its one loop; who starts the hub runs it."""

    def __init__(self, hub: Hub) -> None:
        self._store = hub.store
        self._watchers: set[Watcher] = set()
        self._dirty: set[str] = set()
        self._missed = False
        self._seen_ms = 0
        self._counts: dict[str, int] = {}
        self._counts_due_s = float("-inf")
        self._work = asyncio.Event()
        hub.on_rung(self._rung)

    async def watch(self, sink: Sink) -> tuple[Watcher, Listing]:
        """What there is; changes follow from now on. Raises RedisUnavailable."""
        watcher = Watcher(sink)
        self._watchers.add(watcher)
        try:
            tasks = (await self._store.recent(LISTED)).tasks
            counts = await self._counted()
        except BaseException:
            self._watchers.discard(watcher)
            raise
        return watcher, Listing(tasks, counts)

    async def _counted(self) -> dict[str, int]:
        """The counts, at most a second old: they are asked of every task in the list."""
        now_s = time.monotonic()
        if now_s >= self._counts_due_s:
            self._counts = await self._store.counts()
            self._counts_due_s = now_s + _COUNTS_S
        return self._counts

    def leave(self, watcher: Watcher) -> None:
        """Watch no more."""
        self._watchers.discard(watcher)

    def _rung(self, bells: Sequence[Bell], missed: bool) -> None:
        if not self._watchers:
            return
        self._missed = self._missed or missed
        self._dirty.update(bell.task_id for bell in bells if bell.what != "room")
        self._work.set()

    async def run(self) -> None:
        """Tell the watchers, for ever."""
        backoff = Backoff()
        while True:
            await self._work.wait()
            self._work.clear()
            dirty, self._dirty = self._dirty, set()
            try:
                if self._missed:
                    dirty |= await self._changed_since()
                    self._missed = False
                await self._tell(dirty)
            except RedisUnavailable:
                self._dirty |= dirty
                self._work.set()
                await backoff.wait()
                continue
            backoff.reset()
            await asyncio.sleep(EVERY_S)

    async def _changed_since(self) -> set[str]:
        """What may have changed while the bells were not heard."""
        ids = await self._store.recent_ids(_MOST)
        return {task_id for task_id, at_ms in ids if at_ms >= self._seen_ms - _RECHECK_MS}

    async def _tell(self, dirty: set[str]) -> None:
        self._seen_ms = int(time.time() * 1000)
        ready: list[Watcher] = []
        for watcher in self._watchers:
            watcher.owed |= dirty
            if watcher.owed and watcher.sink.drained:
                ready.append(watcher)
        wanted = set().union(*(watcher.owed for watcher in ready)) if ready else set()
        tasks = await self._store.tasks(list(wanted))
        told = {task_id: Told(task_id, TaskChanged(task)) for task_id, task in tasks.items()}
        for watcher in ready:
            owed, watcher.owed = watcher.owed, set()
            self._tell_one(watcher, [told[task_id] for task_id in owed if task_id in told])
        if any(watcher.owed for watcher in self._watchers):
            self._work.set()

    def _tell_one(self, watcher: Watcher, news: Sequence[Told]) -> None:
        try:
            for told in news:
                watcher.sink.tell(told)
            return
        except Gone:
            log.debug("a watcher of the list has gone")
        except Exception:
            log.exception("a watcher of the list cannot be told anything any more")
        self._watchers.discard(watcher)
