"""Whether viewers who stall move the others' p99: ``python -m tests.bench.fairness [--viewers 200] [--pairs 40]``.

Viewers follow a task that prints, and measure how late each line is; a tenth more are attached all the time. In one
phase these read what comes, as the others do; in the other they begin at the start of the task's long log and read
nothing, so that what the kernel takes for them is soon full. Each phase has new ones, so that all pay for their coming,
and is measured once they have come. The phases of a pair follow each other on one server, each kind by turns the first:
what a busy machine does meanwhile moves all alike, or one of many. Told is the median of the pairs' ratios, with the
interval in which it lies in 95 of 100 drawings from these pairs. A second phase of readers says what this can tell.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import redis

from tests.bench import machine
from tests.bench.processes import python, started, valkey
from tests.bench.stalled import Viewer, delays_ms, filled, printing

LOG_BYTES = 8_000_000
LINES_PER_S = 20
"""So few that who measures is not what is measured."""
SETTLED_S, LEFT_S = 1.2, 0.3
"""What the kernel takes for a tenth that stalls, 3 MB each, is sent within half a second; then they have gone."""
DRAWINGS = 2000


@dataclass(frozen=True, slots=True)
class Pair:
    """p50 and p99 of the others in ms, while a tenth stalls, while it reads, and while it reads once more."""

    stalled: tuple[float, float]
    reading: tuple[float, float]
    again: tuple[float, float]


def measure(viewers: int, pairs: int, seconds: float) -> tuple[list[Pair], str]:
    """All pairs, and on what they were measured. ``seconds``: of each phase."""
    with ExitStack() as stack:
        store = stack.enter_context(valkey())
        command = ["serve", "--redis-url", store.url, "--host", "127.0.0.1", "--port", "0"]
        server = stack.enter_context(started("server", python("livetask", *command), limit_s=1800))
        port = int(server.line_with("livetask is at ").rstrip("/").rpartition(":")[2])
        stack.enter_context(printing(store.url, "live", filled(store.url, "live", LOG_BYTES), LINES_PER_S))
        others = [_joined(stack, port, "now") for _ in range(viewers)]
        delays_ms(others, 2.0)
        found = [_pair(port, others, seconds, number) for number in range(pairs)]
        with redis.Redis.from_url(store.url) as client:
            info = client.info("server")
        return found, machine.described(f"Valkey {info.get('valkey_version')}")


def _pair(port: int, others: list[Viewer], seconds: float, number: int) -> Pair:
    """The three phases; which is first changes from pair to pair."""
    kinds = ("stalled", "reading", "again")
    seen = {}
    for turn in range(len(kinds)):
        kind = kinds[(turn + number) % len(kinds)]
        seen[kind] = _phase(port, others, seconds, stalled=kind == "stalled")
    return Pair(**seen)


def _phase(port: int, others: list[Viewer], seconds: float, stalled: bool) -> tuple[float, float]:
    with ExitStack() as stack:
        tenth: list[Viewer] = []
        for _ in range(max(1, len(others) // 10)):
            tenth.append(_joined(stack, port, "start" if stalled else "now"))
            delays_ms(others, 0.002)
        reading = [] if stalled else tenth
        delays_ms([*others, *reading], SETTLED_S)
        late = delays_ms(others, seconds, beside=reading)
    delays_ms(others, LEFT_S)
    return late[len(late) // 2], late[len(late) * 99 // 100]


def _joined(stack: ExitStack, port: int, whence: str) -> Viewer:
    viewer = Viewer(port, 4096 if whence == "start" else None)
    stack.callback(viewer.close)
    viewer.subscribe("live", whence)
    return viewer


def interval(ratios: Sequence[float], drawings: int = DRAWINGS) -> tuple[float, float]:
    """Where the median of such ratios lies in 95 of 100 drawings of as many of them; the same for the same ratios."""
    chance = random.Random(1)
    medians = sorted(median(chance.choices(ratios, k=len(ratios))) for _ in range(drawings))
    return medians[drawings * 25 // 1000], medians[drawings * 975 // 1000]


def table(pairs: Sequence[Pair], viewers: int) -> str:
    """Markdown, a row for each share."""
    tenth = max(1, viewers // 10)
    rows = [
        f"| {viewers} viewers, {len(pairs)} pairs | {tenth} more read, ms | {tenth} more stall, ms "
        "| stalling : reading | reading : reading |",
        "|---|---|---|---|---|",
    ]
    for at, name in enumerate(("p50", "p99")):
        stalled, reading, again = ([getattr(pair, kind)[at] for pair in pairs] for kind in Pair.__slots__)
        mean = [(one + other) / 2 for one, other in zip(reading, again, strict=True)]
        cells = [f"{median(reading):.2f}", f"{median(stalled):.2f}", _told(stalled, mean), _told(again, reading)]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _told(ones: Sequence[float], others: Sequence[float]) -> str:
    ratios = [one / other for one, other in zip(ones, others, strict=True)]
    least, most = interval(ratios)
    return f"{median(ratios):.2f} ({least:.2f} to {most:.2f})"


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fairness", description=__doc__)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=40, help="of 10 s each")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each phase")
    given = parser.parse_args()
    pairs, on = measure(given.viewers, given.pairs, given.seconds)
    print(table(pairs, given.viewers))
    print(f"\n{on}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
