"""Stopping tasks: what waits never begins, what runs is asked to end, and is terminated if that is wanted.

| the task | outcome |
|---|---|
| waits | revoked |
| runs | cancelling: it ends at its next checkpoint, if it has one |
| runs, terminate after a grace | stopping: the same, and it is terminated if it has not ended by then |
| runs, terminate now | terminated, or cannot_terminate, no_answer, not_running: what its worker said |
| has ended | ended |
| is not known here | revoked: all workers were told, and those to come |
| is not the asker's to stop | task_unknown, forbidden |

Terminations that wait for their time belong to this server, not to the client who wished them; a server that stops
carries them out at once. Must never know: Celery's words, HTTP, Socket.IO.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from livetask.errors import BrokerUnavailable, LivetaskError, RedisUnavailable, StopRefused, TooMany
from livetask.server.control import Control
from livetask.server.revoking import Answer
from livetask.server.store import Store
from livetask.server.tasks import Task
from livetask.server.wishes import Before, Wishes

log = logging.getLogger(__name__)

Judge = Callable[[Sequence[str], str], Awaitable[Mapping[str, LivetaskError | None]]]
"""Of each task, why the one who asks may not do this with it; None if it may."""

Noted = Callable[[str, str], None]
"""Told of a task, and whether it is to be cancelled or terminated."""

_WAITING = 10_000
_AGAIN_S = 2.0
_TRIES = 5
_CLOSE_S = 1.0
_ASKED = "it was asked to end at its next checkpoint"


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of a wish. ``outcome``: see the module's docstring. ``words``: the same as a sentence."""

    task_id: str
    outcome: str
    words: str

    @property
    def refused(self) -> bool:
        """Whether the task was to be stopped, and was not."""
        return self.outcome in ("cannot_terminate", "no_answer", "not_running", "task_unknown", "forbidden")

    def checked(self) -> Stopped:
        """Itself; raises StopRefused if it is one."""
        if self.refused:
            raise StopRefused(self.outcome, self.words)
        return self


@dataclass(slots=True)
class _Waiting:
    """A termination that waits. ``due_s``: monotonic. ``tries``: how often it failed for want of the broker."""

    due_s: float
    tries: int = 0


