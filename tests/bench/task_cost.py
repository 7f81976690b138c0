"""What livetask adds to the duration of a task, whole and broken: ``python -m tests.bench.task_cost [pairs]``.

One worker with one pool process runs the same tasks by turns, recorded and not: livetask does not record a task whose
id has a blank, so both ways stand in the same process, print into the same file and meet the same moments of the
machine. Celery's own redirection of print is off: it puts every line through logging, which costs more than livetask.

Two things are measured. What a task's body takes more: arithmetic between printed lines, a thousand lines a second, in
pairs whose order alternates; wall clock, and CPU (user and system) of the process. They are short and many, because a
shared machine changes its pace from second to second. And what a run costs that does nothing: the CPU that the process
uses from one end to the next, in blocks of empty tasks of one way. The shipper works beside the task: it is in the wall
clock as far as it takes the processor away. A share is the median over the pairs, with the range in which that median
lies at 95 %, by the binomial distribution. The last column adds both up for a task of one second.

The rows break livetask on purpose, each in a way of its own, with a worker of its own.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from math import comb
from pathlib import Path
from statistics import median

from celery import Celery

from livetask.service.embedded import free_port
from tests.bench.processes import python, started, valkey

LINES = 100
STEPS = 40_000
"""Arithmetic before each line: about a millisecond on the machine this was written on."""
PAIRS = 200
EMPTY_BLOCK = 25

URL = os.environ.get("TASK_COST_URL", "memory://")
app = Celery("task_cost", broker=URL, backend=URL if URL.startswith("redis") else None)
app.conf.update(worker_redirect_stdouts=False, worker_prefetch_multiplier=1)

Clocks = tuple[float, float, float]
"""Wall seconds and CPU seconds of the body, and the CPU clock of the process at its end."""


@app.task(name="task_cost.work")  # type: ignore[untyped-decorator]  # Celery has no types
def work(lines: int, steps: int) -> Clocks:
    """Compute and print; returns what it took."""
    begun, cpu = time.perf_counter(), time.process_time()
    total = 0
    for number in range(lines):
        for step in range(steps):
            total += step * number
        print(f"line {number:4} of {lines}: {total % 1_000_000_007:010} {'x' * 70}")
    ended = time.process_time()
    return time.perf_counter() - begun, ended - cpu, ended


@dataclass(frozen=True, slots=True)
class Way:
    """One way to break livetask, or none. ``environ``: of its worker; ``imports``: its modules besides livetask's."""

    title: str
    environ: dict[str, str] = field(default_factory=dict)
    imports: tuple[str, ...] = ()


@contextmanager
def ways() -> Iterator[list[Way]]:
    """Livetask whole, and every way to break it that this machine allows."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="livetask-bench-")))
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        (place / "sabotage").touch()
        sabotage = {"SYSTEM_SABOTAGE": "0.05", "SYSTEM_SABOTAGE_FROM": str(place / "sabotage")}
        found = [
            Way("livetask whole"),
            Way("Redis away", {"LIVETASK_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}),
            Way("Redis silent", {"LIVETASK_REDIS_URL": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"}),
            Way("a setting that is wrong", {"LIVETASK_CHUNK_BYTES": "many"}),
            Way("every 20th call inside livetask fails", sabotage, ("tests.system.apps.sabotage",)),
        ]
        with suppress(subprocess.CalledProcessError):
            found.append(Way("disk full", {"LIVETASK_SPOOL_DIR": str(stack.enter_context(_full_disk(place)))}))
        yield found


@contextmanager
def _full_disk(place: Path) -> Iterator[Path]:
    """A small file system without room; needs the right to mount one, raises CalledProcessError."""
    small = place / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True, capture_output=True)
    try:
        with suppress(OSError), (small / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(b"x" * 4096)
        yield small / "spool"
    finally:
        subprocess.run(["umount", "-l", small], check=True)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way took more. ``walls``, ``cpus``: of the body, as shares, by pair. ``empty_ms``: CPU of a run."""

    walls: list[float]
    cpus: list[float]
    empty_ms: list[float]


