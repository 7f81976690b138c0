"""The errors of the archive: a branch of the tree in ``errors``.

Pure: no I/O, no clock. Must never know: where the archive lies, and how.
"""

from __future__ import annotations

from livetask.errors import LivetaskError, Unavailable


class ArchiveUnavailable(Unavailable):
    """The place where the archive lies does not answer, refuses, or is full. ``reason``: what was seen."""

    code = "archive_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the archive cannot be used now: {self.reason}"


class ArchiveBusy(Unavailable):
    """As many as may are looking through the archive. ``limit``: how many."""

    code = "archive_busy"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.limit} look through the archive now: ask again in a moment"


class ArchiveDamaged(LivetaskError):
    """What lies in the archive is not what was put there. ``name``: of the object. ``reason``: what is wrong."""

    code = "archive_damaged"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name} in the archive is damaged: {self.reason}"


class TaskUnderWay(LivetaskError):
    """A task that has not ended cannot be deleted."""

    code = "task_under_way"
    status = 409

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"task {self.task_id} has not ended: stop it first, then delete what it printed"
