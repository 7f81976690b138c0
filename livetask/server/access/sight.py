"""What the caller may see: the store's tasks, read through the caller's rights.

Every part that answers a client reads tasks here. A task that may not be viewed is read as one that is not stored, by
the same reads: first the few facts that rights ask for, whose size does not depend on the task, and the rest only of
what may be viewed. So the answer to a forbidden task has the words and the time of the answer to an unknown one. Who
may view everything is spared the first read.

A share link is shown the task's log and fate, and nothing that leads away from it: neither arguments nor result, nor
other tasks, nor people.

Must never know: HTTP, Socket.IO, Celery, how a caller was recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from livetask.access_errors import Forbidden
from livetask.errors import TaskUnknown
from livetask.server.access.caller import Caller
from livetask.server.access.policy import TaskFacts, may, may_everywhere, require
from livetask.server.events import Emitted, RunChanged, TaskChanged
from livetask.server.frames import Told
from livetask.server.tasks import Run, Task

Refused = Callable[[Caller, str, str], None]
"""Told of a refusal: the caller, the ability that it lacks, the task's id."""


class Facts(Protocol):
    """Reads what rights ask of tasks."""

    async def __call__(self, task_ids: Sequence[str]) -> Mapping[str, TaskFacts]:
        """The facts of those of the tasks that are stored."""

    async def beyond_redis(self, task_ids: Sequence[str]) -> Mapping[str, TaskFacts]:
        """Look for tasks where those are looked for that Redis does not know."""


