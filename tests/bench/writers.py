"""The worker's half of each way: how lines get into Redis.

A writer is given the lines it has to store; whether it does so a line at a time or in chunks is its way's own habit
(``chunked``). Nothing here captures or spools: what print and the spool cost is measured elsewhere, and is the same for
all ways that would have them.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Protocol
from urllib.parse import urlsplit

import redis
import socketio

from livetask.keys import Keys, bucket_of
from livetask.position import START
from livetask.settings import Settings
from livetask.worker.writing import Call, Writing

TASK = "bench-0001"
NONCE = "benchbench01"
CURSOR_START = f"1.{NONCE}.{START}"
CHUNK_BYTES = Settings().chunk_bytes
FLUSH_S = Settings().flush_ms / 1000
_TTL_MS = 3_600_000


class Writer(Protocol):
    """``chunked``: wants many lines in one piece of at most CHUNK_BYTES."""

    chunked: bool

    def write(self, data: bytes) -> None:
        """Store one line, or a chunk of any bytes if ``chunked``."""


class TutorialWriter:
    """Two commands a line: RPUSH for those who come later, PUBLISH for those who are there."""

    chunked = False

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url)

    def write(self, data: bytes) -> None:
        self._redis.rpush(TASK, data)
        self._redis.publish(TASK, data)


class StirfriedWriter:
    """One emit a line through python-socketio's write-only manager, to a room; nothing is stored."""

    chunked = False

    def __init__(self, url: str) -> None:
        self._manager = socketio.RedisManager(url, write_only=True)

    def write(self, data: bytes) -> None:
        self._manager.emit("on_progress", {"task_id": TASK, "line": data.decode()}, room=TASK)


class NodeWriter:
    """What Socket.IO's Redis Streams adapter reads: an XADD an emit, with its stream's own bound."""

    def __init__(self, url: str, *, chunked: bool) -> None:
        self.chunked = chunked
        self._redis = redis.Redis.from_url(url)
        self._opts = {"rooms": [TASK], "except": [], "flags": {}}

    def write(self, data: bytes) -> None:
        told = {"opts": self._opts, "packet": {"type": 2, "data": ["line", {"data": data.decode()}], "nsp": "/"}}
        fields = {"uid": "bench", "nsp": "/", "type": "3", "data": json.dumps(told)}
        self._redis.xadd("socket.io", fields, maxlen=10_000, approximate=True)  # type: ignore[arg-type]  # invariance


class ChunkWriter:
    """An XADD a chunk and nothing else, through redis-py."""

    chunked = True

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url)

    def write(self, data: bytes) -> None:
        self._redis.xadd(TASK, {"d": data}, maxlen=10_000, approximate=True)


class LivetaskWriter:
    """The append script through the worker's own connection, a chunk a call, as the shipper calls it."""

    chunked = True

    def __init__(self, url: str, cap_bytes: int = Settings().run_cap_bytes) -> None:
        self._writing = Writing(url)
        keys, bucket = Keys(), bucket_of(TASK)
        self._keys = (keys.task(TASK), keys.output(TASK, NONCE), keys.bell(bucket), keys.watched(bucket))
        self._cap = cap_bytes
        task = json.dumps({"name": "bench", "worker": "bench"})
        run = json.dumps({"why": "first", "host": "bench", "pid": "1", "worker": "bench"})
        names = (keys.task(TASK), keys.alive(bucket), keys.recent(bucket), keys.bell(bucket), keys.output(TASK, NONCE))
        words = (TASK, NONCE, 0, str(START), "", _TTL_MS, _TTL_MS, 1000, 50, task, run)
        self._writing.replies([Call("begin", names, words)])
        self._at = START

    def write(self, data: bytes) -> None:
        end = self._at.after(data)
        place = (TASK, 1, NONCE, str(self._at), str(end), self._cap, _TTL_MS)
        answer = self._writing.replies([Call("append", self._keys, (*place, "d", data, "t", int(time.time() * 1000)))])
        if answer != [[b"OK"]]:
            raise RuntimeError(f"append answered {answer!r}")
        self._at = end


class FloorWriter:
    """For append: one ready-made XADD a chunk over a bare socket. No client library, no script, no position kept."""

    chunked = True

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), 10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> None:
        head = b"*5\r\n$4\r\nXADD\r\n$%d\r\n%b\r\n$1\r\n*\r\n$1\r\nd\r\n$%d\r\n" % (len(TASK), TASK.encode(), len(data))
        self._socket.sendall(head + data + b"\r\n")
        if not self._socket.recv(256).startswith(b"$"):
            raise RuntimeError("XADD was refused")


class FloorFeed:
    """For fan-out: hands each chunk straight to the floor's server, past Redis; a length goes before it."""

    chunked = True

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(b"feed\n")

    def write(self, data: bytes) -> None:
        self._socket.sendall(len(data).to_bytes(4, "big") + data)
