"""The viewers of the benchmark where there is no C compiler: ``python -m tests.bench.load '<json>'``.

All in one light process, as those in ``native/viewers.c`` are, which are lighter still and answer alike.

The order is one JSON object: ``kind`` ("sio" or "raw"), ``port``, ``viewers``, ``expected`` (lines to each viewer),
``limit_s``, for "sio" ``subscribe`` (what the event ``subscribe`` carries) and ``acks`` (the task id to acknowledge
cursors of, or null), for "raw" ``hello`` (the first line sent), ``sample`` (false: take no times) and ``stalled`` (so
many of them read no more once they are subscribed). It says
``ready`` when all are subscribed, ``done`` when all lines have come, and answers with one JSON object when it is told
to on stdin, or its time is up.

It must not be what is measured: frames are walked by their lengths and never decoded, a line is one mark in the bytes
as they come, and times are taken on about SAMPLED connections. It reports its own CPU.

What it speaks is the least a standard client does: a WebSocket upgrade without extensions, the Engine.IO handshake,
pongs, and for livetask an ack of the newest cursor whose output has all come, as livetask's own clients send it: for
half of the window, and after two seconds.
"""

from __future__ import annotations

import json
import random
import re
import resource
import selectors
import socket
import struct
import sys
import time
from typing import Any

from tests.bench.lines import MARK, STAMPS, now_us

SAMPLED = 5
READ_BYTES = 256 * 1024
OPENING_BYTES = 256
"""So much of a frame is read: the cursor stands before the text."""
ACK_BYTES = 128 * 1024
ACK_S = 2.0
"""As livetask's clients do: for half a window, or in time; each for some of it, from a half to all."""
_CURSOR = re.compile(rb'"cursor":"([^"]+)"')
_BINARY = 2
_AT_ONCE = 64
_UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: bGl2ZXRhc2stYmVuY2gtMQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Viewer:
    """One connection. ``live``: its subscription was sent, so lines count. ``ready``: it was answered."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self.sampled = crowd.order.get("sample", True) and number % max(1, crowd.viewers // SAMPLED) == 0
        self.lines = 0
        self.live = self.ready = False
        self.socket = socket.create_connection(("127.0.0.1", crowd.port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send = self.socket.sendall

    def received(self, data: bytes) -> None:
        """Take what one read gave."""
        raise NotImplementedError

    def acknowledge(self, now_s: float) -> None:
        """Say how much has come, if that is due."""

    def saw(self, count: int, data: bytes) -> None:
        """``count`` lines have come, in these bytes."""
        self.lines += count
        crowd = self.crowd
        crowd.lines += count
        now = now_us()
        crowd.first_us = crowd.first_us or now
        crowd.last_us = now
        if self.lines >= crowd.expected > self.lines - count:
            crowd.complete += 1
        if self.sampled:
            for printed, appended in STAMPS.findall(data):
                crowd.since_print.append(now - int(printed))
                crowd.since_append.append(now - int(appended))


class RawViewer(Viewer):
    """Says hello and takes bytes as they come; the answer to a ``follow`` holds no mark."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        super().__init__(crowd, number)
        crowd.asking()
        self.send(crowd.order["hello"].encode() + b"\n")

    def received(self, data: bytes) -> None:
        self.ready = True
        self.crowd.frames += 1
        count = data.count(MARK)
        if count:
            self.saw(count, data)


