"""Reading a ``.run`` file: which runs have begun in it, how they have ended, and whether more may come.

The runs of one file follow each other: the next begins after the one before has ended. A file of one run whose end does
not name it, as they were before files were handed on, is read like any other.

Knows files only; nothing of Celery, nothing of Redis.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from livetask.worker.room import RUN_RESERVED_BYTES, reserve
from livetask.worker.spool import RUN_BYTES, RunFacts, RunPaths, is_locked

_decoded = json.JSONDecoder().decode
"""Made once: json.loads looks at seven arguments, and at how the bytes are encoded."""


class RunLog:
    """One file. ``name``: of it and of the output beside it. ``kept``: the nonces of its runs that somebody needs.

    ``is_held``: its process lived when that was seen last, so what is not in it may yet come.
    """

    def __init__(self, directory: Path, name: str) -> None:
        """Raises OSError."""
        self.name = name
        self.kept: set[str] = set()
        self.is_held = True
        self._directory = directory
        self._ends: dict[str, dict[str, Any]] = {}
        self._read_bytes = 0
        self._last = ""
        self._is_locked = False
        self._has_room_for = ""
        self._fd = os.open(self.paths("").of("run"), os.O_RDWR | os.O_CLOEXEC)

    def paths(self, nonce: str) -> RunPaths:
        """The files of one of its runs."""
        return RunPaths(self._directory, nonce, self.name)

    def look(self) -> list[RunFacts]:
        """Read on; the runs that have begun since the last look."""
        data = os.pread(self._fd, RUN_BYTES, self._read_bytes)
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        begun = []
        for line in whole.split(b"\n")[:-1]:
            with suppress(ValueError, TypeError, KeyError):  # what is no run is none of ours
                found = _decoded(line.decode())
                if isinstance(found, list) or "task_id" in found:
                    begun.append(self._begun(RunFacts.of(found)))
                else:
                    self._ends.setdefault(str(found.get("nonce", self._last)), found)
        return begun

    def _begun(self, facts: RunFacts) -> RunFacts:
        self._last, self._is_locked = facts.nonce, facts.locked
        self.kept.add(facts.nonce)
        return facts

    def end_of(self, nonce: str) -> dict[str, Any] | None:
        """How the run ended, as its process wrote it; None if that has not come to it."""
        return self._ends.get(nonce)

    def see_whether_held(self, main_is_alive: bool) -> None:
        """To be followed by ``look``: a process writes the end down before it lets go of its lock."""
        self.is_held = is_locked(self._fd) if self._is_locked else main_is_alive

    @property
    def may_grow(self) -> bool:
        """Whether there may yet be more in it, as seen last."""
        return self.is_held and (self._is_locked or self._last not in self._ends)

    @property
    def may_begin(self) -> bool:
        """Whether another run may yet begin in it."""
        return self.is_held and (self._is_locked or not self._last)

    def make_room_for_end(self, nonce: str) -> None:
        """Reserve room for how that run ends; once, unless the disk is full."""
        if self._has_room_for != nonce and reserve(self._fd, self._read_bytes, RUN_RESERVED_BYTES):
            self._has_room_for = nonce

    def forget(self, nonce: str) -> None:
        """Nobody needs that run any more."""
        self.kept.discard(nonce)
        self._ends.pop(nonce, None)

    def close(self) -> None:
        os.close(self._fd)
