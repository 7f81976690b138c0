"""How the worker's processes tell the shipper what no file says: one line of JSON through a FIFO.

A line is at most ``PIPE_BUF`` bytes, so that lines of several processes never mix, and is never waited for: when the
FIFO is full or nobody reads it, the line is dropped and counted. Nothing that must not be lost goes this way.

Uses ``posix`` rather than ``os``: gevent and eventlet replace functions of the latter by ones that wait.
"""

from __future__ import annotations

import json
import os
import posix
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from livetask.worker.spool import BELL

_encoded = json.JSONEncoder(default=repr).encode

TOLD_FOR_S = 0.01
"""Of one file of runs it is told once in so long. The shipper looks at it again when that time is over, so whatever
happened in it meanwhile is seen; short tasks, and what the shipper hears of them, have this line once in many runs."""

LINE_BYTES = min(4096, getattr(select, "PIPE_BUF", 512))


class Teller:
    """Tells the shipper of one directory. Survives a fork; each process opens the FIFO itself.

    ``dropped``: lines that could not be told in this process.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = str(directory / BELL)
        self._clock = clock
        self._fd = -1
        self._pid = 0
        self._told_name, self._told_s = "", 0.0
        self.dropped = 0

    def tell(self, what: str, **facts: Any) -> bool:
        """Tell it; whether it was told. Never waits, never raises OSError."""
        line = _encoded({"what": what, **facts}).encode() + b"\n"
        try:
            if len(line) <= LINE_BYTES and posix.write(self._open(), line) == len(line):
                return True
        except OSError:
            self._forget()
        self.dropped += 1
        return False

    def tell_run(self, name: str) -> None:
        """There is something new in that file of runs; not told where it just was."""
        now_s = self._clock()
        if (name != self._told_name or now_s - self._told_s >= TOLD_FOR_S) and self.tell("run", name=name):
            self._told_name, self._told_s = name, now_s

    def _open(self) -> int:
        if self._fd < 0 or self._pid != os.getpid():
            # For reading too: what is told before the shipper has started, or while it starts again, waits in the FIFO.
            self._fd = posix.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._pid = os.getpid()
        return self._fd

    def _forget(self) -> None:
        """After an error other than a full pipe the FIFO is opened anew: the shipper may be another one by now."""
        if self._fd >= 0 and self._pid == os.getpid():
            posix.close(self._fd)
        self._fd = -1


class Hearing:
    """The shipper's end of the FIFO. Never sees its end: it holds the FIFO open for writing as well."""

    def __init__(self, directory: Path) -> None:
        self.fd = os.open(directory / BELL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""

    def wait(self, timeout_s: float) -> None:
        """Wait until something was told, at most so long."""
        select.select([self.fd], [], [], timeout_s)

    def told(self) -> list[dict[str, Any]]:
        """All that was told since the last call, at most 1 MiB of it."""
        data = [self._rest]
        for _ in range(16):
            try:
                part = os.read(self.fd, 65536)
            except BlockingIOError:
                break
            data.append(part)
        *lines, self._rest = b"".join(data).split(b"\n")
        return [found for line in lines if (found := _parsed(line)) is not None]

    def close(self) -> None:
        os.close(self.fd)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("what"), str) else None
