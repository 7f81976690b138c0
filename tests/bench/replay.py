"""What it costs to show what was printed before: a backlog to one viewer that comes late."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import redis

from tests.bench.fanout import listening
from tests.bench.lines import SIZE_BYTES, line
from tests.bench.native_programs import load_command
from tests.bench.processes import Valkey, cpu_s, peak_rss_bytes, python, started
from tests.bench.ways import Way
from tests.bench.writers import TASK

BACKLOG_BYTES = 8_000_000
AT_MOST = 5
ENOUGH_S = 1.0
LIMIT_S = 60.0
REPLAY_TITLES = {"floor": "floor: a bare socket loop in Python passes on what XRANGE answers, unread, no WebSocket"}
"""Of ways that do something else here than in a fan-out."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Of one round.

    ``delivered``: share of the lines that came. ``mb_per_s``: megabytes of output a second, from asking to the last
    line. ``first_ms``: from asking to the first line. ``mb_cpu_ms``: the server's CPU for a megabyte, in ms.
    """

    delivered: float
    mb_per_s: float
    first_ms: float
    mb_cpu_ms: float
    client_share: float
    peak_bytes: int


def measure(way: Way, store: Valkey, backlog_bytes: int = BACKLOG_BYTES, enough_s: float = ENOUGH_S) -> Replayed:
    """Fill an emptied store, start a server, and let viewers, one after another, read it all for about ``enough_s``.

    Unless it alone takes that long, the first is a warm-up and does not count.
    """
    lines = backlog_bytes // SIZE_BYTES
    fill(way, store, lines)
    seen: list[dict[str, Any]] = []
    with started(f"server of {way.name}", way.server_command(store.url)) as server:
        order = way.viewers(listening(server), 1, lines, LIMIT_S, replay=True)
        begun = time.monotonic()
        while not seen or (len(seen) <= AT_MOST and time.monotonic() - begun < enough_s):
            seen.append(_one_viewer({**order, "sample": False}, server.pid))
        peak = peak_rss_bytes(server.pid)
    counted = seen[1:] or seen
    megabytes = lines * SIZE_BYTES * len(counted) / 1e6
    return Replayed(
        delivered=sum(one["lines"] for one in counted) / (lines * len(counted)),
        mb_per_s=megabytes / (sum(one["last_us"] - one["asked_us"] for one in counted) / 1e6),
        first_ms=sum(one["first_us"] - one["asked_us"] for one in counted) / len(counted) / 1000,
        mb_cpu_ms=sum(one["server_cpu_s"] for one in counted) * 1000 / megabytes,
        client_share=max(one["cpu_share"] for one in counted),
        peak_bytes=peak,
    )


def _one_viewer(order: dict[str, Any], server_pid: int) -> dict[str, Any]:
    """What one viewer saw, and ``server_cpu_s``: what it cost the server."""
    with started("viewer", load_command(order)) as load:
        before = cpu_s(server_pid)
        load.line_with("done", LIMIT_S)
        spent = cpu_s(server_pid) - before
        load.tell("stop")
        return {**json.loads(load.line_with("{")), "server_cpu_s": spent}


def fill(way: Way, store: Valkey, lines: int) -> None:
    """Store ``lines`` lines; for the tutorial many in a call, since a line at a time is measured elsewhere."""
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
        if way.writer == "tutorial":
            for first in range(0, lines, 1000):
                client.rpush(TASK, *[line(n, 0, 0) for n in range(first, min(lines, first + 1000))])
            return
    order = {"way": way.writer, "url": store.url, "cap_bytes": 1 << 40, "lines": lines, "limit_s": LIMIT_S}
    with started(f"writer of {way.name}", python("tests.bench.writing", json.dumps(order))) as writer:
        writer.line_with("ready")
        writer.tell("go")
        writer.line(LIMIT_S + 30)
