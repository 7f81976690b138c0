"""What it costs to ship a million lines: ``python -m tests.bench.ship_cost [lines] [rounds]``.

A spool with lines of 100 bytes is shipped by the shipper as a worker starts it; user and system time of its process,
from the moment it meets them until Redis has all. Beside it, in the same run: redis-py alone, which reads the same file
and adds it to a stream, an entry for each line and one for each 16 KiB. Interleaved, the least of the rounds.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from livetask.worker.spool import RunSpool
from tests.bench.processes import Valkey, cpu_s, valkey
from tests.bench.shippers import House, house, shipper

LINES = 1_000_000
ROUNDS = 3
_LINE = b"2026-01-02 03:04:05 INFO worker: step 1234 of 5678 took 0.123 s, 3 failed, 55 rows written, go on!!\n"
_CHUNK_BYTES = 16 * 1024
_TOGETHER_BYTES = 32 * _CHUNK_BYTES


def shipper_s(store: Valkey, place: Path, lines: int, *, mask: bool) -> float:
    """Seconds of CPU in which a shipper that has shipped before ships one run of that many lines, and its end.

    It is stopped while these are written, so that it meets all of them at once.
    """
    with house(place) as at, shipper(at, store, mask=mask) as process:
        _shipped(store, at, 1000)  # what is loaded and learnt once is no line's
        os.kill(process.pid, signal.SIGSTOP)
        began = cpu_s(process.pid)
        try:
            spool = _written(at, lines)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        _wait_for_end(store, at.keys.task(spool.facts.task_id))
        return cpu_s(process.pid) - began


def _shipped(store: Valkey, at: House, lines: int) -> None:
    _wait_for_end(store, at.keys.task(_written(at, lines).facts.task_id))


def _written(at: House, lines: int) -> RunSpool:
    """A run that has printed that many lines and has ended."""
    spool = at.spool()
    for _ in range(0, lines, 1000):
        os.write(spool.out_fd, _LINE * 1000)
    at.end(spool)
    return spool


def _wait_for_end(store: Valkey, task: str) -> None:
    """Until Redis knows how the first run of a task ended; raises TimeoutError."""
    until_s = time.monotonic() + 120
    with redis.Redis.from_url(store.url) as client:
        while not client.hexists(task, "1.how"):
            if time.monotonic() > until_s:
                raise TimeoutError("the run was not shipped within two minutes")
            time.sleep(0.05)


def bare_s(store: Valkey, place: Path, lines: int, entry_bytes: int) -> float:
    """Seconds of CPU that redis-py takes to add the same lines to a stream."""
    file = place / "lines"
    with file.open("wb") as out:
        for _ in range(0, lines, 1000):
            out.write(_LINE * 1000)
    with redis.Redis.from_url(store.url, socket_timeout=60) as client, file.open("rb", buffering=0) as source:
        client.delete("bench")
        began = time.process_time()
        while data := source.read(_TOGETHER_BYTES // entry_bytes * entry_bytes):
            pipeline = client.pipeline(transaction=False)
            for at in range(0, len(data), entry_bytes):
                pipeline.execute_command("XADD", "bench", "MAXLEN", "~", "1000", "*", "d", data[at : at + entry_bytes])
            pipeline.execute()
        return time.process_time() - began


def measure(lines: int, rounds: int) -> dict[str, float]:
    """The least seconds of CPU, by what was run."""
    best: dict[str, float] = {}
    with valkey() as store, tempfile.TemporaryDirectory(prefix="livetask-bench-") as name:
        place = Path(name)
        ways: dict[str, Callable[[], float]] = {
            "shipper, known secrets hidden": lambda: shipper_s(store, place, lines, mask=True),
            "shipper, nothing to hide": lambda: shipper_s(store, place, lines, mask=False),
            "redis-py, an entry for 16 KiB": lambda: bare_s(store, place, lines, _CHUNK_BYTES),
            "redis-py, an entry for a line": lambda: bare_s(store, place, lines, len(_LINE)),
        }
        for _ in range(rounds):
            for way, run in ways.items():
                best[way] = min(best.get(way, float("inf")), run())
    return best


def main() -> None:
    lines, rounds = (int(text) for text in (*sys.argv[1:], *(str(LINES), str(ROUNDS))[len(sys.argv) - 1 :]))
    print(f"| {lines:,} lines of 100 bytes | s of CPU |\n| --- | --- |")
    for way, took in measure(lines, rounds).items():
        print(f"| {way} | {took:.2f} |")
    print("\nat most 0.3 s for a million are wanted of the shipper")


if __name__ == "__main__":
    main()
