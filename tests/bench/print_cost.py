"""What a print costs in a captured task, beside print to a line-buffered file: ``python -m tests.bench.print_cost``.

All are measured in one interleaved run, best of many rounds, on a file in the system's temporary directory: with
nothing to hide, with the known formats, and with ten given texts besides; lines as programs print them, nearly all with
a long word, in which a key might be.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TextIO

from livetask.masking import Mask
from livetask.worker.streams import SpoolRaw, SpoolText

_PRINTS = 5_000
_ROUNDS = 25
_PEER = "line-buffered file"
LINES = {
    "usual line": "2026-01-02 03:04:05 INFO worker: step 1234 of 5678 took 0.123 s, 3 failed, 55 rows written, go on!!",
    "one long word": "x" * 99,
    "a path in it": '  File "/usr/lib/python3.11/site-packages/celery/app/trace.py", line 451, in trace_task, called',
    "a hash": "commit 3f786850e387550fdab836ed7e6dc881de23001b checked out, 12 files changed, nothing more to be done",
    "a URL": "GET https://files.example.org/packages/py3/c/celery/celery-5.4.0-py3-none-any.whl 200 in 0.12 s, done",
    "JSON": '{"level": "info", "ts": "2026-01-02T03:04:05.123456Z", "logger": "proj.tasks.daily", "rows": 12345678}',
    "long names": "2026-01-02 03:04:05,1 proj.pipelines.daily_report.aggregate INFO finished_step total_rows=12345678",
    "base64": "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL1Yds",
    "a UUID in it": "[2026-01-02 03:04:05,123: INFO/Main] Task proj.add[5f1c2a7e-0b1d-4c5e-9f00-1234567890ab] received",
}


def print_us(stream: TextIO, line: str) -> float:
    """Microseconds of CPU for one print of a line of 100 bytes."""
    begun = time.process_time()
    for _ in range(_PRINTS):
        print(line, file=stream)
    return (time.process_time() - begun) / _PRINTS * 1e6


def measure(directory: Path) -> dict[tuple[str, str], float]:
    """The least microseconds of a print, by way and line."""
    fd = os.open(directory / "spool", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    texts = [f"a secret number {number} of ten" for number in range(10)]
    masks = {"nothing to hide": None, "known formats": Mask(), "and ten texts": Mask(texts=texts)}
    with (directory / "plain").open("w", buffering=1) as plain:
        streams: dict[str, TextIO] = {_PEER: plain}
        streams |= {name: SpoolText(SpoolRaw(fd, mask=mask)) for name, mask in masks.items()}
        best = {(way, kind): float("inf") for way in streams for kind in LINES}
        for _ in range(_ROUNDS):
            for way, kind in best:
                best[way, kind] = min(best[way, kind], print_us(streams[way], LINES[kind]))
    os.close(fd)
    return best


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        best = measure(Path(directory))
    print("| µs a print | " + " | ".join(LINES) + " |")
    print("| --- |" + " --- |" * len(LINES))
    for way in dict.fromkeys(way for way, _ in best):
        more = (f"{best[way, kind]:.2f} ({best[way, kind] - best[_PEER, kind]:+.2f})" for kind in LINES)
        print(f"| {way} | " + " | ".join(more) + " |")
    print("\nin brackets: more than to the file; at most 2 are wanted")


if __name__ == "__main__":
    main()
