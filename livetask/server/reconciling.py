"""Nothing stays under way for ever: tasks of which nothing was heard for a while are asked after.

| state | asked | then |
|---|---|---|
| QUEUED, RETRY, LOST | Celery's result backend | if it knows an end, that is how the task has ended |
| RUNNING | the leases | a run that has none is given one, and one that ends too late a shorter one |
| RUNNING, without a run | the result backend | the end that it knows, else LOST |

The first is a task that a worker without livetask ran, or of whose end the word was lost. A lease is renewed by the
run's worker, or over soon, and then the run is LOST; it ends too late when Redis' clock was set back. In the last case
Redis has forgotten the run and nobody has sent it again.

Any number of servers may do it at once. Each round asks a few tasks, those first that were not asked for longest, so
that a long queue costs the backend next to nothing.

Must never know: viewers, HTTP, what asking the backend is done with.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from livetask.errors import LivetaskError, Unavailable
from livetask.keys import Keys, alive_member, bucket_of
from livetask.server.listing.rows import Row
from livetask.server.tasks import Task

log = logging.getLogger(__name__)

ENDS = ("SUCCESS", "FAILURE", "REVOKED")
"""The states of the result backend that are ends; whatever else it says, the task may still be under way."""

_SILENT = ("QUEUED", "RETRY", "LOST")
_A_ROUND = 50
_FAR_MS = 120_000
"""A lease that lasts so much longer than this server's was taken before Redis' clock was set back."""


class Fate(Protocol):
    """What the result backend knows of a task."""

    @property
    def state(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Asks:
    """Whom a Reconciler asks, and whom it tells.

    ``rows``: the list of tasks as it is now. ``task``: one task whole. ``fate``: what the result backend knows of one;
    raises Unavailable. ``note``: notes facts of a task, as ``Store.note`` does. ``commands``: as ``Store.commands``.
    """

    rows: Callable[[], Awaitable[Iterable[Row]]]
    task: Callable[[str], Awaitable[Task | None]]
    fate: Callable[[str], Awaitable[Fate]]
    note: Callable[[str, str, Mapping[str, str]], Awaitable[bool]]
    commands: Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]


@dataclass(slots=True)
class _Known:
    """``changed_ms``: when the task changed last, as Redis says. ``due_s``: when it is asked after, monotonic."""

    changed_ms: int
    due_s: float


class Reconciler:
    """See the module's docstring. ``patience_s``: how long a task may be silent before it is asked after; then again
    each ``patience_s``, four times as long at most. ``lease_ms``: of a run that has none."""

    def __init__(self, asks: Asks, keys: Keys, *, patience_s: float = 30.0, lease_ms: int = 20_000) -> None:
        self._asks = asks
        self._keys = keys
        self._patience_s = patience_s
        self._lease_ms = lease_ms
        self._known: dict[str, _Known] = {}

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await asyncio.sleep(self._patience_s / 3)
            try:
                await self.round(time.monotonic())
            except Unavailable as error:
                log.debug("tasks could not be asked after: %s", error)

    async def round(self, now_s: float) -> None:
        """Ask after those that are due, a few of them. Raises Unavailable."""
        silent = {row.task_id: row for row in await self._asks.rows() if row.state == "RUNNING" or row.state in _SILENT}
        self._known = {task_id: known for task_id, known in self._known.items() if task_id in silent}
        for row in silent.values():
            known = self._known.get(row.task_id)
            if known is None or known.changed_ms != row.changed_ms:
                self._known[row.task_id] = _Known(row.changed_ms, now_s + self._patience_s)
        due = sorted((known.due_s, task_id) for task_id, known in self._known.items() if known.due_s <= now_s)
        for _, task_id in due[:_A_ROUND]:
            self._known[task_id].due_s = now_s + 4 * self._patience_s
            if silent[task_id].state == "RUNNING":
                await self._look(task_id)
            else:
                await self._ask(task_id)

    async def _ask(self, task_id: str, otherwise: str = "") -> None:
        """Ask the result backend. ``otherwise``: the state that is noted when it knows no end; '' for none."""
        try:
            fate = await self._asks.fate(task_id)
        except Unavailable:
            raise
        except LivetaskError as error:
            log.debug("task %s cannot be asked after: %s", task_id, error)
            return
        state = fate.state if fate.state in ENDS else otherwise
        if state and await self._asks.note(task_id, "state", {"state": state}):
            log.info("task %s was not heard of: %s, the result backend says %s", task_id, state, fate.state)

    async def _look(self, task_id: str) -> None:
        """Give a lease to each run that goes on and has none; one that has it keeps it."""
        task = await self._asks.task(task_id)
        if task is None:
            return
        runs = [run for run in task.runs if run.how is None]
        if not runs:
            await self._ask(task_id, "LOST")
            return
        ((seconds, micros),) = await self._asks.commands([("TIME",)])  # the clock that the leases are measured by
        until_ms = int(seconds) * 1000 + int(micros) // 1000 + self._lease_ms
        alive = self._keys.alive(bucket_of(task_id))
        members = [alive_member(task_id, run.run, run.nonce) for run in runs]
        await self._asks.commands(
            [("ZADD", alive, "NX", until_ms, member) for member in members]
            + [("ZADD", alive, "XX", "LT", until_ms + _FAR_MS, member) for member in members]
        )
