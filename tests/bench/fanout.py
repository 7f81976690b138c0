"""What it costs to show lines to many viewers as they are printed: N viewers of one task, R lines a second."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import redis

from tests.bench.native_programs import load_command
from tests.bench.processes import Child, ChildFailed, Valkey, cpu_s, peak_rss_bytes, python, started
from tests.bench.ways import Way

GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One load. ``rate``: lines a second. ``seconds``: for how long. ``stalled``: so many viewers read nothing."""

    viewers: int
    rate: float
    seconds: float
    stalled: int = 0

    @property
    def lines(self) -> int:
        return round(self.rate * self.seconds)


@dataclass(frozen=True, slots=True)
class Shown:
    """Of one round.

    ``delivered``: share of the lines that came to the viewers in time. ``line_us``: the server's CPU for each, in
    microseconds; ``frame_us``: for each frame, None where there are none. ``server_share``, ``client_share``: of one
    core. Latencies in ms, None if no line came.
    """

    delivered: float
    line_us: float
    frame_us: float | None
    server_share: float
    client_share: float
    p50_ms: float | None
    p99_ms: float | None
    print_p99_ms: float | None
    peak_bytes: int


def measure(way: Way, cell: Cell, store: Valkey, grace_s: float = GRACE_S) -> Shown:
    """Run one load by one way, with a server of its own, into an emptied store.

    ``grace_s``: how long after the last line is due what is still under way may arrive; what comes later does not
    count. The writer, too, may be late by half of it.
    """
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
    with ExitStack() as stack:
        server = stack.enter_context(started(f"server of {way.name}", way.server_command(store.url)))
        port = listening(server)
        order = {"way": way.writer, "url": store.url, "cap_bytes": 1 << 40, "rate": cell.rate}
        order |= {"seconds": cell.seconds, "late_s": grace_s / 2}
        if way.writer == "floor":
            order["feed_port"] = port
        writer = stack.enter_context(started("writer", python("tests.bench.writing", json.dumps(order))))
        writer.line_with("ready")
        crowd = way.viewers(port, cell.viewers, cell.lines, cell.seconds + 60) | {"stalled": cell.stalled}
        load = stack.enter_context(started("viewers", load_command(crowd)))
        load.line_with("ready", 60)
        return _shown(cell, server, writer, load, grace_s)


def listening(server: Child) -> int:
    """The port a server says it listens on, in its first line that ends with one."""
    while True:
        last = server.line(30).rstrip("/").replace(":", " ").split()[-1:]
        if last and last[0].isdigit():
            return int(last[0])


def _shown(cell: Cell, server: Child, writer: Child, load: Child, grace_s: float) -> Shown:
    cpu, begun = cpu_s(server.pid), time.monotonic()
    writer.tell("go")
    seen = _seen(load, cell.seconds + grace_s)
    cpu, elapsed = cpu_s(server.pid) - cpu, time.monotonic() - begun
    count = seen["lines"]
    append, printed = seen["since_append_us"], seen["since_print_us"]
    return Shown(
        delivered=count / ((cell.viewers - cell.stalled) * cell.lines),
        line_us=cpu / count * 1e6 if count else float("inf"),
        frame_us=cpu / seen["frames"] * 1e6 if seen["frames"] else None,
        server_share=cpu / elapsed,
        client_share=seen["cpu_share"],
        p50_ms=append[0] / 1000 if append else None,
        p99_ms=append[1] / 1000 if append else None,
        print_p99_ms=printed[1] / 1000 if printed else None,
        peak_bytes=peak_rss_bytes(server.pid),
    )


def _seen(load: Child, wait_s: float) -> dict[str, Any]:
    """What the viewers have seen when all has come, or when ``wait_s`` are over."""
    try:
        load.line_with("done", wait_s)
    except ChildFailed:
        if load.process.poll() is not None:
            raise
    load.tell("stop")
    seen: dict[str, Any] = json.loads(load.line_with("{", 30))
    return seen
