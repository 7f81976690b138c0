"""Where the server's time goes while it shows lines: ``python -m tests.bench.profiled [--viewers N] [--rate R]``.

It runs one load of the fan-out by one way and samples the server with py-spy (``pip install py-spy``). It prints, of
all samples in which the server worked, the share of each function's own lines (with the calls into C that it makes)
and of everything below it; ``docs/benchmarks.md`` keeps some of these.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.bench import fanout, replay
from tests.bench.native_programs import load_command
from tests.bench.processes import Valkey, python, started, valkey
from tests.bench.ways import Way, way

SAMPLES_PER_S = 500


def profiled_fanout(what: Way, cell: fanout.Cell, store: Valkey, seen: Path) -> None:
    """Run one load and leave py-spy's stacks in ``seen``."""
    with ExitStack() as stack:
        server = stack.enter_context(started("server", what.server_command(store.url)))
        port = fanout.listening(server)
        order = {"way": what.writer, "url": store.url, "cap_bytes": 1 << 40, "rate": cell.rate}
        order |= {"seconds": cell.seconds, "late_s": 1}
        writer = stack.enter_context(started("writer", python("tests.bench.writing", json.dumps(order))))
        writer.line_with("ready")
        crowd = what.viewers(port, cell.viewers, cell.lines, cell.seconds + 60)
        load = stack.enter_context(started("viewers", load_command(crowd)))
        load.line_with("ready", 60)
        writer.tell("go")
        sample(server.pid, cell.seconds, seen)


def profiled_replay(what: Way, megabytes: float, store: Valkey, seen: Path) -> None:
    """The same while viewers read a backlog, one after another."""
    lines = int(megabytes * 1e6) // 100
    replay.fill(what, store, lines)
    with started("server", what.server_command(store.url)) as server:
        order = what.viewers(fanout.listening(server), 10, lines, 60, replay=True)
        with started("viewers", load_command({**order, "sample": False})) as load:
            sample(server.pid, 4, seen)
            load.tell("stop")


def sample(pid: int, seconds: float, seen: Path) -> None:
    """Look at a process for so long, with the py-spy of this environment or of the PATH."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if program is None:
        raise SystemExit("py-spy is not here: pip install py-spy")
    flags = ["-d", f"{max(1, round(seconds))}", "-r", str(SAMPLES_PER_S), "-f", "raw", "-o", str(seen), "--nonblocking"]
    subprocess.run([program, "record", "-p", str(pid), *flags], check=True, capture_output=True)


def shares(stacks: str, most: int) -> str:
    """py-spy's raw stacks as a table: the functions with the largest own and whole shares."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for text in stacks.splitlines():
        stack, _, count = text.rpartition(" ")
        names = [_short(frame) for frame in stack.split(";") if not frame.startswith(("process", "thread"))]
        if not names:
            continue
        total += int(count)
        own[names[-1]] += int(count)
        for name in set(names):
            whole[name] += int(count)
    rows = [f"{own[name] / total:6.1%} {whole[name] / total:6.1%}  {name}" for name, _ in own.most_common(most)]
    return "\n".join([f"{'own':>6} {'whole':>6}  of {total} samples", *rows])


def _short(frame: str) -> str:
    """``name (folder/file.py)`` of ``name (/a/b/folder/file.py:12)``."""
    name, _, place = frame.partition(" (")
    return f"{name} ({'/'.join(place.rstrip(')').rpartition(':')[0].split('/')[-2:])})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="fanout", choices=["fanout", "replay"])
    parser.add_argument("--way", type=way, default="livetask")
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--rate", type=float, default=10_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--most", type=int, default=30, help="rows")
    chosen = parser.parse_args()
    with valkey() as store, tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "stacks"
        if chosen.what == "fanout":
            profiled_fanout(chosen.way, fanout.Cell(chosen.viewers, chosen.rate, chosen.seconds), store, seen)
        else:
            profiled_replay(chosen.way, chosen.megabytes, store, seen)
        print(shares(seen.read_text("utf-8"), chosen.most))


if __name__ == "__main__":
    main()
