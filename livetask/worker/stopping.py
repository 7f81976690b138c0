"""How a wish that a task stops comes from Redis to the task, without the task ever waiting for Redis.

| who | does |
|---|---|
| the worker's main process | asks Redis once before it takes its first task, then reads the file ``stops`` |
| the shipper | asks Redis several times a second; writes ``stops`` for the main process, ``<nonce>.stop`` for runs |
| a task | looks whether its file is there (``cancelling``) |

The main process hands what shall not begin to Celery, which then discards it as it does with everything revoked.
"""

from __future__ import annotations

import json
import os
import posix
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from livetask.errors import RedisUnavailable
from livetask.keys import Keys
from livetask.worker.guard import logger
from livetask.worker.shipping import Shipping
from livetask.worker.small_files import is_there, write_whole
from livetask.worker.spool import STOPS
from livetask.worker.wishes import Wish, Wishes
from livetask.worker.writing import Call, Writing

_EVERY_S = 0.3
_EVERY_IDLE_S = 1.0
_FILE_BYTES = 1024 * 1024
"""What is larger is begun anew: the main process has long read what was in it."""

_MOST_ANSWERS = 100


class StopBoard:
    """In the shipper: follows the wishes, and puts them where the main process and the runs look."""

    def __init__(self, keys: Keys, directory: Path) -> None:
        self._wishes = Wishes(keys)
        self._path = directory / STOPS
        self._next_s = 0.0

    def calls(self, now_s: float, busy: bool) -> list[Call]:
        """What to ask Redis now, if anything. ``busy``: whether runs go on."""
        due = now_s >= self._next_s if busy else now_s >= self._next_s + _EVERY_IDLE_S - _EVERY_S
        return [self._wishes.call()] if due else []

    def answered(self, reply: object, now_s: float) -> None:
        """Take the answer. Raises OSError."""
        found = self._wishes.answered(reply)
        self._next_s = now_s if self._wishes.has_more else now_s + _EVERY_S
        if found:
            self._write(b"".join(json.dumps(asdict(wish)).encode() + b"\n" for wish in found))

    def tell(self, runs: Iterable[Shipping]) -> None:
        """Let the runs know that shall stop. Raises OSError."""
        for run in runs:
            wish = self._wishes.of(run.facts.task_id)
            if wish is not None and not run.told_to_stop and run.end is None:
                write_whole(run.paths.of("stop"), json.dumps({"by": wish.by}).encode())
                run.told_to_stop = True

    def _write(self, lines: bytes) -> None:
        with suppress(FileNotFoundError):
            if self._path.stat().st_size > _FILE_BYTES:
                write_whole(str(self._path), lines)
                return
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, lines)
        finally:
            os.close(fd)


class StopList:
    """In the worker's main process: which tasks shall not begin. ``on_wish``: told each one that is new."""

    def __init__(self, directory: Path, keys: Keys, on_wish: Callable[[Wish], None]) -> None:
        self._path = str(directory / STOPS)
        self._wishes = Wishes(keys)
        self._on_wish = on_wish
        self._inode = 0
        self._read_bytes = 0

    def ask(self, redis_url: str) -> None:
        """Ask Redis itself, before there is a task; a Redis that is away costs some seconds at most, once."""
        writing = Writing(redis_url)
        began_s = time.monotonic()
        try:
            for _ in range(_MOST_ANSWERS):
                for wish in self._wishes.answered(writing.replies([self._wishes.call()])[0]):
                    self._on_wish(wish)
                if not self._wishes.has_more:
                    break
        except RedisUnavailable as error:
            passed_s = time.monotonic() - began_s
            logger.warning("livetask: %s; what was revoked is not known yet (after %.1f s)", error, passed_s)
        finally:
            writing.close()

    def look(self) -> None:
        """Read what the shipper has added. One look at a file, no waiting; raises OSError."""
        if not is_there(self._path):
            return
        found = posix.stat(self._path)
        if found.st_ino != self._inode:
            self._inode, self._read_bytes = found.st_ino, 0
        if found.st_size <= self._read_bytes:
            return
        fd = posix.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(fd, found.st_size - self._read_bytes, self._read_bytes)
        finally:
            posix.close(fd)
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            with suppress(ValueError, TypeError):
                wish = Wish(**json.loads(line))
                self._wishes.remember(wish)
                self._on_wish(wish)

    def of(self, task_id: str) -> Wish | None:
        """The wish for that task that is known here, or None."""
        return self._wishes.of(task_id)
