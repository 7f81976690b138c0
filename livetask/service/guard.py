"""The guard: a small process that ends what the supervisor started, should the supervisor die without doing so.

The two are joined by a pipe. The supervisor writes who is to be guarded; when it dies, by kill -9 even, the pipe
closes, and the guard ends those processes and all that they started. A signal at the parent's death (PDEATHSIG) would
reach the children only, not theirs, and does not exist everywhere.
"""

from __future__ import annotations

import os
import signal

from livetask.service.trees import end_trees

GRACE_S = 1.5
"""How long Redis has to write its last bytes, and a worker to leave, once the supervisor is gone."""


class Guard:
    """The supervisor's end of the pipe. Make it before any thread: it forks."""

    def __init__(self) -> None:
        reading, self._pipe = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            _guard(reading)
        os.close(reading)

    def watch(self, pid: int) -> None:
        """`pid`, the leader of its session, is to end with the supervisor."""
        os.write(self._pipe, b"+%d\n" % pid)

    def forget(self, pid: int) -> None:
        """`pid` and all it started have ended."""
        os.write(self._pipe, b"-%d\n" % pid)

    def close(self) -> None:
        """Let the guard go; it ends at once when it has nobody to guard."""
        os.close(self._pipe)
        os.waitpid(self._pid, 0)


def _guard(reading: int) -> None:
    """The life of the guard's process; never returns."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        # whoever reads the supervisor's output must not wait for the guard
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        end_trees(_told(reading), GRACE_S)
    finally:
        os._exit(0)


def _told(reading: int) -> set[int]:
    """Who is guarded at the moment when the supervisor is gone."""
    guarded: set[int] = set()
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            pid = int(line[1:])
            (guarded.add if line.startswith(b"+") else guarded.discard)(pid)
    return guarded
