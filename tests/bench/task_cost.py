"""What livetask adds to the duration of a task's body: ``python -m tests.bench.task_cost [rounds]``.

Three workers of one process each stand beside each other on one Valkey, their output going to files: one with
``-I livetask.worker``, one as Celery comes (its print goes through logging), and one whose print goes straight to the
file. The same task, about a second of arithmetic between 1,000 printed lines, runs in them by turns, and each round
begins with another one. A task measures itself, wall clock and the CPU of its process, so that neither the broker nor
the start of a worker counts. The shipper works beside the task: it is in the wall clock as far as it takes the
processor away, and not in the CPU. On a machine that has other work to do, only the CPU can be compared.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from celery import Celery

from tests.bench.processes import python, started, valkey

LINES = 1_000
STEPS = 40_000
"""Arithmetic before each line: with 1,000 lines, about a second on the machine this was written on."""

ROUNDS = 15
ROUNDS_A_START = 3
"""After so many rounds all workers are started anew, so that the luck of one process is not taken for its way."""

WAYS: dict[str, list[str]] = {"livetask": ["-I", "livetask.worker"], "celery": [], "straight": []}
TITLES = {"livetask": "livetask", "celery": "Celery as it comes", "straight": "print straight to the file"}

URL = os.environ.get("TASK_COST_URL", "memory://")
app = Celery("task_cost", broker=URL, backend=URL if URL.startswith("redis") else None)
app.conf.worker_redirect_stdouts = os.environ.get("TASK_COST_WAY") != "straight"

Cost = tuple[float, float]
"""Wall seconds and CPU seconds of one task."""


@app.task(name="task_cost.work")  # type: ignore[untyped-decorator]  # Celery has no types
def work(lines: int, steps: int) -> Cost:
    """Compute and print; returns what it took."""
    begun, cpu = time.perf_counter(), time.process_time()
    total = 0
    for number in range(lines):
        for step in range(steps):
            total += step * number
        print(f"line {number:4} of {lines}: {total % 1_000_000_007:010} {'x' * 70}")
    return time.perf_counter() - begun, time.process_time() - cpu


def measure(rounds: int = ROUNDS, lines: int = LINES, steps: int = STEPS) -> dict[str, list[Cost]]:
    """What the task took in each way, round by round."""
    found: dict[str, list[Cost]] = {way: [] for way in WAYS}
    for begun in range(0, rounds, ROUNDS_A_START):
        with _workers() as client:
            for way in WAYS:
                _one(client, way, lines, steps)  # it waits for its worker, and pays for what is imported late
            for number in range(begun, min(rounds, begun + ROUNDS_A_START)):
                order = list(WAYS)
                turn = number % len(order)
                for way in order[turn:] + order[:turn]:
                    found[way].append(_one(client, way, lines, steps))
    return found


def _one(client: Celery, way: str, lines: int, steps: int) -> Cost:
    wall_s, cpu_s = client.send_task("task_cost.work", (lines, steps), queue=way).get(timeout=120)
    return wall_s, cpu_s


@contextmanager
def _workers() -> Iterator[Celery]:
    """All workers, until the block is left; the client that sends them tasks."""
    with ExitStack() as stack:
        store = stack.enter_context(valkey())
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="livetask-bench-")))
        for way, added in WAYS.items():
            worker = ["-A", "tests.bench.task_cost:app", "worker", "-c", "1", "-P", "prefork", "-l", "INFO"]
            worker += ["-Q", way, "-n", f"{way}@%h", "--without-mingle", "--without-gossip", *added]
            given = f"TASK_COST_URL={store.url} TASK_COST_WAY={way} LIVETASK_SPOOL_DIR={place}"
            command = f"exec env {given} {shlex.join(python('celery', *worker))} >{place / way} 2>&1"
            stack.enter_context(started(way, ["sh", "-c", command], limit_s=1800))
        yield Celery("task_cost_client", broker=store.url, backend=store.url)


def table(found: dict[str, list[Cost]]) -> str:
    """Markdown: each way's medians, and what livetask takes more than it, compared round by round."""
    rows = [
        "| the same task in | wall, s | CPU, s | livetask: wall (least to most) | livetask: CPU |",
        "|---|---|---|---|---|",
    ]
    for way, costs in found.items():
        medians = [f"{median(cost[at] for cost in costs):.4f}" for at in (0, 1)]
        more = ["–", "–"] if way == "livetask" else [_more(found["livetask"], costs, at) for at in (0, 1)]
        rows.append(f"| {' | '.join([TITLES[way], *medians, *more])} |")
    return "\n".join(rows)


def _more(mine: list[Cost], others: list[Cost], at: int) -> str:
    shares = [one[at] / other[at] - 1 for one, other in zip(mine, others, strict=True)]
    return f"{median(shares):+.2%} ({min(shares):+.2%} to {max(shares):+.2%})"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    found = measure(rounds)
    print(f"{rounds} interleaved rounds, {LINES:,} lines in each task\n")
    print(table(found))


if __name__ == "__main__":
    main()
