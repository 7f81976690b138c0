"""What a run that prints nothing costs, part by part: ``python -m tests.bench.run_cost [rounds]``.

A process does what a pool process does at the beginning and the end of a run, by Celery's signals, for some runs; then
the shipper takes what it finds into Redis; and so on, by turns. Processor time of each for a run, in the quickest of
all rounds: other processes of a busy machine take it away from these, but add little to it. In a worker each takes two
to four times as much, since all of them find the caches full of what others do (``task_rate``).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

from celery import Celery, signals
from celery.app.task import Context

from livetask.settings import Settings
from livetask.worker import installing
from livetask.worker.order import Order
from livetask.worker.shipper import Shipper
from livetask.worker.spool import make_directory
from tests.bench.processes import cpu_s, python, started, valkey

ROUNDS = 300
RUNS = 20
"""So many are shipped in a round of a worker that does a thousand tasks a second."""


def pool_process(directory: Path) -> None:
    """Do as many runs as each line of the standard input says; answer with the CPU of a run, in µs."""
    say = os.dup(1)  # a run takes the standard output
    app = Celery("run_cost", broker="memory://")
    task = app.task(name="run_cost.empty")(_nothing)
    installing.connect()
    settings = Settings.load({"livetask_redis_url": "redis://nobody"}, {})
    installing._worker = installing._Worker(settings, (), directory, None)
    for line in sys.stdin:
        requests = [Context(_request(f"{uuid.uuid4()}")) for _ in range(int(line))]
        began_s = time.thread_time()
        for request in requests:
            task.request_stack.push(request)
            told = {"task_id": request.id, "task": task}
            signals.task_prerun.send(sender=task, args=(), kwargs={}, **told)
            signals.task_postrun.send(sender=task, args=(), kwargs={}, retval=None, state="SUCCESS", **told)
            task.request_stack.pop()
        os.write(say, b"%f\n" % ((time.thread_time() - began_s) / len(requests) * 1e6))


def _nothing() -> None:
    """What an empty task does."""


def _request(task_id: str) -> dict[str, object]:
    """A request as a pool process has it."""
    facts = {"id": task_id, "root_id": task_id, "hostname": "celery@host", "args": [], "kwargs": {}}
    shown = {"argsrepr": "()", "kwargsrepr": "{}"}
    return {**facts, **shown, "delivery_info": {"routing_key": "celery", "redelivered": False}}


def measure(rounds: int) -> tuple[float, float, float]:
    """µs of CPU for a run: (pool process, shipper, Redis)."""
    with ExitStack() as stack:
        store = stack.enter_context(valkey())
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=_made(Path(".livetask")))))
        directory, lock_fd = make_directory(place.resolve() / "spools")
        stack.callback(os.close, lock_fd)
        # it outlives the shipper, which takes a process that ends for one that was killed
        command = python("tests.bench.run_cost", "--pool-process", str(directory))
        child = stack.enter_context(started("the pool process", command))
        shipper = Shipper(_order(directory, store.url))
        found = []
        for _ in range(rounds):
            child.tell(f"{RUNS}")
            pool_us = float(child.line(60))
            began_s, store_began_s = time.thread_time(), cpu_s(store.pid)
            while shipper._turn():
                pass
            spent_s = time.thread_time() - began_s, cpu_s(store.pid) - store_began_s
            found.append((pool_us, *(one / RUNS * 1e6 for one in spent_s)))
    pool, own, redis = (min(values) for values in zip(*found, strict=True))
    return pool, own, redis


def _order(directory: Path, url: str) -> Order:
    settings = Settings.load({"livetask_redis_url": url}, {})
    given = {item.name: getattr(settings, item.name) for item in fields(Order) if hasattr(settings, item.name)}
    return Order(**given | {"directory": str(directory), "main_pid": os.getppid(), "tee": False})


def _made(place: Path) -> Path:
    place.mkdir(exist_ok=True)
    return place


def main() -> None:
    if sys.argv[1:2] == ["--pool-process"]:
        pool_process(Path(sys.argv[2]))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    pool, own, store = measure(rounds)
    print(f"the quickest of {rounds} rounds of {RUNS} empty runs; load {os.getloadavg()[0]:.1f}\n")
    print("| CPU of a run, µs: pool process | shipper | Redis | all |\n| --- | --- | --- | --- |")
    print(f"| {pool:.0f} | {own:.0f} | {store:.0f} | {pool + own + store:.0f} |")


if __name__ == "__main__":
    main()
