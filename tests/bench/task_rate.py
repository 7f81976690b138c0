"""How many empty tasks a second a worker does, recorded and not: ``python -m tests.bench.task_rate [blocks]``.

One prefork worker with one pool process does blocks of tasks that do nothing, recorded and not by turns, as in
``task_cost``: livetask does not record a task whose id has a blank. Each block lies in the queue before its first task
may begin, so that sending does not count. Beside the rate stands the processor time of the pool process and of the main
process for a task; the shipper's is in the rate only, as far as it takes the processor away. The share is the median
over the pairs of blocks, with the range in which that lies at 95 %.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import redis
from celery import Celery

from tests.bench.processes import cpu_s, python, started, valkey
from tests.bench.task_cost import median_range

BLOCKS = 20
TASKS = 400
_GATE = "task_rate.gate"

URL = os.environ.get("TASK_RATE_URL", "memory://")
app = Celery("task_rate", broker=URL, backend=URL if URL.startswith("redis") else None)
app.conf.update(worker_prefetch_multiplier=50, task_ignore_result=True)


@app.task(name="task_rate.empty")  # type: ignore[untyped-decorator]  # Celery has no types
def empty() -> None:
    """Do nothing."""


@app.task(name="task_rate.clock", ignore_result=False)  # type: ignore[untyped-decorator]
def clock(wait: bool) -> tuple[float, float, float]:
    """Wall clock, CPU of the pool process and of the main process, in seconds; after the gate opens, if ``wait``."""
    if wait:
        with redis.Redis.from_url(URL) as client:
            client.blpop([_GATE], timeout=60)
    return time.monotonic(), time.process_time(), cpu_s(os.getppid())


@dataclass(frozen=True, slots=True)
class Block:
    """A block of tasks. ``child_us``, ``main_us``: CPU of a task in these processes."""

    per_s: float
    child_us: float
    main_us: float


def measure(blocks: int, tasks: int = TASKS) -> list[tuple[Block, Block]]:
    """(recorded, not recorded), each first in turn."""
    found = []
    with _worker(tasks) as run:
        run(True), run(False)
        for number in range(blocks):
            first = run(number % 2 == 0)
            second = run(number % 2 == 1)
            found.append((first, second) if number % 2 == 0 else (second, first))
    return found


@contextmanager
def _worker(tasks: int) -> Iterator[Callable[[bool], Block]]:
    with ExitStack() as stack:
        store = stack.enter_context(valkey())
        # beside the checkout: where it lies files are made at the usual cost, which is not so in every /tmp
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=_made(Path(".livetask"))))
        command = ["-A", "tests.bench.task_rate:app", "worker", "-c", "1", "-P", "prefork", "-l", "WARNING"]
        command += ["--without-mingle", "--without-gossip", "-I", "livetask.worker"]
        given = {"TASK_RATE_URL": store.url, "LIVETASK_SPOOL_DIR": place, "LIVETASK_REDIS_URL": store.url}
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in given.items())
        started_as = f"exec env {words} {shlex.join(python('celery', *command))} >{place}/output 2>&1"
        stack.enter_context(started("the worker", ["sh", "-c", started_as], limit_s=1800))
        client = Celery("task_rate_client", broker=store.url, backend=store.url)
        gate = stack.enter_context(redis.Redis.from_url(store.url))

        def run(recorded: bool) -> Block:
            def sent(name: str, *args: object) -> object:
                task_id = f"{uuid.uuid4()}" if recorded else f"not recorded {uuid.uuid4()}"
                return client.send_task(name, args, task_id=task_id)

            begin = sent("task_rate.clock", True)
            for _ in range(tasks):
                sent("task_rate.empty")
            end = sent("task_rate.clock", False)
            gate.rpush(_GATE, 1)
            at, child, main = begin.get(timeout=120)  # type: ignore[attr-defined]
            until, child_end, main_end = end.get(timeout=120)  # type: ignore[attr-defined]
            return Block(tasks / (until - at), (child_end - child) / tasks * 1e6, (main_end - main) / tasks * 1e6)

        yield run


def _made(place: Path) -> Path:
    place.mkdir(exist_ok=True)
    return place


def main() -> None:
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS
    found = measure(blocks)
    print(f"{blocks} pairs of blocks of {TASKS} empty tasks; load {os.getloadavg()[0]:.1f}\n")
    print("| | tasks a second | CPU of a task in the pool process, µs | in the main process, µs |")
    print("| --- | --- | --- | --- |")
    for name, side in (("recorded", [pair[0] for pair in found]), ("not recorded", [pair[1] for pair in found])):
        figures = (median(block.per_s for block in side), median(block.child_us for block in side))
        print(f"| {name} | {figures[0]:.0f} | {figures[1]:.0f} | {median(block.main_us for block in side):.0f} |")
    shares = [on.per_s / off.per_s for on, off in found]
    low, high = median_range(shares)
    print(f"\nrecorded: {median(shares):.1%} of the rate ({low:.1%} to {high:.1%}); at least 97 % are wanted")


if __name__ == "__main__":
    main()
