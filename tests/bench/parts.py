"""The goals that have a command of their own, one command after the other: ``python -m tests.bench.parts [NAME ...]``.

What they print is put together as it comes, in ``.livetask/bench-parts.md`` too. One that fails, or is not over in its
time, says so and the next one begins. All take about a quarter of an hour on a machine that has nothing else to do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.bench.processes import ROOT, python

LIMITS_S = {
    "print_cost": 120,
    "ship_cost": 180,
    "append_delay": 180,
    "run_cost": 120,
    "task_rate": 300,
    "redis_cost": 240,
    "memory": 120,
    "growth": 300,
    "stalled": 300,
    "fairness": 520,
}
"""In this order; how long each may take."""
ENDING_S = 20.0
PLACE = ROOT / ".livetask" / "bench-parts.md"


def said(name: str) -> str:
    """What the command prints, under its name; and at the end what went wrong."""
    begun, load = time.monotonic(), os.getloadavg()[0]
    process = subprocess.Popen(
        python(f"tests.bench.{name}"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        text, _ = process.communicate(timeout=LIMITS_S[name])
        wrong = f"It failed with status {process.returncode}." if process.returncode else ""
    except subprocess.TimeoutExpired:
        text, wrong = _stopped(process), f"It was not over after {LIMITS_S[name]} s."
    took = f"{time.monotonic() - begun:.0f} s, load before it {load:.1f}"
    return "\n\n".join(filter(None, [f"## {name} ({took})", text.strip(), wrong])) + "\n"


def _stopped(process: subprocess.Popen[str]) -> str:
    """End it so that it can end what it started; what it had said."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=ENDING_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def main(names: Sequence[str]) -> int:
    if unknown := [name for name in names if name not in LIMITS_S]:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(LIMITS_S)}")
    PLACE.parent.mkdir(exist_ok=True)
    texts: list[str] = []
    for name in names or LIMITS_S:
        texts.append(said(name))
        print(texts[-1], flush=True)
        PLACE.write_text("\n".join(texts), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
