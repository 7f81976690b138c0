"""The shipper as a child of the worker's main process: how it is started, looked after and waited for.

It is a process, not a thread, in every pool. Under gevent and eventlet a thread would run on patched sockets and locks
and stand still whenever a task computes; in the threads and solo pools it would share the interpreter's lock with the
tasks; and a process outlives the main process for the moment that it takes to ship the last words and the true end
when that one is killed. It costs about 40 MiB, and no measurable CPU while nothing runs.
"""

from __future__ import annotations

import os
import posix
import sys
import time

from livetask.worker.guard import logger
from livetask.worker.order import Order

_WAIT_S = 6.0
_LOOK_S = 0.5
_AGAIN_S = 5.0
"""A shipper that ends is started again, but not more often than this."""


class ShipperProcess:
    """The shipper that carries out one order."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._pid = 0
        self._started_at_s = self._look_at_s = 0.0

    def start(self) -> None:
        """Start it. Raises OSError."""
        read_fd, write_fd = os.pipe()
        # No link to the main process but the files: whatever the pool does with its descriptors is the same to it.
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        actions = [(os.POSIX_SPAWN_DUP2, read_fd, 0)]
        arguments = [sys.executable, "-P", "-m", "livetask.worker.shipper"]
        try:
            self._pid = posix.posix_spawn(sys.executable, arguments, environ, file_actions=actions)
            posix.write(write_fd, self._order.as_bytes())
        finally:
            posix.close(read_fd)
            posix.close(write_fd)
        self._started_at_s = time.monotonic()

    def look_after(self) -> None:
        """Start it again if it has ended, which it never should. Raises OSError."""
        if time.monotonic() < self._look_at_s:
            return
        self._look_at_s = time.monotonic() + _LOOK_S
        if not self._has_ended() or time.monotonic() - self._started_at_s < _AGAIN_S:
            return
        logger.error("livetask: the shipper (pid %s) has ended; it is started again", self._pid)
        self.start()

    def wait(self) -> None:
        """Wait until it has shipped what there is and has ended; at most some seconds, it bounds itself."""
        until_s = time.monotonic() + _WAIT_S
        while not self._has_ended() and time.monotonic() < until_s:
            time.sleep(0.01)

    def _has_ended(self) -> bool:
        try:
            pid, _ = posix.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            return True
        return pid == self._pid
