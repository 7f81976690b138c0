"""What Redis has to do for a line: ``python -m tests.bench.redis_cost [viewers] [rounds]``.

Lines come at a steady rate and are read by some viewers, by livetask's way and by those of the two seeds. Commands and
their microseconds are Redis' own count (INFO commandstats), the whole is its process' user and system time. Counted
is what clients send; what a script calls is part of its EVALSHA. All ways by turns, medians of the rounds.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

import redis

from tests.bench import fanout
from tests.bench.fanout import Cell
from tests.bench.processes import Valkey, cpu_s, valkey
from tests.bench.ways import Way, way

WAYS = ("tutorial", "stirfried", "livetask")
RATES = (100.0, 1_000.0, 10_000.0)
VIEWERS, ROUNDS, SECONDS = 10, 3, 2.0

_WRITING = ("evalsha", "rpush", "publish")
_READING = ("xread", "xrange", "lrange", "subscribe")
_Counts = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Spent:
    """For each line: commands and microseconds in them, of who writes and of who reads, and Redis' CPU, in µs."""

    write_commands: float
    write_us: float
    read_commands: float
    read_us: float
    cpu_us: float
    delivered: float


def measure(one: Way, cell: Cell, store: Valkey) -> Spent:
    """One load by one way."""
    with redis.Redis.from_url(store.url) as client:
        before, cpu = _counts(client), cpu_s(store.pid)
        shown = fanout.measure(one, cell, store)
        after, cpu = _counts(client), cpu_s(store.pid) - cpu
    lines = cell.lines

    def spent(names: tuple[str, ...], place: int) -> float:
        return sum(after.get(name, (0, 0))[place] - before.get(name, (0, 0))[place] for name in names) / lines

    return Spent(
        *(spent(_WRITING, 0), spent(_WRITING, 1), spent(_READING, 0), spent(_READING, 1)),
        cpu / lines * 1e6,
        shown.delivered,
    )


def _counts(client: redis.Redis) -> _Counts:
    stats: dict[str, dict[str, int]] = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): (held["calls"], held["usec"]) for name, held in stats.items()}


def table(found: dict[tuple[float, str], list[Spent]]) -> str:
    """Markdown, a row a rate and way."""
    rows = [
        "| lines a second | way | delivered | writers' commands a line | µs in them | readers' commands | µs in them |"
        " Redis' CPU, µs a line |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (rate, name), rounds in found.items():
        cells = [f"{rate:,.0f}", way(name).title, f"{median(r.delivered for r in rounds):.0%}"]
        for field in ("write_commands", "write_us", "read_commands", "read_us", "cpu_us"):
            cells.append(f"{median(getattr(r, field) for r in rounds):.3g}")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    given = [int(text) for text in sys.argv[1:]]
    viewers, rounds = (*given, *(VIEWERS, ROUNDS)[len(given) :])
    print(f"{viewers} viewers, {rounds} rounds; load before it {os.getloadavg()[0]:.1f}\n", flush=True)
    found: dict[tuple[float, str], list[Spent]] = defaultdict(list)
    with valkey() as store:
        for _ in range(rounds):
            for rate in RATES:
                for name in WAYS:
                    found[rate, name].append(measure(way(name), Cell(viewers, rate, SECONDS), store))
    print(table(found))
    print("\nA way that delivers less than all lines has also spent less than it would have to.")


if __name__ == "__main__":
    main()