class Stops:
    """See the module's docstring. ``run`` is its one loop. ``judge``: says who may not stop what.

    ``noted``: told of each wish that was taken.
    """

    def __init__(
        self, control: Control, wishes: Wishes, store: Store, judge: Judge | None = None, noted: Noted | None = None
    ) -> None:
        self._judge = judge or _anybody
        self._noted = noted or (lambda task_id, how: None)
        self._control = control
        self._wishes = wishes
        self._store = store
        self._waiting: dict[str, _Waiting] = {}
        self._changed = asyncio.Event()

    async def stop(
        self, task_ids: Sequence[str], *, by: str, terminate: bool = False, grace_s: float = 0.0
    ) -> list[Stopped]:
        """Stop tasks, those of them that may be. ``terminate``: also where they run, after ``grace_s``.

        Ids are checked by the caller. Raises BrokerUnavailable, and then nothing is noted; TooMany.
        """
        judged = await self._judge(task_ids, "cancel")
        refused = {task_id: Stopped(task_id, error.code, str(error)) for task_id, error in judged.items() if error}
        wanted = [task_id for task_id in task_ids if task_id not in refused]
        found = refused | (await self._stopped(wanted, by, terminate, grace_s) if wanted else {})
        for task_id in wanted:
            self._noted(task_id, "terminate" if terminate else "cancel")
        return [found[task_id] for task_id in task_ids]

    async def _stopped(self, task_ids: Sequence[str], by: str, terminate: bool, grace_s: float) -> dict[str, Stopped]:
        if terminate and grace_s and len(self._waiting) + len(task_ids) > _WAITING:
            raise TooMany("terminations waiting", _WAITING)
        await self._control.revoke(task_ids)
        before = await self._wished(task_ids, "terminate" if terminate and not grace_s else "cancel", by)
        found = {task_id: _first_outcome(task_id, what) for task_id, what in before.items()}
        open_ids = [task_id for task_id, what in before.items() if what in ("runs", "unknown")] if terminate else []
        if grace_s:
            for task_id in open_ids:
                found[task_id] = self._later(task_id, grace_s)
        elif open_ids:
            found |= await self._terminated(open_ids)
            for task_id in open_ids:
                if before[task_id] == "unknown" and found[task_id].refused:
                    found[task_id] = _first_outcome(task_id, "unknown")
        return found

    async def _wished(self, task_ids: Sequence[str], how: str, by: str) -> dict[str, Before]:
        """What each task was; a Redis that is away does not undo what Celery's workers were told."""
        try:
            return await self._wishes.stop(task_ids, "terminate" if how == "terminate" else "cancel", by)
        except RedisUnavailable as error:
            log.warning("the wish to stop %d tasks was not noted: %s", len(task_ids), error)
            return dict.fromkeys(task_ids, "unknown")

    # ---- terminating

    async def _terminated(self, task_ids: Sequence[str]) -> dict[str, Stopped]:
        """What the workers did that run these tasks, each asked once for all of its tasks."""
        tasks = await self._known(task_ids)
        by_worker: dict[str | None, list[str]] = {}
        found: dict[str, Stopped] = {}
        for task_id in task_ids:
            task = tasks.get(task_id)
            if task is not None and task.has_ended:
                found[task_id] = Stopped(task_id, "ended", "it has ended")
            elif task is not None and (run := next((run for run in task.runs if run.how is None), None)):
                if run.pool == "solo":
                    found[task_id] = _cannot(task_id, run.worker, "solo")
                else:
                    by_worker.setdefault(run.worker, []).append(task_id)
            else:
                by_worker.setdefault(None, []).append(task_id)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._asked(worker, ids, tasks)) for worker, ids in by_worker.items()]
        for asking in asked:
            found |= asking.result()
        for stopped in found.values():
            with suppress(RedisUnavailable):
                await self._wishes.tell(stopped.task_id, "terminate", stopped.words if stopped.refused else "")
        return found

    async def _known(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        try:
            return await self._store.tasks(task_ids)
        except RedisUnavailable:
            return {}

    async def _asked(
        self, worker: str | None, task_ids: Sequence[str], tasks: Mapping[str, Task]
    ) -> dict[str, Stopped]:
        """What one worker did, or all of them."""
        try:
            answers = await self._control.terminate(task_ids, worker)
        except BrokerUnavailable as error:
            return {task_id: Stopped(task_id, "no_answer", str(error)) for task_id in task_ids}
        return {task_id: self._outcome(task_id, worker, answers, tasks.get(task_id)) for task_id in task_ids}

    def _outcome(self, task_id: str, worker: str | None, answers: Sequence[Answer], task: Task | None) -> Stopped:
        pool = next((run.pool for run in task.runs if run.how is None), None) if task is not None else None
        for answer in answers:
            if task_id in answer.task_ids:
                return Stopped(task_id, "terminated", f"worker {answer.worker} has terminated it")
        for answer in answers:
            if answer.did == "cannot":
                return _cannot(task_id, answer.worker, pool)
        if answers:
            return Stopped(task_id, "not_running", f"{_name(worker)} does not run it; it may just have ended")
        words = f"{_name(worker)} did not answer within {self._control.answer_s:g} s; {_ASKED}"
        return Stopped(task_id, "no_answer", words)

    # ---- after a grace

    def _later(self, task_id: str, grace_s: float) -> Stopped:
        self._waiting[task_id] = _Waiting(time.monotonic() + grace_s)
        self._changed.set()
        return Stopped(task_id, "stopping", f"{_ASKED}; it is terminated if it still runs after {grace_s:g} s")

    async def run(self) -> None:
        """Terminate what still runs when its grace is over, for ever."""
        while True:
            self._changed.clear()
            next_s = min((waiting.due_s for waiting in self._waiting.values()), default=None)
            left_s = None if next_s is None else next_s - time.monotonic()
            if left_s is None or left_s > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._changed.wait()
                continue
            now_s = time.monotonic()
            await self._carry_out([task_id for task_id, waiting in self._waiting.items() if waiting.due_s <= now_s])

    async def close(self) -> None:
        """Carry out what still waits, within a second: the client was told that it will be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._carry_out(list(self._waiting))

    async def _carry_out(self, task_ids: Sequence[str]) -> None:
        tries = {task_id: self._waiting.pop(task_id).tries + 1 for task_id in task_ids}
        if not tries:
            return
        for stopped in (await self._terminated(task_ids)).values():
            if stopped.outcome == "no_answer" and tries[stopped.task_id] < _TRIES:
                again_s = time.monotonic() + _AGAIN_S
                self._waiting.setdefault(stopped.task_id, _Waiting(again_s, tries[stopped.task_id]))
            elif stopped.refused:
                log.warning("task %s was to be terminated: %s", stopped.task_id, stopped.words)


async def _anybody(task_ids: Sequence[str], ability: str) -> Mapping[str, LivetaskError | None]:
    return dict.fromkeys(task_ids)


def _first_outcome(task_id: str, before: Before) -> Stopped:
    """What is true when all workers were told, and nobody was asked to terminate."""
    if before == "runs":
        return Stopped(task_id, "cancelling", _ASKED)
    if before == "ended":
        return Stopped(task_id, "ended", "it has ended")
    return Stopped(task_id, "revoked", "no worker will begin it")


def _cannot(task_id: str, worker: str | None, pool: str | None) -> Stopped:
    of = f"the {pool} pool" if pool else "the pool"
    return Stopped(task_id, "cannot_terminate", f"{of} of {_name(worker)} cannot terminate a task; {_ASKED}")


def _name(worker: str | None) -> str:
    return f"worker {worker}" if worker is not None else "any worker"
