"""How long a printed line is under way to Redis: ``python -m tests.bench.append_delay [seconds] [rounds]``.

A line is printed through the stream that stands for a task's stdout, at random moments, with the monotonic time in it;
a reader that waits in XREAD notes when it is there. A shipper as a worker starts it lies between. Several rates, from a
line now and then to thousands a second, and two settings of ``flush_ms``: the default, and a quarter of it; by turns.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from livetask.keys import Keys
from livetask.masking import Mask
from livetask.settings import Settings
from livetask.worker.spool import RunSpool
from livetask.worker.streams import SpoolRaw, SpoolText
from tests.bench.processes import Valkey, valkey
from tests.bench.shippers import house, shipper

SECONDS, ROUNDS = 6.0, 2
RATES = (0.5, 1.0, 100.0, 10_000.0)
_AT_ONCE = 16
"""Of the slow rates so many tasks are measured at once, each at its own random moments: a line now and then of one
task would take minutes to be counted often."""
_SLOW_HZ = 10.0
_WITHIN_S = 60.0
GOAL_MS = 15.0


class Arrivals:
    """Notes when lines are in the streams. ``delays_s``: of each line, from its print on."""

    def __init__(self, url: str, streams: list[str]) -> None:
        self.delays_s: list[float] = []
        self._client = redis.Redis.from_url(url)
        self._streams: dict[str, bytes] = dict.fromkeys(streams, b"0")
        self._begun: dict[bytes, bytes] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        while not self._over.is_set():
            for name, entries in self._client.xread(self._streams, block=200):  # type: ignore[arg-type]  # invariance
                now = time.monotonic()
                self._streams[name.decode()] = entries[-1][0]
                text = self._begun.get(name, b"") + b"".join(fields.get(b"d", b"") for _, fields in entries)
                *lines, self._begun[name] = text.split(b"\n")
                self.delays_s += [now - float(line[:20]) for line in lines]

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Read until the block is left."""
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join(_WITHIN_S)
            self._client.close()

    def wait_for(self, lines: int) -> None:
        """Until so many have come. Raises TimeoutError."""
        until = time.monotonic() + _WITHIN_S
        while len(self.delays_s) < lines:
            if time.monotonic() > until:
                raise TimeoutError(f"{len(self.delays_s)} of {lines} lines came within {_WITHIN_S:.0f} s")
            time.sleep(0.01)  # between two looks


def delays_s(store: Valkey, home: Path, rate_hz: float, flush_ms: int, seconds: float) -> list[float]:
    """How long each line took, in seconds, of tasks that print ``rate_hz`` lines a second for ``seconds``."""
    tasks = _AT_ONCE if rate_hz < _SLOW_HZ else 1
    with house(home) as at, shipper(at, store, flush_ms=flush_ms):
        spools = [at.spool() for _ in range(tasks)]
        arrivals = Arrivals(store.url, [_stream(at.keys, spool) for spool in spools])
        streams = [SpoolText(SpoolRaw(spool.out_fd, mask=Mask())) for spool in spools]
        with arrivals.noted():
            for stream in streams:
                print(f"{time.monotonic():020.9f} begins", file=stream)
            arrivals.wait_for(tasks)  # what opening the run takes is not a line's
            arrivals.delays_s.clear()
            arrivals.wait_for(_print(streams, rate_hz, seconds))
        for spool in spools:
            at.end(spool)
        return arrivals.delays_s


def _stream(keys: Keys, spool: RunSpool) -> str:
    return keys.output(spool.facts.task_id, spool.facts.nonce)


def _print(streams: list[SpoolText], rate_hz: float, seconds: float) -> int:
    """Print on the streams at random moments; how many lines that were."""
    all_hz = rate_hz * len(streams)
    began = due = time.monotonic()
    lines = 0
    while (due := due + random.expovariate(all_hz)) < began + seconds:
        if (left := due - time.monotonic()) > 0:
            time.sleep(left)  # until the line is due
        print(f"{time.monotonic():020.9f} step {lines} of many", file=random.choice(streams))
        lines += 1
    return lines


def measure(seconds: float, rounds: int) -> dict[tuple[float, int], list[float]]:
    """The delays of all rounds, in seconds, by (lines a second, ``flush_ms``)."""
    default = Settings().flush_ms
    found: dict[tuple[float, int], list[float]] = defaultdict(list)
    with valkey() as store, tempfile.TemporaryDirectory(prefix="livetask-bench-") as name:
        for _ in range(rounds):
            for rate_hz in RATES:
                for flush_ms in (default, default // 4):
                    found[rate_hz, flush_ms] += delays_s(store, Path(name), rate_hz, flush_ms, seconds)
    return found


def main() -> None:
    given = [float(text) for text in sys.argv[1:]]
    seconds, rounds = (*given, *(SECONDS, ROUNDS)[len(given) :])
    print(f"load before it {os.getloadavg()[0]:.1f}\n", flush=True)
    found = measure(seconds, int(rounds))
    print(
        "| lines a second | flush_ms | lines | from print to append, ms: p50 | p95 | p99 |\n|---|---|---|---|---|---|"
    )
    for (rate_hz, flush_ms), delays in found.items():
        delays.sort()
        cells = " | ".join(f"{delays[int(len(delays) * part)] * 1000:.1f}" for part in (0.5, 0.95, 0.99))
        print(f"| {rate_hz:g} | {flush_ms} | {len(delays):,} | {cells} |")
    print(f"\np50 of at most {GOAL_MS:g} ms is wanted at the default")


if __name__ == "__main__":
    main()
