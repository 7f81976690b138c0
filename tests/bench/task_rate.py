"""How many empty tasks a second a worker does, recorded and not: ``python -m tests.bench.task_rate [blocks]``.

One prefork worker with one pool process does blocks of tasks that do nothing, recorded and not by turns, as in
``task_cost``: livetask does not record a task whose id has a blank. Each block lies in the queue before its first task
may begin, so that sending does not count. Beside the rate stands the processor time for a task of each process that has
to do with it: the pool process, the main process, the shipper until all of the block is in Redis, and Redis, whose
time holds Celery's own commands. The share is the median over the pairs of blocks, with the range in which that lies at
95 %. With fewer processors than processes all four are in it; where there are enough, the pool process and the main
process, which work by turns. So two more shares are printed: of the sum of all four, which is what decides on a machine
with fewer processors than these, and of the largest of them, which decides where each has one of its own.

Below it stand the floors, measured the same way, each in a worker of its own that knows nothing of livetask: one with
receivers of the same three signals that do nothing, and one whose pool process tells Redis of each task at its end by
one HSET of redis-py, as the simplest keeper of states would do. Then what a pair of receivers that do nothing takes by
itself, and what it takes to tell Redis of a run at all, with one HSET and one ZADD, in the process that tells it and in
Redis.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import redis
from celery import Celery, signals
from celery.result import AsyncResult
from celery.utils.dispatch import Signal

from livetask.keys import Keys
from tests.bench.processes import cpu_s, python, started, valkey
from tests.bench.task_cost import median_range

BLOCKS = 20
TASKS = 400
LIVETASK, NOTHING, ONE_HSET = "livetask", "receivers that do nothing", "one HSET at each task's end"
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


def _connect_floor(way: str) -> None:
    """What a worker of a floor does with its tasks in livetask's stead."""
    if way == NOTHING:
        for signal in (signals.task_received, signals.task_prerun, signals.task_postrun):
            signal.connect(_nothing, weak=False)
    elif way == ONE_HSET:
        signals.task_postrun.connect(_tell_by_hset, weak=False)


def _nothing(task_id: str = "", **_: Any) -> None:
    """What a receiver that does nothing does."""


def _tell_by_hset(task_id: str = "", state: str = "", **_: Any) -> None:
    if " " not in task_id:
        facts: dict[Any, Any] = {
            "state": state,
            "name": "task_rate.empty",
            "ended_at": f"{time.time_ns() // 1_000_000}",
        }
        _client().hset(f"task_rate:{task_id}", mapping=facts)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(URL)


_connect_floor(os.environ.get("TASK_RATE_WAY", LIVETASK))


@dataclass(frozen=True, slots=True)
class Block:
    """A block of tasks. ``child_us`` and the others: CPU of a task in these processes."""

    per_s: float
    child_us: float
    main_us: float
    shipper_us: float
    store_us: float

    @property
    def sum_us(self) -> float:
        return self.child_us + self.main_us + self.shipper_us + self.store_us

    @property
    def largest_us(self) -> float:
        return max(self.child_us, self.main_us, self.shipper_us, self.store_us)


def measure(blocks: int, tasks: int = TASKS, way: str = LIVETASK) -> list[tuple[Block, Block]]:
    """(recorded, not recorded), each first in turn."""
    found = []
    with _worker(tasks, way) as run:
        run(True), run(False)
        for number in range(blocks):
            first = run(number % 2 == 0)
            second = run(number % 2 == 1)
            found.append((first, second) if number % 2 == 0 else (second, first))
    return found


@contextmanager
def _worker(tasks: int, way: str) -> Iterator[Callable[[bool], Block]]:
    with ExitStack() as stack:
        store = stack.enter_context(valkey())
        # beside the checkout: where it lies files are made at the usual cost, which is not so in every /tmp
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=_made(Path(".livetask"))))
        command = ["-A", "tests.bench.task_rate:app", "worker", "-c", "1", "-P", "prefork", "-l", "WARNING"]
        command += ["--without-mingle", "--without-gossip", *(["-I", "livetask.worker"] if way == LIVETASK else [])]
        given = {"TASK_RATE_URL": store.url, "TASK_RATE_WAY": way}
        given |= {"LIVETASK_SPOOL_DIR": place, "LIVETASK_REDIS_URL": store.url}
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in given.items())
        started_as = f"exec env {words} {shlex.join(python('celery', *command))} >{place}/output 2>&1"
        worker = stack.enter_context(started("the worker", ["sh", "-c", started_as], limit_s=1800))
        client = Celery("task_rate_client", broker=store.url, backend=store.url)
        gate = stack.enter_context(redis.Redis.from_url(store.url))

        def run(recorded: bool) -> Block:
            def sent(name: str, *args: object) -> AsyncResult[Any]:
                task_id = f"{uuid.uuid4()}" if recorded else f"not recorded {uuid.uuid4()}"
                return client.send_task(name, args, task_id=task_id)

            others = (_shipper_of(worker.pid), store.pid) if way == LIVETASK else (None, store.pid)
            begin = sent("task_rate.clock", True)
            for _ in range(tasks):
                sent("task_rate.empty")
            end = sent("task_rate.clock", False)
            before = [cpu_s(pid) if pid else 0.0 for pid in others]
            gate.rpush(_GATE, 1)
            at, child, main = begin.get(timeout=120)
            until, child_end, main_end = end.get(timeout=120)
            told = Keys("livetask").task(end.id)
            while recorded and way == LIVETASK and gate.hget(told, "state") != b"SUCCESS":
                time.sleep(0.01)  # between two looks
            after = [cpu_s(pid) if pid else 0.0 for pid in others]
            spent = (child_end - child, main_end - main, *(new - old for old, new in zip(before, after, strict=True)))
            return Block(tasks / (until - at), *(one / tasks * 1e6 for one in spent))

        yield run