class Seen(Protocol):
    """Anything that says of a task what rights ask for."""

    @property
    def task_id(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def queue(self) -> str | None: ...
    @property
    def owner(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Lens:
    """What one caller sees, as a value: two that are equal see the same.

    ``kin``: of those that started the task it follows, the ids of those it may view.
    """

    caller: Caller
    kin: frozenset[str] = frozenset()

    def __call__(self, task: Seen) -> bool:
        """Whether the task may be viewed."""
        return may(self.caller, "view", facts_of(task))

    @property
    def is_clear(self) -> bool:
        """It shows every task there is, and all of each."""
        return self.caller.by != "share" and may_everywhere(self.caller, "view")

    def shown(self, task: Task | None) -> Task | None:
        """The task as it may be viewed; None if it may not be."""
        if task is None or not self(task):
            return None
        return _bare(task) if self.caller.by == "share" else task

    def following(self, task: Task | None) -> Lens:
        """The same for who follows one task. ``task``: as it was shown to the caller."""
        kin = () if task is None else (task.root_id, task.parent_id)
        return replace(self, kin=frozenset(one for one in kin if one))

    def told(self, told: Told) -> Told | None:
        """What a viewer of a task that it may view is told; None for nothing."""
        if self.caller.by != "share":
            return self._without_hidden_kin(told)
        match told.event:
            case Emitted():
                return None
            case TaskChanged(task, listed):
                return Told(told.task_id, TaskChanged(_bare(task), listed))
            case RunChanged(run):
                return Told(told.task_id, RunChanged(_bare_run(run)))
        return told

    def _without_hidden_kin(self, told: Told) -> Told:
        if not isinstance(told.event, TaskChanged):
            return told
        shown = without_kin(told.event.task, self.kin.__contains__)
        return told if shown is told.event.task else Told(told.task_id, TaskChanged(shown, told.event.listed))


class Tasks(Protocol):
    """What is needed of the store."""

    async def task(self, task_id: str) -> Task | None: ...
    async def tasks(self, task_ids: Sequence[str]) -> dict[str, Task]: ...


class Sight:
    """The store's tasks as the caller of this context sees them. ``refused``: see Refused.

    ``facts``: reads what rights ask of tasks, whoever asks. ``caller_now``: says who asks in this context. Raises
    RedisUnavailable as the store does.
    """

    def __init__(
        self, store: Tasks, facts: Facts, caller_now: Callable[[], Caller], refused: Refused | None = None
    ) -> None:
        self._store = store
        self.facts = facts
        self._caller_now = caller_now
        self._refused = refused or (lambda caller, ability, task_id: None)

    def lens(self) -> Lens:
        """What the caller sees, to be kept as long as it stays."""
        return Lens(self._caller_now())

    async def task(self, task_id: str) -> Task | None:
        """The task, None if there is none for this caller. Raises FormatUnknown."""
        lens = self.lens()
        if not lens.is_clear and not await self._is_visible(lens.caller, task_id):
            return None
        return await self._shown(lens, task_id)

    async def glance(self, task_id: str) -> Task | None:
        """The same of a task that was not asked for by its id, as in a list: that it is hidden is no refusal."""
        return await self._shown(self.lens(), task_id)

    async def tasks(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """Those of the tasks that are stored for this caller."""
        lens = self.lens()
        found = await self._store.tasks(task_ids)
        seen = [shown for task in found.values() if (shown := lens.shown(task)) is not None]
        return {task.task_id: task for task in await self._without_hidden_kin(lens, seen)}

    async def _shown(self, lens: Lens, task_id: str) -> Task | None:
        task = lens.shown(await self._store.task(task_id))
        return task if task is None else (await self._without_hidden_kin(lens, [task]))[0]

    async def _without_hidden_kin(self, lens: Lens, tasks: Sequence[Task]) -> Sequence[Task]:
        """The tasks without the ids of those that started them, where these may not be viewed."""
        kin = {one for task in tasks for one in (task.root_id, task.parent_id) if one and one != task.task_id}
        if lens.is_clear or not kin:
            return tasks
        facts = await self.facts(sorted(kin))
        return [without_kin(task, lambda one: one in facts and may(lens.caller, "view", facts[one])) for task in tasks]

    async def require(self, task_id: str, ability: str) -> None:
        """Raise TaskUnknown or Forbidden unless the caller may do this with the task; see policy.

        Who may do it with every task is asked nothing, and may do it with one that livetask does not know.
        """
        error = (await self.judged([task_id], ability))[task_id]
        if error is not None:
            raise error

    async def judged(self, task_ids: Sequence[str], ability: str) -> Mapping[str, TaskUnknown | Forbidden | None]:
        """Of each task, why the caller may not do this with it; None if it may."""
        caller = self._caller_now()
        if may_everywhere(caller, ability):
            return dict.fromkeys(task_ids)
        return await self._verdicts(caller, ability, task_ids)

    async def _is_visible(self, caller: Caller, task_id: str) -> bool:
        return (await self._verdicts(caller, "view", [task_id]))[task_id] is None

    async def _verdicts(
        self, caller: Caller, ability: str, task_ids: Sequence[str]
    ) -> dict[str, TaskUnknown | Forbidden | None]:
        facts = await self.facts(task_ids)
        found = {task_id: self._verdict(caller, ability, task_id, facts.get(task_id)) for task_id in task_ids}
        # so that the one that is hidden is not told apart by its time from the one that is nowhere
        await self.facts.beyond_redis([task_id for task_id in facts if isinstance(found[task_id], TaskUnknown)])
        return found

    def _verdict(
        self, caller: Caller, ability: str, task_id: str, facts: TaskFacts | None
    ) -> TaskUnknown | Forbidden | None:
        if facts is None:
            return TaskUnknown(task_id)
        try:
            require(caller, ability, facts)
        except (TaskUnknown, Forbidden) as error:
            self._refused(caller, ability, task_id)
            return error
        return None


def facts_of(task: Seen) -> TaskFacts:
    """What rights ask of a task."""
    return TaskFacts(task.task_id, task.name or "", task.queue or "", task.owner or "")


def without_kin(task: Task, is_seen: Callable[[str], bool]) -> Task:
    """The task without the ids of those that started it, where these may not be viewed; it may name itself."""
    root, parent = (
        None if one and one != task.task_id and not is_seen(one) else one for one in (task.root_id, task.parent_id)
    )
    return task if (root, parent) == (task.root_id, task.parent_id) else replace(task, root_id=root, parent_id=parent)


def _bare(task: Task) -> Task:
    return replace(
        task,
        queue=None,
        worker=None,
        root_id=None,
        parent_id=None,
        args=None,
        kwargs=None,
        result=None,
        stopping_by=None,
        stopping_note=None,
        revoked_by=None,
        deleted_by=None,
        rerun_of=None,
        reruns=(),
        call=None,
        call_not=None,
        owner=None,
        runs=tuple(_bare_run(run) for run in task.runs),
    )


def _bare_run(run: Run) -> Run:
    return replace(run, host=None, pid=None, worker=None)
