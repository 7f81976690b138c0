"""The command: ``python -m tests.bench [append|fanout|replay|all] [flags]``; ``make bench`` is all of it."""

from __future__ import annotations

import argparse
import resource
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from tests.bench import append, fanout, machine, native_programs, raw_read, replay, table
from tests.bench.fanout import Cell
from tests.bench.processes import Valkey, valkey
from tests.bench.ways import WAYS, Way, way

USUAL = (
    (1, 1.0), (1, 1_000.0), (1, 100_000.0), (10, 1_000.0), (10, 100_000.0), (100, 1_000.0), (100, 10_000.0),
    (1_000, 10.0), (1_000, 1_000.0),
)  # fmt: skip
QUICK = ((100, 10_000.0),)
MOST_FOR_LINES = 10_000
"""Above so many lines a second the ways that bring a line at a time only show how they fall behind."""


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The flags, with what ``--quick`` and the defaults make of those not given."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=["append", "fanout", "replay", "all"])
    parser.add_argument("--rounds", type=int, help="how often everything is measured (3; quick 1)")
    parser.add_argument("--viewers", type=_numbers, help="fan-out: numbers of viewers, with commas")
    parser.add_argument("--rates", type=_numbers, help="fan-out: lines a second, with commas")
    parser.add_argument("--stalled", type=float, default=0.0,
                        help="fan-out: each load also with this share of viewers more, who read nothing")  # fmt: skip
    parser.add_argument("--seconds", type=float, help="fan-out: how long lines come (2; quick 1)")
    parser.add_argument("--backlog-mb", type=float, default=replay.BACKLOG_BYTES / 1e6, help="replay: its size")
    parser.add_argument("--lines", type=int, default=append.LINES, help="append: the most lines to write")
    parser.add_argument("--ways", type=lambda text: [way(name) for name in text.split(",")], default=list(WAYS),
                        help=f"of {','.join(known.name for known in WAYS)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="one short round of less")
    parser.add_argument("--write", type=Path, help=f"put the tables between {table.BEGIN} and {table.END} of this file")
    found = parser.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 3)
    found.seconds = found.seconds or (1.0 if found.quick else 2.0)
    loads: Sequence[tuple[int, float]] = QUICK if found.quick else USUAL
    if found.viewers or found.rates:
        loads = [(int(v), r) for v in found.viewers or [1, 10, 100] for r in found.rates or [1000.0]]
    found.cells = [
        Cell(viewers + stalled, rate, found.seconds, stalled)
        for viewers, rate in loads
        for stalled in sorted({0, round(viewers * found.stalled)})
    ]
    return found


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def measured(chosen: argparse.Namespace, store: Valkey) -> list[str]:
    """Run all rounds, each over all ways, and return the tables."""
    rounds: dict[Any, list[Any]] = defaultdict(list)
    want = ("append", "fanout", "replay") if chosen.what == "all" else (chosen.what,)
    for number in range(1, chosen.rounds + 1):
        for one in chosen.ways if "append" in want else ():
            if one.append_title:
                rounds["append", one.name].append(append.measure(one, store, chosen.lines))
                _told(number, "append", one)
        for cell in chosen.cells if "fanout" in want else ():
            for one in _taking_part(chosen, cell):
                rounds[cell, one.name].append(fanout.measure(one, cell, store))
                _told(number, f"{cell.viewers} x {cell.rate:g}/s", one)
        for one in chosen.ways if "replay" in want else ():
            if one.keeps:
                rounds["replay", one.name].append(replay.measure(one, store, int(chosen.backlog_mb * 1e6)))
                _told(number, "replay", one)
        if "replay" in want:
            rounds["replay", "raw"].append(raw_read.measure(store, int(chosen.backlog_mb * 1e6)))
    return _tables(chosen, rounds, want)


def _taking_part(chosen: argparse.Namespace, cell: Cell) -> list[Way]:
    return [one for one in chosen.ways if one.there and (one.chunked or cell.rate <= MOST_FOR_LINES)]


def _tables(chosen: argparse.Namespace, rounds: dict[Any, list[Any]], want: Sequence[str]) -> list[str]:
    tables = []
    if "append" in want:
        tables.append(
            table.append_table([(one, rounds["append", one.name]) for one in chosen.ways if one.append_title])
        )
    if "fanout" in want:
        tables.append(
            table.fanout_table(
                [(cell, one, rounds[cell, one.name]) for cell in chosen.cells for one in chosen.ways if one.there]
            )
        )
    if "replay" in want:
        results = [(one, rounds["replay", one.name]) for one in chosen.ways if one.keeps]
        tables.append(table.replay_table(results, rounds["replay", "raw"], chosen.backlog_mb))
    return tables


def _told(number: int, what: str, one: Way) -> None:
    print(f"round {number}: {what}, {one.name}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    chosen = parsed(arguments)
    begun = time.monotonic()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for those who are started: a descriptor a viewer
    with valkey() as store:
        with redis.Redis.from_url(store.url) as client:
            info: dict[str, Any] = client.info("server")
        name = info.get("server_name", "redis").capitalize()
        about = machine.described(f"{name} {info.get('valkey_version', info['redis_version'])}")
        tables = measured(chosen, store)
    command = shlex.join(["python", "-m", "tests.bench", *arguments])
    took = f"`{command}`, {chosen.rounds} round(s) in {time.monotonic() - begun:.0f} s."
    viewers = f"The viewers are {native_programs.viewers_named()}."
    text = "\n\n".join([*tables, table.NOTE, f"{about} {viewers} {took}"])
    print(text)
    if chosen.write:
        table.write_between_markers(chosen.write, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
