"""The events of one run, as the shipper reads them: which there are, and which Redis has.

An event's number is that of its line. The lines stay in the file, so whatever Redis says it has, the next one can be
sent. A line without an end is one that is being written, or was when its process died: it does not count.

Knows files only; nothing of Redis.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livetask.parcel import packed
from livetask.worker.event_log import EventFacts, event_line
from livetask.worker.small_files import is_there
from livetask.worker.spool import RunPaths


@dataclass(frozen=True, slots=True)
class EventRead:
    """One event. ``seq``: its number, from 1. ``size_bytes``: how much output stands before it. ``data``: packed."""

    seq: int
    name: str
    data: str
    size_bytes: int


class EventTail:
    """Reads a run's events. ``facts``: whose they are, None while there are none. ``sent``: how many Redis has."""

    def __init__(self, paths: RunPaths) -> None:
        self.facts: EventFacts | None = None
        self.sent = 0
        self._name = paths.of("events")
        self._size = 0
        self._ends: list[int] = []  # of the lines, the first one's among them

    def look(self) -> None:
        """See which events have come."""
        if not is_there(self._name):
            return
        size = os.stat(self._name).st_size  # noqa: PTH116 - a Path takes longer than the call
        if size == self._size:
            return
        with Path(self._name).open("rb") as file:
            start = self._ends[-1] if self._ends else 0
            file.seek(start)
            for line in file.read(size - start).splitlines(keepends=True):
                if line.endswith(b"\n"):
                    start += len(line)
                    self._ends.append(start)
        self._size = size
        if self.facts is None and self._ends:
            self.facts = EventFacts(**json.loads(self._line(0)))

    @property
    def count(self) -> int:
        """How many events there are."""
        return max(0, len(self._ends) - 1)

    @property
    def has_more(self) -> bool:
        return self.sent < self.count

    def next(self) -> Iterator[EventRead]:
        """The events that were not sent, in order."""
        for seq in range(self.sent + 1, self.count + 1):
            yield self.read(seq)

    def read(self, seq: int) -> EventRead:
        """The event of that number, which must be there."""
        found = json.loads(self._line(seq))
        return EventRead(seq, str(found["name"]), str(found["data"]), int(found["size"]))

    def fail(self, task_id: str, size_bytes: int, reason: str) -> None:
        """Write down, in place of a process that is gone, that the task has failed. Raises OSError."""
        self.look()
        if self.facts is None or self._has_returned():
            return
        known = {"task_id": task_id, "task_name": self.facts.task_name}
        told = reason if self.facts.error_info else None
        failure: dict[str, Any] = known | ({"einfo": reason} if self.facts.error_info else {})
        with Path(self._name).open("r+b") as file:
            file.truncate(self._ends[-1])  # a line that was not finished
            file.seek(0, os.SEEK_END)
            file.write(event_line("on_failure", packed(failure), size_bytes))
            file.write(event_line("on_return", packed({"status": "FAILURE", "retval": told, **known}), size_bytes))
        self._size = -1
        self.look()

    def _has_returned(self) -> bool:
        return self.count > 0 and json.loads(self._line(self.count))["name"] in ("on_return", "on_retry")

    def _line(self, number: int) -> bytes:
        start = self._ends[number - 1] if number else 0
        with Path(self._name).open("rb") as file:
            file.seek(start)
            return file.read(self._ends[number] - start)
