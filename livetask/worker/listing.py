"""Which files of runs have come into a worker's directory since they were listed last.

The directory holds two files of each run that is kept, so a thousand runs that have ended are two thousand names. They
are listed only while the directory changes, and only names that are new are looked at one by one.

Knows names only. Blocks.
"""

from __future__ import annotations

import os
from pathlib import Path

from livetask.worker.spool import KINDS

_SETTLED_S = 3.0
"""A directory is listed for so long after it was seen to have changed: its time of change has the grain of the file
system's clock, two seconds at worst, and what comes within one grain does not move it."""


class Listing:
    """The names in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names: set[str] = set()
        self._changed_ns = -1
        self._until_s = 0.0

    def new(self, now_s: float) -> list[tuple[str, str]]:
        """(name or nonce, kind) of the files that were not there before, in no order. ``now_s``: monotonic.

        Raises FileNotFoundError if there is no such directory.
        """
        changed_ns = os.stat(self._directory).st_mtime_ns  # noqa: PTH116 - a Path costs more than the call
        if changed_ns != self._changed_ns:
            self._changed_ns, self._until_s = changed_ns, now_s + _SETTLED_S
        if now_s > self._until_s:
            return []
        before, self._names = self._names, set(os.listdir(self._directory))  # noqa: PTH208 - as there
        parts = (name.rpartition(".") for name in self._names - before)
        return [(name, kind) for name, _, kind in parts if kind in KINDS]

    def tell_again(self, name: str, kind: str) -> None:
        """A file could not be read; it is new once more."""
        self._names.discard(f"{name}.{kind}")
        self._changed_ns = -1
