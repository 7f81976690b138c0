"""How fast a bare socket reads a run's output by XRANGE and throws it away: the most that a replay could be."""

from __future__ import annotations

import socket
import time
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
    commands = _commands(store)
    with socket.create_connection(("127.0.0.1", store.port)) as link:
        sizes = [len(_asked(link, command)) for command in commands]
        buffer = memoryview(bytearray(_READ_BYTES))
        begun, passes = time.perf_counter(), 0
        while not passes or time.perf_counter() - begun < enough_s:
            for command, size in zip(commands, sizes, strict=True):
                link.sendall(command)
                while size > 0:
                    size -= link.recv_into(buffer)
            passes += 1
        return RawRead(lines * SIZE_BYTES * passes / 1e6 / (time.perf_counter() - begun))


def _commands(store: Valkey) -> list[bytes]:
    with redis.Redis.from_url(store.url) as client:
        ids = [entry_id for entry_id, _ in client.xrange(TASK)]
    return [
        hiredis.pack_command(("XRANGE", TASK, ids[at], "+", "COUNT", ENTRIES)) for at in range(0, len(ids), ENTRIES)
    ]


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