def _shipper_of(worker_pid: int) -> int:
    """The shipper's process, a child of the worker's main process."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for item in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError):
                parent = (item / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
                if int(parent) == worker_pid and b"livetask.worker.shipper" in (item / "cmdline").read_bytes():
                    return int(item.name)
        time.sleep(0.1)  # between two looks
    raise ProcessLookupError("the worker has no shipper")


def _made(place: Path) -> Path:
    place.mkdir(exist_ok=True)
    return place


def floor_of_signals_us(pairs: int = 5_000) -> float:
    """CPU of a pair of receivers that do nothing, connected as livetask's are."""
    before, after = Signal(), Signal()
    for signal in (before, after):
        signal.connect(_nothing, weak=False)

    def pair() -> None:
        before.send(sender=empty, task_id="", task=empty, args=(), kwargs={})
        after.send(sender=empty, task_id="", task=empty, args=(), kwargs={}, retval=None, state="SUCCESS")

    return _quickest_us(pair, pairs)


def floor_of_redis_us(rounds: int = 200, runs: int = 15) -> tuple[float, float]:
    """CPU of one HSET of ten fields and one ZADD, ``runs`` of them in a round trip: (of redis-py, of Redis)."""
    fields = {f"field{number}": "a value of a run" for number in range(10)}
    with valkey() as store, redis.Redis.from_url(store.url) as client:
        before, numbers = cpu_s(store.pid), iter(range(rounds * runs))

        def tell() -> None:
            pipeline = client.pipeline(transaction=False)
            for number in islice(numbers, runs):
                pipeline.hset(f"task:{number}", mapping=fields)
                pipeline.zadd("recent", {f"{number}": number})
            pipeline.execute()

        own_us = _quickest_us(tell, rounds) / runs
        return own_us, (cpu_s(store.pid) - before) / (rounds * runs) * 1e6


def _quickest_us(call: Callable[[], None], times: int, parts: int = 20) -> float:
    """CPU of a call, in the quickest part of so many calls."""
    found = []
    for _ in range(parts):
        began_s = time.thread_time()
        for _ in range(times // parts):
            call()
        found.append((time.thread_time() - began_s) / (times // parts) * 1e6)
    return min(found)


def main() -> None:
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS
    print(f"{blocks} pairs of blocks of {TASKS} empty tasks, recorded and not; {os.cpu_count()} processors, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}. At least 97 % of the rate are wanted.\n")
    print("| | tasks a second | CPU of a task, µs: pool process | main process | shipper | Redis | all four |", end="")
    print(" share of the rate | by the sum of all CPU | with a processor for each |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for way in (LIVETASK, NOTHING, ONE_HSET):
        found = measure(blocks, way=way)
        print(_row(f"without {way}", [off for _, off in found], ["", "", ""]))
        rate = _share([on.per_s / off.per_s for on, off in found])
        by_sum = _share([off.sum_us / on.sum_us for on, off in found])
        largest = _share([off.largest_us / on.largest_us for on, off in found])
        print(_row(f"with {way}", [on for on, _ in found], [rate, by_sum, largest]), flush=True)
    own_us, store_us = floor_of_redis_us()
    print(f"\nby themselves: two receivers that do nothing {floor_of_signals_us():.1f} µs;")
    print(f"one HSET and one ZADD {own_us:.0f} µs in redis-py, {store_us:.0f} µs in Redis")


def _row(name: str, side: list[Block], shares: list[str]) -> str:
    figures = [median(values) for values in zip(*(astuple(block) for block in side), strict=True)]
    figures.append(median(block.sum_us for block in side))
    return f"| {name} | {' | '.join([f'{figure:.0f}' for figure in figures] + shares)} |"


def _share(shares: list[float]) -> str:
    low, high = median_range(shares)
    return f"{median(shares):.1%} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    main()
