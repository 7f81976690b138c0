"""A shipper as a worker starts one, for the measurements that need one alone, without Celery."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from livetask.keys import Keys
from livetask.settings import Settings
from livetask.worker.order import Order
from livetask.worker.spool import BELL, RunFacts, RunSpool, make_directory, new_nonce
from tests.bench.processes import Valkey, python

CAP_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class House:
    """A worker's directory. ``place``: where; ``prefix``: before its keys; ``bell_fd``: its shipper hears what is
    written there, also before it listens."""

    place: Path
    prefix: str
    bell_fd: int

    @property
    def keys(self) -> Keys:
        return Keys(self.prefix)

    def spool(self, task_id: str = "") -> RunSpool:
        """A run that begins now."""
        nonce = new_nonce()
        facts = RunFacts(
            *(task_id or new_nonce(), "bench.ship", nonce, "first", "q", "", "", "()", "{}", os.getpid(), "h", "w"),
            *(1, False),
        )
        return RunSpool(self.place, facts)

    def end(self, spool: RunSpool) -> None:
        """The run ends well."""
        spool.end({"how": "SUCCESS", "size": spool.size_bytes()})
        spool.close()

    def tell(self, what: str) -> None:
        """Tell the shipper, as the worker does."""
        os.write(self.bell_fd, json.dumps({"what": what}).encode() + b"\n")


@contextmanager
def house(home: Path) -> Iterator[House]:
    """A worker's directory of its own below ``home``."""
    place, lock_fd = make_directory(home / new_nonce())
    bell_fd = os.open(place / BELL, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield House(place, new_nonce(), bell_fd)
    finally:
        os.close(bell_fd)
        os.close(lock_fd)


@contextmanager
def shipper(
    at: House, store: Valkey, *, mask: bool = True, flush_ms: int = Settings().flush_ms
) -> Iterator[subprocess.Popen[bytes]]:
    """The shipper of a house, with the settings' defaults but for the caps of the spool."""
    known = Settings()
    order = Order(
        *(str(at.place), os.getpid(), store.url, at.prefix, False, flush_ms, known.chunk_bytes, known.run_cap_bytes),
        *(CAP_BYTES, CAP_BYTES, 3600, 20, 1000, 10, 1000, mask),
    )
    process = subprocess.Popen(python("livetask.worker.shipper"), stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(order.as_bytes())
    try:
        yield process
        at.tell("stop")
        process.wait(300)
    finally:
        process.kill()
        process.wait()
