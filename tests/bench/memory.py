"""What an entry of a given size takes of Redis' memory: ``python -m tests.bench.memory [PROGRAM ...]``.

An entry that is larger than a stream's node (4 KiB) is an allocation of its own, and allocators have sizes they round
up to: jemalloc 16, 20, 24, 28, 32 KiB and so on, libc to 16 bytes. So a chunk of exactly 16 KiB, with its head before
it, takes 20. For each program it writes about 32 MB of entries as the append script does, with the position as ID,
``d`` and ``t``, and prints the memory used for each byte of output, as INFO has it (``used_memory``) and, for one run,
MEMORY USAGE.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import redis

from livetask.position import START
from livetask.service.embedded import find_program, free_port
from tests.bench.processes import started

SIZES = (1024, 4000, 8000, 12288, 16000, 16200, 16300, 16384, 20300, 24500, 32600, 32768, 65000, 65536)
WRITTEN = 32_000_000


def measured(client: redis.Redis, size: int, written: int = WRITTEN) -> tuple[float, float]:
    """(used_memory, MEMORY USAGE), each by byte of output, of entries of ``size`` bytes."""
    client.execute_command("FLUSHALL", "SYNC")  # what was there must not be freed meanwhile
    line = b"the quick brown fox jumps over the lazy dog, again and again, until the line is a hundred long..\n"
    data = (line * (size // len(line) + 1))[:size]
    before, at = _used(client), START
    pipe = client.pipeline(transaction=False)
    for number in range(written // size):
        pipe.xadd("run", {"d": data, "t": 1_700_000_000_000 + number}, id=str(at))  # type: ignore[dict-item]
        at = at.after(data)
        if number % 200 == 0:
            pipe.execute()
    pipe.execute()
    usage: Any = client.memory_usage("run", samples=0)
    return (_used(client) - before) / at.byte, usage / at.byte


def _used(client: redis.Redis) -> int:
    used: int = client.info("memory")["used_memory"]
    return used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", type=Path, help="servers; otherwise the embedded one")
    parser.add_argument("--sizes", type=lambda text: [int(part) for part in text.split(",")], default=list(SIZES))
    chosen = parser.parse_args()
    columns: list[tuple[str, list[tuple[float, float]]]] = []
    for program in chosen.programs or [find_program().path]:
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="livetask-bench-") as folder:
            flags = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
            with started("redis", [str(program), *flags]) as child, redis.Redis(port=port) as client:
                child.line_with("Ready to accept connections")
                info: dict[str, Any] = client.info()
                name = f"{program.name} {info.get('valkey_version', info['redis_version'])}, {info['mem_allocator']}"
                columns.append((name, [measured(client, size) for size in chosen.sizes]))
    print(f"| bytes in an entry | {' | '.join(name for name, _ in columns)} |")
    print(f"| --- |{' --- |' * len(columns)}")
    for number, size in enumerate(chosen.sizes):
        cells = [f"{used:.1%} ({usage:.1%})" for used, usage in (found[number] for _, found in columns)]
        print(f"| {size:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
