"""What it costs to bring lines into Redis: one writer, as fast as it can, beside an idle everything."""

from __future__ import annotations

import json
from dataclasses import dataclass

import redis

from tests.bench.processes import Valkey, cpu_s, python, started
from tests.bench.ways import Way

LINES = 60_000
LIMIT_S = 1.5


@dataclass(frozen=True, slots=True)
class Appended:
    """Of one round: lines a second, microseconds of CPU a line in the writer and in Redis, bytes of memory a line."""

    lines: int
    lines_per_s: float
    writer_us: float
    redis_us: float
    memory_bytes: float


def measure(way: Way, store: Valkey, lines: int = LINES, limit_s: float = LIMIT_S) -> Appended:
    """Write up to ``lines`` lines for up to ``limit_s`` seconds by one way, into an emptied store."""
    order = {"way": way.writer, "url": store.url, "cap_bytes": 1 << 40, "lines": lines, "limit_s": limit_s}
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
        with started(f"writer of {way.name}", python("tests.bench.writing", json.dumps(order))) as writer:
            writer.line_with("ready")
            memory, cpu = _memory(client), cpu_s(store.pid)
            writer.tell("go")
            wrote = json.loads(writer.line(limit_s + 30))
            cpu, memory = cpu_s(store.pid) - cpu, _memory(client) - memory
    count = wrote["lines"]
    return Appended(
        count, count / wrote["seconds"], wrote["cpu_s"] / count * 1e6, cpu / count * 1e6, max(0.0, memory / count)
    )


def _memory(client: redis.Redis) -> int:
    used: int = client.info("memory")["used_memory"]
    return used