def measure(way: Way, pairs: int = PAIRS, lines: int = LINES, steps: int = STEPS) -> Cost:
    """Run the pairs and the blocks of empty tasks in a worker of this way."""
    with _worker(way) as run:
        for recorded in (True, False):
            run(recorded, lines, steps)  # it waits for the worker, and pays for what is imported late
        found = [_pair(run, number, lines, steps) for number in range(pairs)]
        empty = [_empty_ms(run, True) - _empty_ms(run, False) for _ in range(max(2, pairs // 10))]
    walls = [on[0] / off[0] - 1 for on, off in found]
    cpus = [on[1] / off[1] - 1 for on, off in found]
    return Cost(walls, cpus, empty)


Run = Callable[[bool, int, int], Clocks]
"""Run the task once: recorded or not, lines, steps."""


def _pair(run: Run, number: int, lines: int, steps: int) -> tuple[Clocks, Clocks]:
    """(recorded, not recorded), each first in turn."""
    if number % 2:
        off = run(False, lines, steps)
        return run(True, lines, steps), off
    return run(True, lines, steps), run(False, lines, steps)


def _empty_ms(run: Run, recorded: bool) -> float:
    """Milliseconds of the process' CPU from one end to the next, for tasks that do nothing."""
    first = run(recorded, 0, 0)[2]
    for _ in range(EMPTY_BLOCK):
        last = run(recorded, 0, 0)[2]
    return (last - first) / EMPTY_BLOCK * 1000


@contextmanager
def _worker(way: Way) -> Iterator[Run]:
    with ExitStack() as stack:
        store = stack.enter_context(valkey())
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="livetask-bench-"))
        command = ["-A", "tests.bench.task_cost:app", "worker", "-c", "1", "-P", "prefork", "-l", "WARNING"]
        command += ["--without-mingle", "--without-gossip", "-I", ",".join(("livetask.worker", *way.imports))]
        given = {"TASK_COST_URL": store.url, "LIVETASK_SPOOL_DIR": place, "LIVETASK_REDIS_URL": store.url} | way.environ
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in given.items())
        started_as = f"exec env {words} {shlex.join(python('celery', *command))} >{place}/output 2>&1"
        stack.enter_context(started(way.title, ["sh", "-c", started_as], limit_s=1800))
        client = Celery("task_cost_client", broker=store.url, backend=store.url)

        def run(recorded: bool, lines: int, steps: int) -> Clocks:
            task_id = f"{uuid.uuid4()}" if recorded else f"not recorded {uuid.uuid4()}"
            sent = client.send_task("task_cost.work", (lines, steps), task_id=task_id)
            wall_s, cpu_s, at_s = sent.get(timeout=120, interval=0.002)
            return wall_s, cpu_s, at_s

        yield run


def row(way: Way, cost: Cost) -> str:
    """One row of the table."""
    empty = median(cost.empty_ms)
    whole = median(cost.cpus) + empty / 1000
    return f"| {way.title} | {_share(cost.walls)} | {_share(cost.cpus)} | {empty:.2f} ms | {whole:+.2%} |"


HEAD = "| livetask | body: wall | body: CPU | an empty run: CPU | a task of 1 s: CPU |\n|---|---|---|---|---|"


def _share(shares: list[float]) -> str:
    low, high = median_range(shares)
    return f"{median(shares):+.2%} ({low:+.2%} to {high:+.2%})"


def median_range(values: list[float]) -> tuple[float, float]:
    """Where the median of what these are a sample of lies at 95 % or more, by order statistics."""
    ordered, count = sorted(values), len(values)
    outside, cut = 0.0, 0
    while cut < count // 2 and outside + comb(count, cut) / 2**count <= 0.025:
        outside += comb(count, cut) / 2**count
        cut += 1
    at = max(0, cut - 1)
    return ordered[at], ordered[count - 1 - at]


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    print(
        f"{pairs} pairs of tasks, {LINES:,} lines in each; load before it {os.getloadavg()[0]:.1f}\n\n{HEAD}",
        flush=True,
    )
    with ways() as found:
        for way in found:
            print(row(way, measure(way, pairs)), flush=True)


if __name__ == "__main__":
    main()
