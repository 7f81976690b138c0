"""What the list knows of each task, and the orders that it can be shown in.

A row is small, because the server holds one for every task in the list: texts that many tasks share are held once.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from livetask.server.tasks import UNDER_WAY, Task

STATES = (*UNDER_WAY, "SUCCESS", "FAILURE", "REVOKED", "IGNORED", "REJECTED", "LOST")

FIELDS = ("state", "name", "queue", "worker", "owner", "root_id", "queued_at", "began_at", "ended_at", "changed_at")
"""The fields of a task's hash that a row is made from, as ``row_read`` expects them; ``format`` comes before them."""

Key = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One task in short. Texts are '' and times (wall clock, ms) 0 where unknown.

    ``owner``: who started it. ``folded``: name, worker and queue without regard to case, to search in.
    """

    task_id: str
    state: str
    name: str
    queue: str
    worker: str
    owner: str
    root_id: str
    queued_ms: int
    began_ms: int
    ended_ms: int
    changed_ms: int
    folded: tuple[str, str, str]

    @property
    def born_ms(self) -> int:
        """When it was first heard of: it never moves in a list that is ordered by this."""
        return min((at for at in (self.queued_ms, self.began_ms, self.changed_ms) if at), default=0)

    def took_ms(self, now_ms: int) -> int:
        """How long it ran, or has been running; -1 if it has not begun."""
        if not self.began_ms:
            return -1
        over = self.ended_ms and self.state not in UNDER_WAY
        return max(0, (self.ended_ms if over else now_ms) - self.began_ms)


def row_of(task: Task) -> Row:
    """The row of a task whose hash was read whole."""
    texts = (task.state, task.name or "", task.queue or "", task.worker or "", task.owner or "", task.root_id or "")
    times = (task.queued_at_ms, task.began_at_ms, task.ended_at_ms, task.changed_at_ms)
    return _row(task.task_id, texts, [at or 0 for at in times])


def row_read(task_id: str, texts: Sequence[str]) -> Row:
    """The row of a task of whose hash FIELDS were read; '' where one is not there."""
    return _row(task_id, texts[:6], [int(text) if text.isascii() and text.isdecimal() else 0 for text in texts[6:]])


def _row(task_id: str, texts: Sequence[str], times: Sequence[int]) -> Row:
    state, name, queue, worker, owner, root_id = texts
    queued_ms, began_ms, ended_ms, changed_ms = times
    return Row(
        task_id=task_id,
        state=_shared(state or "QUEUED"),
        name=_shared(name),
        queue=_shared(queue),
        worker=_shared(worker),
        owner=_shared(owner),
        root_id=task_id if root_id == task_id else root_id,
        queued_ms=queued_ms,
        began_ms=began_ms,
        ended_ms=ended_ms,
        changed_ms=changed_ms,
        folded=(_folded(name), _folded(worker), _folded(queue)),
    )


@lru_cache(4096)
def _shared(text: str) -> str:
    return text


@lru_cache(4096)
def _folded(text: str) -> str:
    return text.casefold()


# ---- orders

_RANK = {state: rank for rank, state in enumerate(("RUNNING", "RETRY", "QUEUED", "FAILURE", "LOST", "REJECTED"))}
_LAST = len(_RANK)


def _by_name(row: Row, now_ms: int) -> Key:
    return (not row.name, row.folded[0], -row.born_ms, row.task_id)


def _by_state(row: Row, now_ms: int) -> Key:
    return (_RANK.get(row.state, _LAST), row.state, -row.born_ms, row.task_id)


@dataclass(frozen=True, slots=True)
class Order:
    """``key``: of a row at a time; no two are alike, since each ends with the task id. ``down``: the greatest first."""

    key: Callable[[Row, int], Key]
    down: bool = False


ORDERS: dict[str, Order] = {
    "changed": Order(lambda row, now_ms: (row.changed_ms, row.task_id), down=True),
    "newest": Order(lambda row, now_ms: (row.born_ms, row.task_id), down=True),
    "oldest": Order(lambda row, now_ms: (row.born_ms, row.task_id)),
    "name": Order(_by_name),
    "duration": Order(lambda row, now_ms: (-row.took_ms(now_ms), -row.born_ms, row.task_id)),
    "state": Order(_by_state),
}
"""newest, oldest: by when a task was first heard of. changed: by its last change, the newest first. duration: the
longest first. state: what is under way, then what went wrong, then the rest."""
