"""Wishes that tasks stop, as Redis tells them to every worker, also to one that starts later.

Each bucket has a stream of wishes; whoever follows them remembers where he has read to. A wish stands for a task id:
what has not begun shall not begin, what runs shall end at its next checkpoint.

Knows how Redis is asked; must never know who asks, nor what becomes of a wish.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from livetask.errors import TaskIdInvalid
from livetask.keys import BUCKETS, Keys, task_id_checked
from livetask.worker.writing import Call

_AT_ONCE = 1000
_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wishes that a task stops. ``by``: who, '' if unknown. ``at_ms``: when, wall clock of Redis."""

    task_id: str
    by: str
    at_ms: int


class Wishes:
    """The wishes read so far. ``has_more``: the last answer may not have been all of them."""

    def __init__(self, keys: Keys) -> None:
        self.has_more = False
        self._names = [keys.stops(bucket) for bucket in range(BUCKETS)]
        self._read_to = dict.fromkeys(self._names, "0")
        self._by_task: OrderedDict[str, Wish] = OrderedDict()

    def call(self) -> Call:
        """Ask for the wishes that are new."""
        return Call("", (), ("XREAD", "COUNT", _AT_ONCE, "STREAMS", *self._names, *self._read_to.values()))

    def answered(self, reply: Any) -> list[Wish]:
        """The new wishes in the answer, from now on remembered."""
        found: list[Wish] = []
        self.has_more = False
        streams = reply.items() if isinstance(reply, dict) else reply or ()
        for name, entries in streams:
            for entry_id, fields in _entries(entries):
                self._read_to[_text(name)] = entry_id
                with suppress(TaskIdInvalid, KeyError, ValueError):
                    task_id = task_id_checked(_text(fields[b"task"]))
                    found.append(Wish(task_id, _text(fields.get(b"by", b"")), int(entry_id.partition("-")[0])))
                self.has_more = self.has_more or len(entries) >= _AT_ONCE
        for wish in found:
            self.remember(wish)
        return found

    def remember(self, wish: Wish) -> None:
        """Remember a wish; the oldest ones are forgotten when there are too many."""
        self._by_task[wish.task_id] = wish
        self._by_task.move_to_end(wish.task_id)
        while len(self._by_task) > _REMEMBERED:
            self._by_task.popitem(last=False)

    def of(self, task_id: str) -> Wish | None:
        """The latest wish for that task, or None."""
        return self._by_task.get(task_id)


def _entries(entries: Sequence[Any]) -> list[tuple[str, dict[bytes, bytes]]]:
    """The entries of one stream, in whichever shape the protocol's version gives them."""
    flat = entries[0] if entries and isinstance(entries[0], list) else entries
    return [(_text(entry_id), fields) for entry_id, fields in flat if fields is not None]


def _text(data: bytes | str) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data
