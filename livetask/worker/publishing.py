"""What the shipper publishes of its worker: how its tasks are called, under a lease that it renews.

Workers with the same tasks share what is stored: it lies under the digest of its text. A worker that is gone without a
word is forgotten when its lease is over.

It must never know how calls are sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from livetask.keys import Keys, publisher_member
from livetask.worker.forms import FILE
from livetask.worker.small_files import read_json
from livetask.worker.writing import Call

TTL_MS = 60_000
_RENEW_S = 15.0


class Publishing:
    """What one worker publishes. ``directory``: where it is written down."""

    def __init__(self, keys: Keys, directory: Path) -> None:
        self._keys = keys
        self._path = directory / FILE
        self._read_mtime = 0
        self._worker = ""
        self._text = ""
        self._digest = ""
        self._is_there = False
        self._next_s = 0.0

    def look(self) -> None:
        """See whether the worker has written down something new."""
        try:
            mtime = self._path.stat().st_mtime_ns
        except OSError:
            return
        if mtime == self._read_mtime:
            return
        self._read_mtime = mtime
        found = read_json(str(self._path)) or {}
        self._worker, self._text = str(found.get("worker") or ""), str(found.get("tasks") or "")
        self._digest = hashlib.blake2b(self._text.encode(), digest_size=12).hexdigest()
        self._is_there, self._next_s = False, 0.0

    def calls(self, now_s: float) -> list[Call]:
        """The call that is due, if any. ``now_s``: monotonic. To be followed by ``answered``, if it is answered."""
        if not self._text or now_s < self._next_s:
            return []
        keys = (self._keys.publishers(), self._keys.forms(self._digest))
        return [Call("publish", keys, (self._member, TTL_MS, "" if self._is_there else self._text))]

    def answered(self, now_s: float, replies: Sequence[Any]) -> None:
        """What Redis said to it."""
        if replies and isinstance(replies[0], Exception):
            self._next_s = now_s + _RENEW_S
        elif replies:
            self._is_there = bytes(replies[0][0]) == b"OK"
            self._next_s = now_s + _RENEW_S if self._is_there else 0.0

    def withdrawal(self) -> list[Call]:
        """What says that the worker is gone."""
        return [Call("", (), ("ZREM", self._keys.publishers(), self._member))] if self._text else []

    @property
    def worker(self) -> str:
        """The worker's name, '' until it has taken tasks."""
        return self._worker

    @property
    def _member(self) -> str:
        return publisher_member(self._digest, self._worker)
