"""What a print costs in a captured task, beside print to a line-buffered file: ``python -m tests.bench.print_cost``.

Both are measured in one interleaved run, best of many rounds, on a file in the system's temporary directory.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TextIO

from livetask.worker.streams import SpoolRaw, SpoolText

_PRINTS = 20_000
_ROUNDS = 15
_LINE = "x" * 99


def print_us(stream: TextIO) -> float:
    """Microseconds for one print of a line of 100 bytes."""
    begun = time.perf_counter()
    for _ in range(_PRINTS):
        print(_LINE, file=stream)
    return (time.perf_counter() - begun) / _PRINTS * 1e6


def measure(directory: Path) -> dict[str, float]:
    """The least microseconds of a print, by way."""
    fd = os.open(directory / "spool", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with (directory / "plain").open("w", buffering=1) as plain:
        streams = {"line-buffered file": plain, "captured task": SpoolText(SpoolRaw(fd))}
        best = dict.fromkeys(streams, float("inf"))
        for _ in range(_ROUNDS):
            for way, stream in streams.items():
                best[way] = min(best[way], print_us(stream))
    os.close(fd)
    return best


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        best = measure(Path(directory))
    for way, cost_us in best.items():
        print(f"{way:20} {cost_us:6.2f} µs a print")
    plain, captured = best.values()
    print(f"{'difference':20} {captured - plain:6.2f} µs (at most 2 are wanted)")


if __name__ == "__main__":
    main()
