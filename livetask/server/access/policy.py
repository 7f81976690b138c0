"""What a caller may do with a task: the one place where rights are compared with what is known of the task.

Any right that fits is enough, and each fits as a whole: an ability of one right and the tasks of another make none. Who
may not view a task may do nothing with it, and is answered as if it did not exist.

Where something is not known of a task (the queue of one that was sent by others), only a right without that limit fits:
what is unknown never widens a right.

Pure: no I/O, no clock. Must never know: how a caller was recognised, where tasks come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from livetask.access_errors import Forbidden
from livetask.errors import TaskNotAllowed, TaskUnknown
from livetask.server.access.caller import Caller, Right

_ALL = "*"


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What rights ask of a task. ``id``: '' for one that is to be started. '' elsewhere: it is not known."""

    id: str = ""
    name: str = ""
    queue: str = ""
    owner: str = ""


def may(caller: Caller, ability: str, facts: TaskFacts) -> bool:
    """Whether a right of the caller allows this with that task. Without ``view`` of a stored task, nothing is."""
    if not _allowed(caller, ability, facts):
        return False
    return ability in ("view", "start") or _allowed(caller, "view", facts)


@lru_cache(1024)
def may_everywhere(caller: Caller, ability: str) -> bool:
    """Whether the caller may do it with every task there is, so that no task needs to be looked at."""
    wanted = {ability} if ability == "start" else {ability, "view"}
    return all(any(one in right.abilities and _is_unlimited(right) for right in caller.rights) for one in wanted)


def may_somewhere(caller: Caller, ability: str) -> bool:
    """Whether there can be a task with which the caller may do it."""
    return any(ability in right.abilities for right in caller.rights)


def require(caller: Caller, ability: str, facts: TaskFacts) -> None:
    """Raise TaskUnknown if the caller may not view the task, Forbidden if it may, and may not do this with it."""
    if not may(caller, "view", facts):
        raise TaskUnknown(facts.id)
    if not may(caller, ability, facts):
        raise Forbidden(ability)


def require_start(caller: Caller, name: str, queue: str = "") -> None:
    """Raise TaskNotAllowed if the caller may not start such a task: the words of the allow-list, for both.

    ``queue``: the one that the call names; a right that is limited to queues fits no call that names none.
    """
    if not may(caller, "start", TaskFacts("", name, queue, caller.name)):
        raise TaskNotAllowed(name)


def may_start(caller: Caller, name: str) -> bool:
    """Whether the caller may start tasks of that name, be it on some queues only."""
    return any("start" in right.abilities and _matches(right.tasks, name) for right in caller.rights)


def _allowed(caller: Caller, ability: str, facts: TaskFacts) -> bool:
    return any(ability in right.abilities and _fits(right, caller, facts) for right in caller.rights)


def _fits(right: Right, caller: Caller, facts: TaskFacts) -> bool:
    if right.owner and (not caller.name or caller.name != facts.owner):
        return False
    if right.task_ids is not None and facts.id not in right.task_ids:
        return False
    return _matches(right.tasks, facts.name) and _matches(right.queues, facts.queue)


def _matches(globs: tuple[str, ...], text: str) -> bool:
    return _ALL in globs or (text != "" and any(fnmatchcase(text, glob) for glob in globs))


def _is_unlimited(right: Right) -> bool:
    return not right.owner and right.task_ids is None and _ALL in right.tasks and _ALL in right.queues
