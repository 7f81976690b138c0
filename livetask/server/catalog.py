"""The list of tasks, live: who watches it is told of every task that changes, each at most four times a second.

A watcher says with a filter which tasks it wants, and begins with the first of them and how many there are in each
state. Watchers with the same filter who may see the same share a view, whose counts follow the changes. A watcher is
told of a task that it wants, and of one that it wanted until now. What changed is kept as a set of names, for all and
for each one whose transport is full; a watcher who comes late is sent what is true then, not what was meanwhile.

Must never know: Socket.IO, HTTP, the output of tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from livetask.errors import RedisUnavailable
from livetask.server.access.sight import Sight, without_kin
from livetask.server.answers import Bell
from livetask.server.backoff import Backoff
from livetask.server.events import CountsChanged, TaskChanged, TaskUnlisted
from livetask.server.feed import Gone, Sink
from livetask.server.frames import Told
from livetask.server.hub import Hub
from livetask.server.listing.asked import ALL, Listing, Wish
from livetask.server.listing.roster import Roster, Sees, everything
from livetask.server.listing.rows import Key, Row, row_of
from livetask.server.listing.wanted import Filter
from livetask.server.tasks import Task

log = logging.getLogger(__name__)

EVERY_S = 0.25
_COUNTS_S = 1.0
_COUNTED_AT_ONCE = 1500
_SYNC_S = 15.0
"""What no bell tells, such as tasks that leave the list, is seen within this time."""


@dataclass(eq=False, slots=True)
class View:
    """What a filter shows to those who may see the same. ``counts``: tasks by state; right when all are ``counted``."""

    wanted: Filter
    sees: Sees
    counts: Counter[str] = field(default_factory=Counter)
    counting: bool = False
    counted: bool = False
    watchers: set[Watcher] = field(default_factory=set)

    def listed(self, row: Row | None) -> Row | None:
        """The row, if its task is wanted and may be seen."""
        return row if row is not None and self.sees(row) and self.wanted.holds(row) else None

    def count(self, before: Row | None, after: Row | None) -> None:
        """Count a task that came, changed or went."""
        was, now = self.listed(before), self.listed(after)
        if was is not None:
            self.counts[was.state] -= 1
        if now is not None:
            self.counts[now.state] += 1
        if was is None or now is None or was.state != now.state:
            for watcher in self.watchers:
                watcher.owes_counts = True


class Watcher:
    """One viewer of the list. ``owed``: tasks that it has not been told of yet, and whether it may have them listed."""

    __slots__ = ("counts_due_s", "owed", "owes_counts", "sink", "view", "wish")

    def __init__(self, sink: Sink, wish: Wish, view: View) -> None:
        self.sink = sink
        self.wish = wish
        self.view = view
        self.owed: dict[str, bool] = {}
        self.owes_counts = False
        self.counts_due_s = 0.0

    def lists(self, row: Row | None) -> bool:
        """Whether the task stands in its list. ``row``: what the view lists of it."""
        return row is not None and self.wish.wants_state(row.state)

    def owe(self, task_id: str, was: Row | None, now: Row | None) -> None:
        """Note that a task has changed, if that is of interest. ``was``, ``now``: what the view lists of it."""
        listed = self.lists(was)
        if listed or self.lists(now) or task_id in self.wish.also:
            self.owed[task_id] = self.owed.get(task_id, False) or listed


class Catalog:
    """See the module's docstring. ``run`` is its one loop; who starts the hub runs it.

    ``sight``: what the one may see who asks; None: everything.
    """

    def __init__(self, hub: Hub, sight: Sight | None = None) -> None:
        self._store = hub.store
        self._sight = sight
        self.roster = Roster(hub.store.listed, self._changed)
        self._views: dict[tuple[Filter, Sees], View] = {}
        self._watchers: set[Watcher] = set()
        self._dirty: set[str] = set()
        self._missed = False
        self._synced_s = float("-inf")
        self._work = asyncio.Event()
        hub.on_rung(self._rung)

    # ---- asking

    async def listing(self, wish: Wish, *, after: Key | None = None, now_ms: int = 0) -> Listing:
        """The first tasks of a list, those after a key of that order if one is given. Raises RedisUnavailable."""
        sees = self._sees()
        await self.roster.sync()
        now_ms = now_ms or int(time.time() * 1000)
        found = await self.roster.select(wish.wanted, wish.states, wish.order, wish.limit, now_ms, after, sees)
        stored = await self._store.tasks([row.task_id for row in found.rows])
        self.roster.forget(row.task_id for row in found.rows if row.task_id not in stored)

        def fits(row: Row) -> bool:
            """Still, as the task is now: it may have changed since the list was looked through."""
            return sees(row) and wish.wanted.holds(row) and wish.wants_state(row.state)

        read = (stored[row.task_id] for row in found.rows if row.task_id in stored)
        tasks = tuple(self._shown(task, sees) for task in read if fits(row_of(task)))
        return Listing(tasks, found.counts, found.total, found.after, now_ms)

    async def watch(self, sink: Sink, wish: Wish = ALL) -> tuple[Watcher, Listing]:
        """What there is; changes follow from now on. Raises RedisUnavailable."""
        sees = self._sees()
        await self.roster.sync()
        view = self._views.setdefault((wish.wanted, sees), View(wish.wanted, sees))
        watcher = Watcher(sink, wish, view)
        view.watchers.add(watcher)
        self._watchers.add(watcher)
        if wish.also:
            watcher.owed.update(dict.fromkeys(wish.also, False))  # they may have ended while nobody watched
            self._work.set()
        try:
            await self._count(view)
            return watcher, await self.listing(wish)
        except BaseException:
            self.leave(watcher)
            raise

    def _shown(self, task: Task, sees: Sees) -> Task:
        """The task without the ids of others that may not be viewed."""
        if sees is everything:
            return task
        return without_kin(task, lambda one: (row := self.roster.row(one)) is not None and sees(row))

    def _sees(self) -> Sees:
        """What the one may see who asks in this context."""
        lens = None if self._sight is None else self._sight.lens()
        return everything if lens is None or lens.is_clear else lens

    async def _count(self, view: View) -> None:
        """Count what is there now; what changes meanwhile is counted as it changes, and the sum is right at the end."""
        if view.counting:
            return
        view.counting = True
        rows = iter(list(self.roster))
        while some := list(islice(rows, _COUNTED_AT_ONCE)):
            for row in some:
                view.count(None, row)
            await asyncio.sleep(0)
        view.counted = True

    def leave(self, watcher: Watcher) -> None:
        """Watch no more."""
        self._watchers.discard(watcher)
        watcher.view.watchers.discard(watcher)
        if not watcher.view.watchers:
            self._views.pop((watcher.view.wanted, watcher.view.sees), None)

    # ---- what changes

    def _rung(self, bells: Sequence[Bell], missed: bool) -> None:
        if not self._watchers:
            return
        self._missed = self._missed or missed
        self._dirty.update(bell.task_id for bell in bells if bell.what != "room")
        self._work.set()

    def _changed(self, before: Row | None, after: Row | None) -> None:
        """A row of the roster came, changed or went."""
        row = after or before
        if row is None or not self._watchers:
            return
        for view in self._views.values():
            view.count(before, after)
        self._note(row.task_id, before, after)

    def _note(self, task_id: str, before: Row | None, after: Row | None) -> None:
        """Note with all watchers that a task has changed."""
        for view in self._views.values():
            was, now = view.listed(before), view.listed(after)
            for watcher in view.watchers:
                watcher.owe(task_id, was, now)
        self._work.set()

    async def run(self) -> None:
        """Tell the watchers, for ever."""
        backoff = Backoff()
        with contextlib.suppress(RedisUnavailable):
            await self.roster.sync()  # so that the first who asks need not wait for the whole list
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._work.wait(), _SYNC_S if self._watchers else None)
            self._work.clear()
            dirty, self._dirty = self._dirty, set()
            try:
                await self._look(dirty)
            except RedisUnavailable:
                self._dirty |= dirty
                self._missed = True
                self._work.set()
                await backoff.wait()
                continue
            backoff.reset()
            await asyncio.sleep(EVERY_S)

    async def _look(self, dirty: set[str]) -> None:
        """Read what has changed, and tell it to those who are ready."""
        unknown = any(self.roster.row(task_id) is None for task_id in dirty)
        if unknown or self._missed or time.monotonic() - self._synced_s > _SYNC_S:
            self._missed, self._synced_s = False, time.monotonic()
            await self.roster.sync()
        asked = dirty | self._owed()
        tasks = await self._read(asked)
        for task_id in dirty:
            row = self.roster.row(task_id)
            self._note(task_id, row, row)
        more = self._owed() - asked
        tasks |= await self._read(more)
        self._tell(tasks, asked | more)

    def _owed(self) -> set[str]:
        """The tasks that watchers are to be told of now."""
        return set().union(*(watcher.owed for watcher in self._watchers if watcher.sink.drained))

    async def _read(self, task_ids: set[str]) -> dict[str, Task]:
        tasks = await self._store.tasks(list(task_ids))
        for task in tasks.values():
            self.roster.put(row_of(task))
        return tasks

    def _tell(self, tasks: dict[str, Task], read: set[str]) -> None:
        """Tell of what was read; what has changed since then waits for the next time."""
        letters = _Letters(tasks, self._shown)
        for watcher in [watcher for watcher in self._watchers if watcher.sink.drained]:
            owed = {task_id: was for task_id, was in watcher.owed.items() if task_id in read}
            watcher.owed = {task_id: was for task_id, was in watcher.owed.items() if task_id not in read}
            rows = ((task_id, was, self.roster.row(task_id)) for task_id, was in owed.items())
            self._tell_one(watcher, [letters.of(task_id, watcher, was, row) for task_id, was, row in rows])
            self._tell_counts(watcher)
        if any(watcher.owed or watcher.owes_counts for watcher in self._watchers):
            self._work.set()

    def _tell_counts(self, watcher: Watcher) -> None:
        now_s = time.monotonic()
        if not watcher.owes_counts or not watcher.view.counted or now_s < watcher.counts_due_s:
            return
        watcher.owes_counts, watcher.counts_due_s = False, now_s + _COUNTS_S
        self._tell_one(watcher, [Told("", CountsChanged({state: n for state, n in watcher.view.counts.items() if n}))])

    def _tell_one(self, watcher: Watcher, news: Iterable[Told | None]) -> None:
        try:
            for told in news:
                if told is not None:
                    watcher.sink.tell(told)
            return
        except Gone:
            log.debug("a watcher of the list has gone")
        except Exception:
            log.exception("a watcher of the list cannot be told anything any more")
        self.leave(watcher)


class _Letters:
    """What watchers are told, each made once. ``tasks``: as they are now. ``shown``: to one who sees so much."""

    def __init__(self, tasks: dict[str, Task], shown: Callable[[Task, Sees], Task]) -> None:
        self._tasks = tasks
        self._shown = shown
        self._made: dict[tuple[str, bool, Sees], Told] = {}
        self._gone: dict[str, Told] = {}
        self._rows: dict[str, Row] = {}

    def _row(self, task: Task) -> Row:
        """The row of a task as it is told."""
        row = self._rows.get(task.task_id)
        if row is None:
            row = self._rows[task.task_id] = row_of(task)
        return row

    def of(self, task_id: str, watcher: Watcher, was_listed: bool, row: Row | None) -> Told | None:
        """What the watcher is told of a task; None: nothing."""
        task = self._tasks.get(task_id)
        if task is None or row is None or not watcher.view.sees(row):
            return self._gone.setdefault(task_id, Told(task_id, TaskUnlisted(task_id))) if was_listed else None
        # by what is told, not by the row: a slower reading of the list may have put an older one there
        listed = watcher.lists(watcher.view.listed(self._row(task)))
        if not (listed or was_listed or task_id in watcher.wish.also):
            return None
        view = (task_id, listed, watcher.view.sees)
        letter = self._made.get(view)
        if letter is None:
            letter = self._made[view] = Told(task_id, TaskChanged(self._shown(task, watcher.view.sees), listed))
        return letter
