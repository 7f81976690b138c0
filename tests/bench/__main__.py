"""The command: ``python -m tests.bench [append|fanout|replay|storm|idle|all] [flags]``; ``make bench`` is all of it.

Figures are kept as they come, in a file beside the checkout's other left-overs; a run that is stopped, or whose time is
up, still writes what it has. ``--kept`` writes the tables of the last run again and measures nothing; ``--resume`` goes
on with what it lacks.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from tests.bench import append, crowds, document, machine, native_programs, plan
from tests.bench.fanout import Cell
from tests.bench.goals import goals
from tests.bench.kept import Kept, read
from tests.bench.plan import Stage
from tests.bench.processes import ROOT, valkey
from tests.bench.running import Runner
from tests.bench.ways import WAYS, way

PLACE = ROOT / ".livetask"
WHATS = ("fanout", "replay", "storm", "append", "idle")
MINUTES, QUICK_MINUTES = 30.0, 1.5
OVER_S, QUICK_OVER_S = 45.0, 10.0
"""How long what was begun in time may take beyond that."""
QUICK_SIZES = {"replay": 8_000_000, "storm": 200, "append": 20_000, "idle": 200}
FILES_BESIDE_VIEWERS = 500


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The flags, with what ``--quick`` and the defaults make of those not given."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=[*WHATS, "all"])
    parser.add_argument("--rounds", type=int, help="how often everything is measured (3, less of what matters less)")
    parser.add_argument("--viewers", type=_numbers, help="fan-out: numbers of viewers, with commas")
    parser.add_argument("--rates", type=_numbers, help="fan-out: lines a second, with commas")
    parser.add_argument("--stalled", type=float, default=0.0,
                        help="fan-out: each load also with this share of viewers more, who read nothing")  # fmt: skip
    parser.add_argument("--seconds", type=float, help="fan-out: how long lines come (2; quick 1)")
    parser.add_argument("--backlog-mb", type=float, help="replay: its size (100; quick 8)")
    parser.add_argument("--lines", type=int, help="append: the most lines to write")
    parser.add_argument("--crowd", type=int, help="storm: how many viewers (1000; quick 200)")
    parser.add_argument("--idle", type=_numbers, help="idle: how many viewers, with commas (5000,10000)")
    parser.add_argument("--quiet-s", type=float, default=crowds.QUIET_S, help="idle: how long they are looked at")
    parser.add_argument("--ways", type=lambda text: [way(name) for name in text.split(",")], default=list(WAYS),
                        help=f"of {','.join(known.name for known in WAYS)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="one short round of less")
    parser.add_argument("--minutes", type=float, help="begin nothing that is not over by then (30; quick 1.5)")
    parser.add_argument("--keep", type=Path, help="where figures are kept; a part of it all keeps none unless told")
    parser.add_argument("--kept", action="store_true", help="measure nothing, write the tables of what was kept")
    parser.add_argument("--resume", action="store_true", help="measure only what was not kept yet")
    parser.add_argument("--write", type=Path,
                        help=f"put the tables between {document.BEGIN} and {document.END} of this file")  # fmt: skip
    found = parser.parse_args(arguments)
    found.seconds = found.seconds or (1.0 if found.quick else 2.0)
    found.minutes = found.minutes or (QUICK_MINUTES if found.quick else MINUTES)
    if found.keep is None and (found.what == "all" or found.kept or found.resume):
        found.keep = PLACE / ("bench-quick.json" if found.quick else "bench.json")
    found.stages = stages(found)
    return found


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def stages(chosen: argparse.Namespace) -> list[Stage]:
    """What the flags ask for, what matters most first."""
    want = WHATS if chosen.what == "all" else (chosen.what,)
    first, others = _loads(chosen)
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    arms: list[plan.Arm] = []
    if "fanout" in want:
        arms += plan.fanout(cells(chosen, first), chosen.ways)
    if "replay" in want:
        arms += plan.replay(_size(chosen, "replay", plan.BACKLOG_BYTES), chosen.ways)
    if "storm" in want:
        names = [one.name for one in chosen.ways if one.name in crowds.STORM]
        arms += plan.storm(_size(chosen, "storm", plan.CROWD), names)
    if "append" in want:
        arms += plan.append(_size(chosen, "append", append.LINES), chosen.ways)
    found = [Stage(tuple(arms), rounds)]
    if "idle" in want and not (chosen.quick and chosen.what == "all"):
        names = [one.name for one in chosen.ways if one.name in crowds.IDLE]
        found.append(Stage(plan.idle(_crowds(chosen), names), chosen.rounds or 2))
    if "fanout" in want and others:
        less = [one for one in chosen.ways if one.name != "floor"]
        found.append(Stage(plan.fanout(cells(chosen, others), less), chosen.rounds or 2))
    return [stage for stage in found if stage.arms]


def cells(chosen: argparse.Namespace, loads: Sequence[tuple[int, float]]) -> list[Cell]:
    """Each load, and if it is asked for the same with some viewers more who read nothing."""
    return [
        Cell(viewers + stalled, rate, chosen.seconds, stalled)
        for viewers, rate in loads
        for stalled in sorted({0, round(viewers * chosen.stalled)})
    ]


def _loads(chosen: argparse.Namespace) -> tuple[Sequence[tuple[int, float]], Sequence[tuple[int, float]]]:
    """Those that matter most, and the rest."""
    if chosen.viewers or chosen.rates:
        return [(int(v), r) for v in chosen.viewers or [1, 10, 100] for r in chosen.rates or [1000.0]], ()
    return (plan.MOST[:1], ()) if chosen.quick else (plan.MOST, plan.OTHERS)


def _size(chosen: argparse.Namespace, what: str, usual: int) -> int:
    given = {
        "replay": chosen.backlog_mb and int(chosen.backlog_mb * 1e6),
        "storm": chosen.crowd,
        "append": chosen.lines,
    }[what]
    return int(given or (QUICK_SIZES[what] if chosen.quick else usual))


def _crowds(chosen: argparse.Namespace) -> list[int]:
    """How many idle viewers, as far as this machine gives a process descriptors."""
    if chosen.idle:
        return [int(size) for size in chosen.idle]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - FILES_BESIDE_VIEWERS
    return [QUICK_SIZES["idle"]] if chosen.quick else sorted({min(size, most) for size in plan.IDLE_CROWDS})


def measure(chosen: argparse.Namespace, kept: Kept) -> bool:
    """Measure what was chosen; False if someone stopped it."""
    begun = time.monotonic()
    runner = Runner(kept, begun, begun + chosen.minutes * 60, QUICK_OVER_S if chosen.quick else OVER_S)
    try:
        runner.prepare({name for stage in chosen.stages for arm in stage.arms for name in arm.ways})
        runner.run(chosen.stages, quiet_s=chosen.quiet_s)
    except KeyboardInterrupt:
        return False
    finally:
        took = f"in {(time.monotonic() - begun) / 60:.1f} minutes"
        kept.about["took"] = f"`{kept.about['command']}`, {kept.share()} {took}."
        kept.save()
    return True


def described(arguments: Sequence[str]) -> dict[str, str]:
    """What a reader has to know of the machine and the command. Asked before anything is measured."""
    with valkey() as store, redis.Redis.from_url(store.url) as client:
        info: dict[str, Any] = client.info("server")
    name = info.get("server_name", "redis").capitalize()
    return {
        "machine": machine.described(f"{name} {info.get('valkey_version', info['redis_version'])}"),
        "viewers": native_programs.viewers_named(),
        "command": shlex.join(["python", "-m", "tests.bench", *arguments]),
        "took": "",
    }


def main(arguments: Sequence[str]) -> int:
    chosen = parsed(arguments)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for those who are started: a descriptor a viewer
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever stops it gets what there is
    finished = True
    try:
        if chosen.kept:
            kept = read(chosen.keep)
        else:
            kept = read(chosen.keep) if chosen.resume else Kept(chosen.keep)
            kept.about = described(arguments)
            finished = measure(chosen, kept)
    finally:
        signal.signal(signal.SIGTERM, before)
    print("\n\n".join(filter(None, [goals(kept), document.tables(kept)])))
    if chosen.write:
        document.write(chosen.write, kept)
    return 0 if finished else 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
