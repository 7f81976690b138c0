"""The worker process of the benchmark: ``python -m tests.bench.writing '<json>'`` writes lines by one way.

The order is one JSON object: ``way``, ``url``, ``feed_port`` (the floor's fan-out only), ``cap_bytes``, and either
``lines`` with ``limit_s`` (as fast as it can, until one of the two is reached) or ``rate`` (lines a second) with
``seconds`` and ``late_s``. The first piece of ``lines`` is written before it is ready and is not in the answer. It
says ``ready``, waits for a line on stdin, writes, and answers with one JSON object.

At a rate, line i is printed at i/rate seconds whatever the writer is doing: a writer that cannot keep up shows as
latency and as lines that were never written, not as a slower clock.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tests.bench.lines import SIZE_BYTES, line, now_us
from tests.bench.writers import (
    CHUNK_BYTES,
    FLUSH_S,
    ChunkWriter,
    FloorFeed,
    FloorWriter,
    LivetaskWriter,
    NodeWriter,
    StirfriedWriter,
    TutorialWriter,
    Writer,
)

PER_CHUNK = CHUNK_BYTES // SIZE_BYTES


def writer_of(order: dict[str, Any]) -> Writer:
    """The writer that the order names."""
    way, url = order["way"], order["url"]
    if way == "tutorial":
        return TutorialWriter(url)
    if way == "stirfried":
        return StirfriedWriter(url)
    if way in ("node", "node-chunks"):
        return NodeWriter(url, chunked=way == "node-chunks")
    if way == "chunks":
        return ChunkWriter(url)
    if way == "livetask":
        return LivetaskWriter(url, order["cap_bytes"])
    return FloorFeed(order["feed_port"]) if order.get("feed_port") else FloorWriter(url)


def write_fast(writer: Writer, pieces: Iterable[tuple[int, bytes]], limit_s: float) -> dict[str, Any]:
    """Write (number of lines, their bytes) made beforehand, without pause; the CPU is that of writing alone."""
    begun, cpu, until = time.perf_counter(), time.process_time(), time.perf_counter() + limit_s
    written = 0
    for count, data in pieces:
        writer.write(data)
        written += count
        if time.perf_counter() > until:
            break
    return {"lines": written, "seconds": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu}


def write_at_rate(writer: Writer, rate: float, seconds: float, late_s: float) -> dict[str, Any]:
    """Write ``rate`` lines a second for ``seconds``: each when it is due, or what has come up at every flush.

    ``late_s``: how long after that it may go on with what it has not written yet.
    """
    total = round(rate * seconds)
    begun_us, begun = now_us(), time.monotonic()
    pause = FLUSH_S if writer.chunked else 0.0
    number = 0
    while number < total and (elapsed := time.monotonic() - begun) < seconds + late_s:
        due = min(total, int(elapsed * rate) + 1)
        if due == number:
            time.sleep(max(number / rate - elapsed, 0.0002))
            continue
        while number < due:
            some = min(due - number, PER_CHUNK if writer.chunked else 1)
            at = now_us()
            writer.write(b"".join(line(n, begun_us + int(n * 1e6 / rate), at) for n in range(number, number + some)))
            number += some
        time.sleep(max(0.0, pause - (time.monotonic() - begun - elapsed)))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"lines": number, "wanted": total, "cpu_s": usage.ru_utime + usage.ru_stime}


def _pieces(lines: int, per_piece: int) -> Iterator[tuple[int, bytes]]:
    now = now_us()
    for first in range(0, lines, per_piece):
        some = min(per_piece, lines - first)
        yield some, b"".join(line(n, now, now) for n in range(first, first + some))


def main() -> None:
    order = json.loads(sys.argv[1])
    writer = writer_of(order)
    pieces = list(_pieces(order.get("lines", 0), PER_CHUNK if writer.chunked else 1))
    if pieces:
        writer.write(pieces.pop(0)[1])  # connections, caches and scripts are warm from here on
    print("ready", flush=True)
    sys.stdin.readline()
    if "rate" in order:
        answer = write_at_rate(writer, order["rate"], order["seconds"], order["late_s"])
    else:
        answer = write_fast(writer, pieces, order["limit_s"])
    print(json.dumps(answer), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