class SocketIoViewer(Viewer):
    """A WebSocket whose frames are walked: of each only its first bytes are read, the rest is looked through for marks.

    ``head``: the beginning of a frame of which too little has come. ``left``: what is still to come of one that has
    begun, ``size``: of it all. ``coming``: the cursor that is reached when that has come; ``cursor``: the one that is
    reached, ``unacked``: in so many bytes.
    """

    def __init__(self, crowd: Crowd, number: int) -> None:
        super().__init__(crowd, number)
        self.upgraded = False
        self.head = self.coming = self.attached = self.cursor = b""
        self.left = self.size = self.unacked = 0
        self.unacked_s: float | None = None
        self.patience = 0.0
        self.ack_bytes = ACK_BYTES
        self.send(_UPGRADE.encode() % crowd.port)

    def received(self, data: bytes) -> None:
        if self.head:
            data = self.head + data
        count = self._walk(data)
        if count:
            self.saw(count, data)
        if self.cursor:
            self.acknowledge(time.monotonic())

    def acknowledge(self, now_s: float) -> None:
        if not self.cursor:
            return
        self.unacked_s = now_s if self.unacked_s is None else self.unacked_s
        if self.unacked >= self.ack_bytes * self.patience or now_s - self.unacked_s >= ACK_S * self.patience:
            self.say(b'42["ack",{"task_id":"%b","cursor":"%b"}]' % (self.crowd.acks, self.cursor))
            self.cursor, self.unacked, self.unacked_s = b"", 0, None
            self.patience = random.uniform(0.5, 1)

    def _walk(self, data: bytes) -> int:
        """Go through the frames; how many lines were in them. A mark's byte may stand in a frame's length, too."""
        at = 0 if self.upgraded else self._upgrade(data)
        if at < 0:
            return 0
        size, start, at = len(data), at, at + self.left
        count = data.count(MARK, start, at) if self.live and self.left else 0
        while at < size:
            self._arrived()
            short = data[at + 1] & 127 if at + 1 < size else 0
            body = at + (2 if short < 126 else 4 if short == 126 else 10)
            if at + 1 >= size or body > size:
                break
            length = short if short < 126 else int.from_bytes(data[at + 2 : body], "big")
            if size - body < min(length, OPENING_BYTES):
                break
            if data[at] & 15 == 8:
                raise ConnectionError("the server closed a connection")
            if self.live:
                count += data.count(MARK, body, body + length)
            self._begun(data[at] & 15, data[body : body + min(length, OPENING_BYTES)])
            self.size = length
            at = body + length
        else:
            self.left, self.head = at - size, b""
            if not self.left:
                self._arrived()
            return count
        self.left, self.head = 0, data[at:]
        return count

    def _upgrade(self, data: bytes) -> int:
        """Where the frames begin, -1 if not all of the answer has come."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.head = data
            return -1
        if not data.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(data[:200].decode("latin-1"))
        self.upgraded = True
        return end + 4

    def _begun(self, kind: int, opening: bytes) -> None:
        """A frame has begun: answer what a client must, and see which cursor it brings; an attachment has its own's."""
        self.crowd.frames += kind == _BINARY or opening[:2] in (b"42", b"45")
        if kind == _BINARY:
            self.coming, self.attached = self.attached, b""
        elif opening[:2] in (b"42", b"45"):
            if self.crowd.acks:
                found = _CURSOR.search(opening)
                self.coming, self.attached = found[1] if found else b"", b""
                if opening[:2] == b"45":
                    self.coming, self.attached = b"", self.coming
        elif opening[:2] == b"43":
            self.ready = True
        elif opening == b"2":
            self.say(b"3")
        elif opening[:1] == b"0":
            self.say(b"40")
        elif opening[:2] == b"40":
            self.live = True
            self.crowd.asking()
            self.say(b'420["subscribe",' + json.dumps(self.crowd.order["subscribe"]).encode() + b"]")

    def _arrived(self) -> None:
        """All of the last frame has come; what is due for an ack is counted then: clients are given whole messages."""
        self.unacked, self.size = self.unacked + self.size, 0
        if self.coming:
            self.cursor, self.coming = self.coming, b""

    def say(self, text: bytes) -> None:
        """Send one text message, masked with zeros."""
        size = len(text)
        head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, size)
        self.send(head + b"\0\0\0\0" + text)


