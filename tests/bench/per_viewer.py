"""What the server does in Python for each viewer and piece, without a connection: ``python -m tests.bench.per_viewer``.

A thousand viewers stand at one place and are given the same piece, over transports that take it and do nothing. CPU
of this process, the least of several runs; below it what it takes to make a piece of output into a packet.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, cast

from livetask.position import START, Cursor, Entry, Position
from livetask.server.connection import Connection
from livetask.server.events import Output
from livetask.server.feed import Feed, Follower
from livetask.server.frames import Told
from livetask.server.gathering import gathered
from livetask.server.link import Link
from livetask.server.pump import Pump
from livetask.server.recent import Ready
from livetask.server.slices import Slice
from livetask.server.subscription import Subscription, Wish
from livetask.server.transport import TaskSink, Transport
from tests.bench.lines import line

VIEWERS, ROUNDS, RUNS = 1000, 20, 10
LINES = 20
REPLAYED_BYTES, ENTRY = 512 * 1024, 16 * 1024


class _Nowhere:
    """A transport that takes everything; and what else a connection asks for."""

    events = None

    def write(self, data: bytes) -> None:
        """Taken."""

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> Any:
        return None

    def set_write_buffer_limits(self, high: int) -> None:
        """There are none."""


async def measured() -> tuple[float, float, float]:
    """Nanoseconds for each viewer and piece: to see who gets it, to give it, to hear that it was taken."""
    nowhere = cast("Any", _Nowhere())
    feed, pump = Feed("a-task"), Pump(nowhere)
    followers = [_follower(feed, nowhere) for _ in range(VIEWERS)]
    data = b"".join(line(number, 0, 0) for number in range(LINES))
    spent, at = [0.0, 0.0, 0.0], START
    for number in range(ROUNDS):
        entry = Entry(at, data, number + 1)
        found = Slice(at, (entry,), entry.end, None, 1, len(data))
        began = time.process_time()
        places = gathered(followers, time.monotonic()).places
        seen = time.process_time()
        for place, some in places.items():
            await pump._give(place, some, Ready(place, found))
        given = time.process_time()
        at = entry.end
        acked = Cursor(1, "benchbench01", at)
        for follower in followers:
            follower.sub.ack(acked)
        for part, (start, end) in enumerate(((began, seen), (seen, given), (given, time.process_time()))):
            spent[part] += end - start
    gather, give, ack = (part / VIEWERS / ROUNDS * 1e9 for part in spent)
    return gather, give, ack


def _follower(feed: Feed, nowhere: Any) -> Follower:
    connection = Connection(nowhere, "sid", polls=False)
    connection.link = Link(nowhere, connection, 1000)
    sub = Subscription(Wish(binary=True), Cursor(1, "benchbench01", START), 256 * 1024)
    follower = Follower(feed, sub, TaskSink(Transport(connection), True))
    feed.followers[follower] = None
    return follower


def packets() -> dict[str, Callable[[], object]]:
    """Ways to make a packet of a piece of a replay."""
    data = b"".join(line(number, 0, 0) for number in range(REPLAYED_BYTES // 100))
    cursor = Cursor(1, "benchbench01", START.after(data))
    output = Output(Position(1, 0), cursor, tuple(data[at : at + ENTRY] for at in range(0, len(data), ENTRY)))
    shown = {"task_id": "a-task", "run": 1, "from": "1-0", "cursor": str(cursor)}
    return {
        "text, by json.dumps": lambda: (
            b"42" + json.dumps(["output", {**shown, "text": data.decode()}], ensure_ascii=False).encode()
        ),
        "**text**": lambda: Told("a-task", output).packet(False).parts,
        "**binary**": lambda: Told("a-task", output).packet(True).parts,
    }


def _micros(call: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(20):
        call()
    return (time.process_time() - began) / 20 * 1e6


def main() -> None:
    runs = [asyncio.run(measured()) for _ in range(RUNS)]
    print("| for each viewer and piece | ns |\n| --- | --- |")
    for number, name in enumerate(("who gets it, and from where", "giving it, without `send`", "an ack, once read")):
        print(f"| {name} | {min(run[number] for run in runs):,.0f} |")
    print(f"\n| a packet of {REPLAYED_BYTES // 1024} KiB | µs |\n| --- | --- |")
    for name, call in packets().items():
        print(f"| {name} | {min(_micros(call) for _ in range(RUNS)):,.0f} |")


if __name__ == "__main__":
    main()
