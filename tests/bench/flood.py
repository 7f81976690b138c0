"""Prints numbered lines of 100 bytes, each with its time, into a run at a rate, as cheaply as can be.

``python -m tests.bench.flood URL TASK POSITION RATE FIRST`` goes on from a position of a run that has begun, until it
is ended: a process of its own, whose CPU can be told from that of what is measured. The lines are cut from a text that
was made before, so they cost next to nothing: what it takes is its appends.
"""

from __future__ import annotations

import sys
import time

from livetask.position import Position
from tests.server.serving import Writer

TICK_S = 0.02
"""How long printed lines wait for others, as in a worker's shipper."""

LINE_BYTES = 100
_MOST_LINES = 160
_THOUSAND = b"".join(b"%-99s\n" % (b"TTTTTT%03d MMMMMMMMMMMMM words of a log" % number) for number in range(1000))


def lines(first: int, last: int) -> bytes:
    """The lines from ``first`` to ``last``, which are of the same thousand, with nine digits each."""
    begin = first % 1000 * LINE_BYTES
    part = _THOUSAND[begin : begin + (last - first + 1) * LINE_BYTES]
    return part.replace(b"TTTTTT", b"%06d" % (first // 1000)).replace(b"M" * 13, b"%013d" % (time.time() * 1000))


def flood(run: Writer, rate: int, first: int) -> None:
    """Print for ever."""
    began, line = time.monotonic(), first
    while True:
        due = first - 1 + int((time.monotonic() - began) * rate)
        while line <= due:
            last = min(due, line + _MOST_LINES - 1, line // 1000 * 1000 + 999)
            run.write(lines(line, last))
            run.all = b""
            line = last + 1
        time.sleep(TICK_S)  # between two bursts, as a busy program's chunks come


def main(words: list[str]) -> None:
    url, task, position, rate, first = words
    run = Writer(url, task, cap_bytes=256 << 20)
    run.at = Position.parse(position)
    flood(run, int(rate), int(first))


if __name__ == "__main__":
    main(sys.argv[1:])
