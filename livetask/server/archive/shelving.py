"""What Redis is told while a run's output moves to the archive. Each call is one script; see scripts/shelve.lua.

One server at a time works on a task: it holds the task's lease, under a token of its own, and loses it when it dies.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from livetask.keys import Keys
from livetask.position import Position
from livetask.server.tasks import Run

LEASE_MS = 60_000

Scripted = Callable[[Sequence[tuple[str, Sequence[str], Sequence[Any]]]], Awaitable[list[Any]]]


class LeaseLost(Exception):
    """Another server works on the task now, or the run is not what it was: begin anew later."""


class Shelving:
    """The calls. ``scripted``: the store's; ``where``: a word for where the archive lies."""

    def __init__(self, scripted: Scripted, prefix: str, where: str) -> None:
        self._scripted = scripted
        self._keys = Keys(prefix)
        self._where = where
        self._token = secrets.token_hex(8)

    async def take(self, task_id: str) -> bool:
        """Take the lease of a task, or renew it; False if another server has it."""
        return await self._told("take", task_id, None) == b"OK"

    async def drop(self, task_id: str) -> None:
        """Give the lease up."""
        await self._told("drop", task_id, None)

    async def done(self, task_id: str, changed_at_ms: int) -> None:
        """The task is archived as it was then: nothing is to be done before it changes."""
        await self._told("done", task_id, None, str(changed_at_ms))

    async def note(self, task_id: str, run: Run, to: Position, first: Position, why: str) -> None:
        """The run is archived up to ``to``; of what is before ``first``, the reason is ``why``. Raises LeaseLost."""
        await self._must("note", task_id, run, str(to), str(first), why)

    async def shrink(self, task_id: str, run: Run, to: Position, first: Position, why: str) -> None:
        """The same of a run that has ended; give up what Redis has of it. Raises LeaseLost if it goes on."""
        await self._must("shrink", task_id, run, str(to), str(first), why)

    async def forget(self, task_id: str, run: Run, why: str) -> None:
        """The run is not in the archive any more. Raises LeaseLost."""
        await self._must("forget", task_id, run, "", "", why)

    async def _must(self, what: str, task_id: str, run: Run, *rest: str) -> None:
        if (answer := await self._told(what, task_id, run, *rest)) != b"OK":
            raise LeaseLost(f"{task_id}: {answer.decode()}")

    async def _told(
        self, what: str, task_id: str, run: Run | None, to: str = "", first: str = "", why: str = ""
    ) -> bytes:
        ordinal, nonce = (run.run, run.nonce) if run is not None else (0, "")
        keys = (self._keys.task(task_id), self._keys.output(task_id, nonce), self._keys.archiving(task_id))
        args = (what, ordinal, nonce, self._token, LEASE_MS, to, first, why, self._where)
        ((answer, *_),) = await self._scripted([("shelve", keys, args)])
        return bytes(answer)
