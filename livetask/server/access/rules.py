"""What the parts of the server are given so that they keep to the rights of the one who asks, and note what was done.

Control, Stops and the rest know neither callers nor the audit: they are handed these functions, and call them.

Must never know: HTTP, Socket.IO, Celery, Redis.
"""

from __future__ import annotations

from collections.abc import Callable

from livetask.errors import TaskNotAllowed
from livetask.server.access.audit import Audit
from livetask.server.access.caller import Caller
from livetask.server.access.policy import may_start, require_start


class Rules:
    """``caller_now``: says who asks in this context. ``audit``: where it is noted what was done."""

    def __init__(self, caller_now: Callable[[], Caller], audit: Audit) -> None:
        self._caller_now = caller_now
        self._audit = audit

    def permit(self, name: str, queue: str) -> None:
        """Raise TaskNotAllowed if the caller may not start a task of that name, on that queue if one is named."""
        try:
            require_start(self._caller_now(), name, queue)
        except TaskNotAllowed:
            self._audit.note("refused", self._caller_now(), "", f"start {name}")
            raise

    def offers(self, name: str) -> bool:
        """Whether the caller may start tasks of that name."""
        return may_start(self._caller_now(), name)

    def started(self, task_id: str, name: str, again: bool) -> None:
        """The broker has taken a task. ``again``: it repeats another one."""
        self._audit.note("rerun" if again else "start", self._caller_now(), task_id, name)

    def stopped(self, task_id: str, how: str) -> None:
        """A wish that a task stops was taken. ``how``: cancel or terminate."""
        self._audit.note("cancel", self._caller_now(), task_id, how)

    def refused(self, caller: Caller, ability: str, task_id: str) -> None:
        """A caller lacks a right to do this with a task, or at all ('')."""
        self._audit.note("refused", caller, task_id, ability)

    def done(self, kind: str, task_id: str, what: str) -> None:
        """Something was done with a task: its log was given away as a file, it was deleted."""
        self._audit.note(kind, self._caller_now(), task_id, what)
