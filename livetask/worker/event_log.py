"""The events of one run, as its process writes them down: a line each, in the spool's file ``<nonce>.events``.

The first line says whose events they are, each further one holds an event and how much output stood before it; its
number is that of its line. The shipper reads them with ``event_tail``.

How much there is of them is bounded. Of progress, half of the events that a run may have are written as they come;
after that at most one in a while that doubles, and always the latest one before any other event. A result that is too
large is left out of its event, which then says ``cut``: how many bytes it would have had.

Knows files only; nothing of Celery, nothing of Redis.
"""

from __future__ import annotations

import json
import os
import posix
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from livetask.hiding import SHOW_ALL, Hiding
from livetask.parcel import packed
from livetask.worker.spool import RunPaths

PROGRESS = "on_progress"
_PAUSE_S = 0.1
_DOUBLED_EVERY = 50
_ENDS = 10
"""How many of a run's events are kept for others than progress."""

_LARGE = ("retval", "info", "einfo")
"""The parts of an event that a task or its errors can make large."""


@dataclass(frozen=True, slots=True)
class EventFacts:
    """Whose events they are. ``room``: the room they are told to, '' for none. ``own``: it is that of one sender, who
    follows the task by its id; nobody else can be in it."""

    task_name: str
    room: str
    own: bool
    error_info: bool


class EventLog:
    """Writes the events of a run. ``most``: how many. ``most_bytes``: of all of them together. ``hiding``: what they
    do not show."""

    def __init__(
        self, paths: RunPaths, facts: EventFacts, *, most: int, most_bytes: int, hiding: Hiding = SHOW_ALL
    ) -> None:
        """Raises OSError."""
        self._hiding = hiding
        self.facts = facts
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = posix.open(paths.of("events"), flags, 0o600)
        self._lock = threading.Lock()
        self._most, self._most_bytes = most, most_bytes
        self._count = self._bytes = 0
        self._waiting: tuple[dict[str, Any], int] | None = None
        self._pause_s, self._pauses, self._due_s = _PAUSE_S, 0, 0.0
        posix.write(self._fd, json.dumps(asdict(facts)).encode() + b"\n")

    def emit(self, name: str, data: dict[str, Any], size_bytes: int) -> None:
        """Write an event down. ``size_bytes``: how much output stands before it. Raises OSError."""
        with self._lock:
            if self._fd < 0:
                return
            if name == PROGRESS:
                self._progress(data, size_bytes)
                return
            self._write_waiting()
            self._write(name, data, size_bytes, self._most_bytes // 4)

    def close(self) -> None:
        """Write what waits; what is emitted after this is lost. Raises OSError."""
        with self._lock:
            if self._fd >= 0:
                try:
                    self._write_waiting()
                finally:
                    posix.close(self._fd)
                    self._fd = -1

    def _progress(self, data: dict[str, Any], size_bytes: int) -> None:
        now_s = time.monotonic()
        if self._count < self._most // 2 and self._bytes < self._most_bytes // 4:
            self._write(PROGRESS, data, size_bytes, self._most_bytes // 8)
            return
        self._waiting = (data, size_bytes)
        if now_s >= self._due_s and self._count < self._most - _ENDS:
            self._write_waiting()
            self._pauses += 1
            self._pause_s *= 2 if self._pauses % _DOUBLED_EVERY == 0 else 1
            self._due_s = now_s + self._pause_s

    def _write_waiting(self) -> None:
        if self._waiting is not None:
            (data, size_bytes), self._waiting = self._waiting, None
            self._write(PROGRESS, data, size_bytes, 4096)

    def _write(self, name: str, data: dict[str, Any], size_bytes: int, most_bytes: int) -> None:
        data = self._hiding.value(data)
        text = packed(data)
        if len(text) > most_bytes:
            text = packed({**data, **{key: None for key in _LARGE if key in data}, "cut": len(text)})
        line = event_line(name, self._hiding.known(text), size_bytes)
        self._count += 1
        self._bytes += len(line)
        posix.write(self._fd, line)


def event_line(name: str, packed_data: str, size_bytes: int) -> bytes:
    """One event as its line."""
    return json.dumps({"name": name, "size": size_bytes, "data": packed_data}).encode() + b"\n"
