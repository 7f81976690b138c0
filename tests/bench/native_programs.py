"""The two programs in C: the viewers, light enough not to be what is measured, and the floor that all is measured by.

They are compiled when they are first needed. Where there is no C compiler the viewers of ``load`` take the place of the
one, which the tables say, and the other has no row.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.bench.processes import ROOT, python

_HOME = ROOT / "tests" / "bench" / "native"
_PLACE = ROOT / ".livetask" / "bench-native"
COMPILING_S = 60
SAMPLED = 20
"""On how many connections the viewers in C take times."""


@cache
def built(name: str) -> Path | None:
    """The program of that name, compiled by ``$CC`` or cc; None if there is no compiler, or none that works."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    source = _HOME / f"{name}.c"
    place = _PLACE / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not place.exists():
        _PLACE.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f"{place.name}.{os.getpid()}")
        command = [compiler, "-O3", "-o", str(fresh), str(source)]
        if subprocess.run(command, check=False, capture_output=True, timeout=COMPILING_S).returncode != 0:
            return None
        fresh.replace(place)
    return place


def load_command(order: dict[str, Any]) -> list[str]:
    """How the viewers of an order are started, see ``load``: those in C, or those in Python."""
    program = built("viewers")
    if program is None:
        return python("tests.bench.load", json.dumps(order))
    said = order["hello"] if order["kind"] == "raw" else json.dumps(order["subscribe"])
    flags = {
        "kind": order["kind"],
        "port": order["port"],
        "viewers": order["viewers"],
        "expected": order["expected"],
        "limit": order["limit_s"],
        "say": said,
        "acks": order.get("acks") or "",
        "sampled": SAMPLED if order.get("sample", True) else 0,
        "stalled": order.get("stalled", 0),
    }
    return [str(program), *(part for name, value in flags.items() for part in (f"--{name}", str(value)))]


def viewers_named() -> str:
    """Which viewers there are here, for the note under a table."""
    return "in Python, since no C compiler works here" if built("viewers") is None else "in C, on one epoll loop"