class Crowd:
    """All viewers of one order and what they have seen."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.port: int = order["port"]
        self.viewers: int = order["viewers"]
        self.expected: int = order["expected"]
        self.acks: bytes = (order.get("acks") or "").encode()
        self.stalled: int = order.get("stalled", 0)
        self.lines = self.frames = self.complete = self.lost = 0
        self.cpu_s = self.cpu_share = self._looked_s = 0.0
        self.first_us = self.last_us = self.asked_us = 0
        self.since_print: list[int] = []
        self.since_append: list[int] = []
        self._buffer = memoryview(bytearray(READ_BYTES))  # one for all: a fresh one for each read costs two mappings
        self._selector = selectors.DefaultSelector()
        self._live: list[Viewer] = []

    def asking(self) -> None:
        """A viewer is about to subscribe: what is measured begins with the last one that does."""
        self.asked_us, self.cpu_s = now_us(), _cpu_s()

    def gather(self, until: float) -> None:
        """Connect all viewers, a few at once, and wait until each is subscribed."""
        kind = RawViewer if self.order["kind"] == "raw" else SocketIoViewer
        while len(self._live) < self.viewers:
            for number in range(len(self._live), min(self.viewers, len(self._live) + _AT_ONCE)):
                viewer = kind(self, number)
                self._live.append(viewer)
                self._selector.register(viewer.socket, selectors.EVENT_READ, viewer)
            while not all(viewer.ready for viewer in self._live):
                self._look(0.5)
                if time.monotonic() > until:
                    raise TimeoutError(f"{sum(v.ready for v in self._live)} of {self.viewers} were subscribed")

    def take(self, until: float) -> bool:
        """Take what comes until all lines have come (True), someone says stop on stdin, or the time is up."""
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        for viewer in self._live[self.viewers - self.stalled :]:
            self._selector.unregister(viewer.socket)
        while not self._all_came and time.monotonic() < until:
            if not self._look(0.05):
                break
        self.cpu_share = (_cpu_s() - self.cpu_s) * 1e6 / max(1, now_us() - self.asked_us)
        return self._all_came

    @property
    def _all_came(self) -> bool:
        return self.complete >= self.viewers - self.stalled

    def _look(self, timeout_s: float) -> bool:
        """Read once from all who have something; False if stdin had."""
        for key, _ in self._selector.select(timeout_s):
            viewer = key.data
            if viewer is None:
                return False
            size = viewer.socket.recv_into(self._buffer)
            if size:
                viewer.received(bytes(self._buffer[:size]))
            else:
                self.lost += 1
                self._selector.unregister(viewer.socket)
        self._acknowledge_in_time(time.monotonic())
        return True

    def _acknowledge_in_time(self, now_s: float) -> None:
        """An ack is not only sent when more comes: the server may have filled the window, and wait for it."""
        if now_s - self._looked_s > ACK_S / 20:
            self._looked_s = now_s
            for viewer in self._live[: self.viewers - self.stalled]:
                viewer.acknowledge(now_s)

    def answer(self) -> dict[str, Any]:
        """What was seen, in plain numbers; times in microseconds."""
        reading = self._live[: self.viewers - self.stalled]
        return {
            "lines": self.lines,
            "frames": self.frames,
            "least": min(viewer.lines for viewer in reading),
            "most": max(viewer.lines for viewer in reading),
            "lost": self.lost,
            "cpu_share": self.cpu_share,
            "asked_us": self.asked_us,
            "first_us": self.first_us,
            "last_us": self.last_us,
            "since_append_us": _shares(self.since_append),
            "since_print_us": _shares(self.since_print),
        }


def _shares(taken: list[int]) -> list[int]:
    """The median and the 99th of a hundred; nothing of nothing."""
    if not taken:
        return []
    taken.sort()
    return [taken[len(taken) // 2], taken[min(len(taken) - 1, len(taken) * 99 // 100)]]


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    order = json.loads(sys.argv[1])
    until = time.monotonic() + order["limit_s"]
    crowd = Crowd(order)
    crowd.gather(until)
    print("ready", flush=True)
    if crowd.take(until):
        print("done", flush=True)
        sys.stdin.readline()
    print(json.dumps(crowd.answer()), flush=True)


if __name__ == "__main__":
    main()
