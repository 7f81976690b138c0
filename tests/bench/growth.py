"""Whether a line costs the same however much there is besides: ``python -m tests.bench.growth [rounds]``.

- The server's CPU for a line of ten tasks that print, each with a viewer, beside somebody who watches the list, where
  10 to 10,000 tasks are known; a server and a store for each number.
- The same for a line of a task with a viewer at its end, with 1 KB to 100 MB of log behind.
- The shipper's CPU for a line, with 10 and with 1,000 ended runs kept.
- What ``GET /api/tasks`` and ``watch`` take, of 10,000 tasks.

All by turns, forth and back; medians of the rounds with the least and the most.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import redis

from livetask.keys import BUCKETS
from livetask.worker.spool import RunSpool
from tests.bench.processes import Valkey, cpu_s, python, started, valkey
from tests.bench.shippers import House, house, shipper
from tests.bench.stalled import LINE, Viewer, delays_ms, filled, meanwhile
from tests.real.writer import RunWriter

KNOWN = (10, 100, 1_000, 10_000)
BEHIND_BYTES = (1_000, 1_000_000, 100_000_000)
KEPT = (10, 1_000)
ROUNDS = 5
ACTIVE, SECONDS, LINES_AT_ONCE, FLUSH_S = 10, 1.5, 10, 0.02
ASKED = 200
_LEASE_MS, _CAP_BYTES = 3_600_000, 1 << 40
_LINES = b"".join(LINE % number for number in range(LINES_AT_ONCE))


@dataclass(frozen=True, slots=True)
class Served:
    """A server on a store of its own."""

    store: Valkey
    port: int
    pid: int


@contextmanager
def served() -> Iterator[Served]:
    """Start both until the block is left."""
    with valkey() as store:
        command = ["serve", "--redis-url", store.url, "--host", "127.0.0.1", "--port", "0"]
        with started("server", python("livetask", *command), limit_s=1800) as server:
            port = int(server.line_with("livetask is at ").rstrip("/").rpartition(":")[2])
            yield Served(store, port, server.pid)


@contextmanager
def read(viewers: Sequence[Viewer]) -> Iterator[None]:
    """Have all viewers take what comes until the block is left."""
    over = threading.Event()

    def take() -> None:
        while not over.is_set():
            delays_ms(list(viewers), 0.2)

    try:
        with meanwhile(take, over):
            yield
    finally:
        for viewer in viewers:
            viewer.close()


def line_us(pid: int, write: Callable[[], object], lines: int) -> float:
    """Microseconds of CPU a process takes for each of the lines that are written again and again for some time."""
    cpu, written = cpu_s(pid), 0
    due_s = time.monotonic()
    ends_s = due_s + SECONDS
    while due_s < ends_s:
        write()
        written += lines
        due_s += FLUSH_S
        time.sleep(max(0.0, due_s - time.monotonic()))  # until the next chunk is due
    time.sleep(10 * FLUSH_S)  # what is under way arrives, and counts
    return (cpu_s(pid) - cpu) / written * 1e6


def _run(client: redis.Redis, task_id: str) -> RunWriter:
    run = RunWriter(client, task_id, lease_ms=_LEASE_MS, cap_bytes=_CAP_BYTES)
    run.begin()
    return run


def _print(runs: Sequence[RunWriter]) -> None:
    for run in runs:
        run.write(_LINES)
        run.text.clear()


def by_tasks(stack: ExitStack) -> dict[str, Callable[[], float]]:
    """How to measure a line, by the number of tasks that are known."""
    found = {}
    for known in KNOWN:
        server = stack.enter_context(served())
        client = stack.enter_context(redis.Redis.from_url(server.store.url))
        for number in range(known - ACTIVE):
            _run(client, f"other-{number}").finish()
        runs = [_run(client, f"active-{number}") for number in range(ACTIVE)]
        viewers = [Viewer(server.port) for _ in range(ACTIVE + 1)]
        for viewer, run in zip(viewers, runs, strict=False):
            viewer.subscribe(run.task_id)
        viewers[-1].ask("watch")
        stack.enter_context(read(viewers))
        found[f"{known:,} tasks known"] = _measuring(server.pid, runs)
    return found


def by_log(stack: ExitStack) -> dict[str, Callable[[], float]]:
    """The same by how much of the log lies behind."""
    server = stack.enter_context(served())
    client = stack.enter_context(redis.Redis.from_url(server.store.url))
    found, viewers = {}, []
    for size_bytes in BEHIND_BYTES:
        run = filled(server.store.url, f"log-{size_bytes}", size_bytes)
        run.client = client
        viewers.append(Viewer(server.port))
        viewers[-1].subscribe(run.task_id, "now")
        found[f"{size_bytes / 1000:,.0f} KB of log behind"] = _measuring(server.pid, [run])
    stack.enter_context(read(viewers))
    return found


def _measuring(pid: int, runs: list[RunWriter]) -> Callable[[], float]:
    return lambda: line_us(pid, lambda: _print(runs), LINES_AT_ONCE * len(runs))


def by_kept_runs(stack: ExitStack) -> dict[str, Callable[[], float]]:
    """The shipper's CPU for a line, by how many runs it keeps that have ended."""
    found = {}
    store = stack.enter_context(valkey())
    client = stack.enter_context(redis.Redis.from_url(store.url))
    for kept in KEPT:
        at = stack.enter_context(house(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        process = stack.enter_context(shipper(at, store))
        for _ in range(kept):
            spool = at.spool()
            os.write(spool.out_fd, _LINES)
            at.end(spool)
        spool = at.spool()
        os.write(spool.out_fd, _LINES)
        _only_one_goes_on(client, at)
        stack.callback(at.end, spool)
        found[f"{kept:,} ended runs kept by the shipper"] = _shipping(process.pid, spool)
    return found


def _shipping(pid: int, spool: RunSpool) -> Callable[[], float]:
    return lambda: line_us(pid, lambda: os.write(spool.out_fd, _LINES * ACTIVE), LINES_AT_ONCE * ACTIVE)


def _only_one_goes_on(client: redis.Redis, at: House) -> None:
    """Wait until the last run has begun in Redis, and all others have ended there."""
    until_s = time.monotonic() + 60
    while sum(int(client.zcard(at.keys.alive(bucket))) for bucket in range(BUCKETS)) != 1:  # type: ignore[arg-type]
        if time.monotonic() > until_s:
            raise TimeoutError("the runs were not shipped within a minute")
        time.sleep(0.2)  # between two looks


def answers_ms() -> dict[str, list[tuple[float, float]]]:
    """How long each of many answers took that list the newest of 10,000 tasks, and the server's CPU for it."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def took(what: str, pid: int, ask: Callable[[], object]) -> None:
        cpu, began_s = cpu_s(pid), time.monotonic()
        ask()
        found[what].append(((time.monotonic() - began_s) * 1000, (cpu_s(pid) - cpu) * 1000))

    with served() as server, redis.Redis.from_url(server.store.url) as client:
        for number in range(max(KNOWN)):
            _run(client, f"task-{number}").finish()
        viewer = Viewer(server.port)
        for _ in range(ASKED):
            for path in ("/api/tasks", "/api/tasks?limit=500", "/api/tasks?q=task-99"):
                took(f"GET {path}", server.pid, partial(_got, f"http://127.0.0.1:{server.port}{path}"))
            took("watch, over the socket", server.pid, partial(viewer.ask, "watch"))
            viewer.ask("unwatch")
            viewer.pong()
        viewer.close()
    return found


def _got(url: str) -> None:
    with urllib.request.urlopen(url, timeout=30) as answer:
        answer.read()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{rounds} rounds; load before it {os.getloadavg()[0]:.1f}\n", flush=True)
    for prepared in (by_tasks, by_log, by_kept_runs):
        found: dict[str, list[float]] = defaultdict(list)
        with ExitStack() as stack:
            ways = prepared(stack)
            for measured in ways.values():
                measured()  # what is loaded and learnt once is no line's
            for number in range(rounds):
                for name, measured in list(ways.items())[:: -1 if number % 2 else 1]:
                    found[name].append(measured())
        first = median(found[next(iter(ways))])
        print("| a line of 100 bytes, with | µs of CPU (least to most) | of the first |\n|---|---|---|")
        for name in ways:
            us = found[name]
            print(f"| {name} | {median(us):.1f} ({min(us):.1f} to {max(us):.1f}) | {median(us) / first:.2f} |")
        print(flush=True)
    print("| of 10,000 tasks | p50, ms | p99, ms | server's CPU, ms |\n|---|---|---|---|")
    for name, answers in answers_ms().items():
        took, cpu = sorted(ms for ms, _ in answers), median(cpu for _, cpu in answers)
        print(f"| {name} | {median(took):.1f} | {took[int(len(took) * 0.99)]:.1f} | {cpu:.1f} |")
    print("\nflat within a tenth, and a list within 50 ms are wanted")


if __name__ == "__main__":
    main()
