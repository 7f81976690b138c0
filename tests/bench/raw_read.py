"""How fast a bare socket reads a run's output by XRANGE and throws it away: the most that a replay could be.

One process, one blocking socket on loopback, one command after the other: ENTRIES chunks of 16 KiB are asked for, which
is the size that reads fastest, and the answer is received into one buffer of the same size, unread; where it ends is
known from a pass before. So there are two processes on the machine, this one and the store, and each piece is still in
the processor's cache when it is thrown away.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import hiredis
import redis

from tests.bench import replay
from tests.bench.lines import SIZE_BYTES
from tests.bench.processes import Valkey
from tests.bench.ways import way
from tests.bench.writers import TASK

ENTRIES = 16
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RawRead:
    """``mb_per_s``: megabytes of output a second."""

    mb_per_s: float


def measure(store: Valkey, backlog_bytes: int, enough_s: float = 1.0) -> RawRead:
    """Read all of it, ENTRIES chunks a command, one command after the other; for about ``enough_s``."""
    lines = backlog_bytes // SIZE_BYTES
    replay.fill(way("floor"), store, lines)
    asked = questions(store.url)
    with socket.create_connection(("127.0.0.1", store.port)) as link:
        begun, passes = time.perf_counter(), 0
        while not passes or time.perf_counter() - begun < enough_s:
            for _ in answers(link, asked):
                """Thrown away."""
            passes += 1
        return RawRead(lines * SIZE_BYTES * passes / 1e6 / (time.perf_counter() - begun))


def questions(url: str) -> list[tuple[bytes, int]]:
    """The commands that read all of the floor's stream, and how many bytes the answer to each has."""
    commands: list[tuple[str | bytes | int, ...]] = []
    with redis.Redis.from_url(url) as client:
        at = b"-"
        while entries := client.xrange(TASK, at, "+", ENTRIES):
            commands.append(("XRANGE", TASK, entries[0][0], "+", "COUNT", ENTRIES))
            at = b"(" + entries[-1][0]
        place = client.connection_pool.connection_kwargs
    with socket.create_connection((place["host"], place["port"])) as link:
        return [(packed, len(_asked(link, packed))) for packed in map(hiredis.pack_command, commands)]


def answers(link: socket.socket, asked: Sequence[tuple[bytes, int]]) -> Iterator[memoryview]:
    """What comes on the socket when these are asked one after the other; each piece is there until the next one."""
    buffer = memoryview(bytearray(_READ_BYTES))
    for command, left in asked:
        link.sendall(command)
        while left > 0:
            size = link.recv_into(buffer)
            left -= size
            yield buffer[:size]


def _asked(link: socket.socket, command: bytes) -> bytes:
    """All the bytes of the answer."""
    reader, found = hiredis.Reader(), b""
    link.sendall(command)
    while True:
        piece = link.recv(_READ_BYTES)
        found += piece
        reader.feed(piece)
        if reader.gets() is not False:
            return found
