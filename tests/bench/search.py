"""How long a search of a whole log takes: ``python -m tests.bench.search [lines]``.

A million lines of 100 bytes lie in Redis. A real server is asked over HTTP, as the page asks it: again from where the
last answer ended, until the end is reached. For each pattern: until the first answer with a match, until the exact
total, and the CPU of the server (its finder apart). The floor is the same bytes in one Python process' memory, searched
by the same standard library in one call. Rounds of all patterns, by turns; medians.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from statistics import median
from typing import Any

import redis

from tests.bench.fanout import listening
from tests.bench.processes import cpu_s, python, started, valkey
from tests.real.writer import RunWriter

LINES = 1_000_000
ROUNDS = 3
TASK = "bench-search"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched. ``query``: of the request. ``pattern``: the same for the floor."""

    title: str
    query: dict[str, str]
    pattern: re.Pattern[bytes]


WANTED = (
    Wanted("a text, 100 matches", {"q": "needle"}, re.compile(rb"needle")),
    Wanted("a text, case ignored, none", {"q": "Not There"}, re.compile(rb"(?i)not there")),
    Wanted("a text in every line", {"q": "loss=", "case": "1"}, re.compile(rb"loss=")),
    Wanted("an expression, 1 % of the lines", {"q": r"step \d+99 ", "regex": "1"}, re.compile(rb"step \d+99 ")),
)


@dataclass(frozen=True, slots=True)
class Searched:
    """One search. ``answers``: how many requests it took."""

    first_ms: float
    total_ms: float
    answers: int
    total: int
    server_cpu_ms: float


def text(lines: int) -> bytes:
    """A training log."""
    rows = (
        f"[2026-01-02 03:04:05] step {number:07} loss=0.{number * 7919 % 9973:04} "
        f"{'needle' if number % 10_000 == 77 else 'steady'} {'lr=0.000300 grad=1.2e-3 tokens/s=51234':38}\n"
        for number in range(lines)
    )
    return "".join(rows).encode()


def measure(lines: int = LINES, rounds: int = ROUNDS) -> dict[str, tuple[list[Searched], list[float]]]:
    """By title: the searches, and the floor's milliseconds."""
    data = text(lines)
    found: dict[str, tuple[list[Searched], list[float]]] = {wanted.title: ([], []) for wanted in WANTED}
    with valkey() as store:
        _fill(store.url, data)
        command = python("livetask", "serve", "--redis-url", store.url, "--port", "0")
        with started("server", command, limit_s=1800) as server:
            base = f"http://127.0.0.1:{listening(server)}"
            _search(base, server.pid, WANTED[0])  # it starts the finder
            for _ in range(rounds):
                for wanted in WANTED:
                    searches, floors = found[wanted.title]
                    searches.append(_search(base, server.pid, wanted))
                    begun = time.perf_counter()
                    expected = sum(1 for _ in wanted.pattern.finditer(data))
                    floors.append((time.perf_counter() - begun) * 1000)
                    assert searches[-1].total == expected, (wanted.title, searches[-1].total, expected)
    return found


def _fill(url: str, data: bytes) -> None:
    with redis.Redis.from_url(url) as client:
        run = RunWriter(client, TASK, cap_bytes=1 << 40)
        run.begin()
        for at in range(0, len(data), 16 * 1024):
            run.write(data[at : at + 16 * 1024])
        run.finish()


def _search(base: str, server_pid: int, wanted: Wanted) -> Searched:
    begun, cpu, at, total, answers, first_ms = time.perf_counter(), cpu_s(server_pid), "1-0", 0, 0, 0.0
    while True:
        query = urllib.parse.urlencode({**wanted.query, "from": at, "limit": "200"})
        with urllib.request.urlopen(f"{base}/api/tasks/{TASK}/runs/1/search?{query}", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        answers, total, at = answers + 1, total + found["total"], found["to"]
        if total and not first_ms:
            first_ms = (time.perf_counter() - begun) * 1000
        if found["done"]:
            break
    spent = (cpu_s(server_pid) - cpu) * 1000
    return Searched(first_ms, (time.perf_counter() - begun) * 1000, answers, total, spent)


def table(found: dict[str, tuple[list[Searched], list[float]]]) -> str:
    """Markdown."""
    rows = [
        "| looked for | matches | first answer with one, ms | exact total, ms | requests | its CPU, ms | floor, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, (searches, floors) in found.items():
        cells = [
            f"{searches[0].total:,}",
            f"{median(one.first_ms for one in searches):.0f}" if searches[0].total else "–",
            f"{median(one.total_ms for one in searches):.0f}",
            f"{median(one.answers for one in searches):.0f}",
            f"{median(one.server_cpu_ms for one in searches):.0f}",
            f"{median(floors):.0f}",
        ]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    print(f"{lines:,} lines, {ROUNDS} rounds; load before it {os.getloadavg()[0]:.1f}\n", flush=True)
    print(table(measure(lines)))


if __name__ == "__main__":
    main()
