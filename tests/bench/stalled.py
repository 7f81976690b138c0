"""What viewers who do not read cost the server, and everybody else: ``python -m tests.bench.stalled``.

Stalled viewers subscribe to a long log from its start and then read nothing, as a tab does that sleeps. Others follow
a task that prints all the time, and measure how late each line is: in each round without the stalled ones, with them,
once all that the kernel takes for them is sent, and without them again, on the same server. Each part is cut into
phases of a second, and what is told is the median of the phases, so that what else the machine does in some of them
moves nothing. How much the parts without them differ from one another says what the measurement can tell. The memory
is the server's own, of the first round, since Python gives little of it back; what the kernel holds in its buffers is
not part of it.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import resource
import secrets
import selectors
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import redis

from tests.bench import machine
from tests.bench.processes import python, started, valkey
from tests.real.writer import RunWriter

LINE = b"%07d " + b"x" * 91 + b"\n"
STAMP = re.compile(rb"t=(\d+);")
PRINTS_A_SECOND = 100
_PING = b"\x81\x012"


Phases = list[list[float]]
"""By phase, how late each line was, in ms and in order."""


@dataclass(frozen=True, slots=True)
class Round:
    """``before``, ``beside``, ``after``: the stalled viewers. ``grown_bytes``: of the server's memory by them."""

    before: Phases
    beside: Phases
    after: Phases
    grown_bytes: int
    connected: int


class Viewer:
    """A client of Socket.IO by WebSocket, as bare as can be. ``buffer_bytes``: how much the kernel takes for it."""

    def __init__(self, port: int, buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        head = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        head += f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        self.socket.sendall(head.encode())
        self._until(b'"sid"')
        self._send(b"40")
        self._until(b'40{"sid"')

    def subscribe(self, task_id: str, whence: str = "start") -> None:
        self._send(b'42["subscribe",' + json.dumps({"task_id": task_id, "from": whence}).encode() + b"]")

    def ask(self, event: str) -> None:
        """Send an event without arguments, and wait for its answer."""
        self._send(b'420["%b",{}]' % event.encode())
        self._until(b"430[")

    def pong(self) -> None:
        """Say that it lives; also unasked, by who does not read what it is asked."""
        self._send(b"3")

    def _send(self, text: bytes) -> None:
        size = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
        self.socket.sendall(b"\x81" + size + bytes(4) + text)  # a mask of zeros changes nothing

    def _until(self, mark: bytes) -> None:
        seen = b""
        while mark not in seen:
            part = self.socket.recv(1024)
            if not part:
                raise ConnectionError(f"closed before {mark!r}: {seen[-300:]!r}")
            seen += part

    def close(self) -> None:
        self.socket.close()


@contextmanager
def printing(
    url: str, task_id: str, goes_on: RunWriter | None = None, lines_per_s: float = PRINTS_A_SECOND
) -> Iterator[None]:
    """A task that prints all the time, each line with the time when it was sent; or a run that has begun goes on so."""
    over = threading.Event()

    def write() -> None:
        with redis.Redis.from_url(url) as client:
            run = goes_on or RunWriter(client, task_id, lease_ms=3_600_000)
            run.client = client
            if goes_on is None:
                run.begin()
            due_s = time.monotonic()
            while not over.is_set():
                run.write(b"t=%d; a line of the task that everybody follows\n" % time.monotonic_ns())
                due_s += 1 / lines_per_s
                over.wait(max(0.0, due_s - time.monotonic()))

    with meanwhile(write, over):
        yield


@contextmanager
def meanwhile(act: Callable[[], None], over: threading.Event) -> Iterator[None]:
    """Have a thread ``act``, which ends soon after ``over`` is set, until the block is left."""
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def delays_ms(viewers: list[Viewer], seconds: float, beside: Sequence[Viewer] = ()) -> list[float]:
    """How late each line was for each of the viewers, in order. ``beside``: others who read, and do not count."""
    found: list[float] = []
    uncounted = set(beside)
    with selectors.DefaultSelector() as ready:
        for viewer in (*viewers, *beside):
            ready.register(viewer.socket, selectors.EVENT_READ, viewer)
        ends_s = time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0:
            for key, _ in ready.select(left_s):
                data = key.data.socket.recv(1 << 20)
                now_ns = time.monotonic_ns()
                if not data:
                    raise ConnectionError("a viewer that reads was cut off")
                if _PING in data:
                    key.data.pong()
                if key.data in uncounted:
                    continue
                found += [(now_ns - int(stamp)) / 1e6 for stamp in STAMP.findall(data)]
    return sorted(found)


def rss_bytes(pid: int) -> int:
    """What a process has resident now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def filled(url: str, task_id: str, size_bytes: int) -> RunWriter:
    """A log of that size, all of it kept in Redis; goes on with what its writer writes, through another client."""
    with redis.Redis.from_url(url) as client:
        run = RunWriter(client, task_id, cap_bytes=1 << 40, lease_ms=3_600_000)
        run.begin()
        lines = 16_000 // len(LINE % 0)
        for first in range(0, size_bytes // len(LINE % 0), lines):
            run.write(b"".join(LINE % number for number in range(first, first + lines)))
            run.text.clear()
    return run


def measure(stalled: int, log_bytes: int, rounds: int, seconds: float, others: int = 10) -> tuple[list[Round], str]:
    """All rounds, and on what they were measured."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = []
    with ExitStack() as stack:
        store = stack.enter_context(valkey())
        filled(store.url, "long", log_bytes)
        command = ["serve", "--redis-url", store.url, "--host", "127.0.0.1", "--port", "0"]
        server = stack.enter_context(started("server", python("livetask", *command), limit_s=1800))
        port = int(server.line_with("livetask is at ").rstrip("/").rpartition(":")[2])
        stack.enter_context(printing(store.url, "live"))
        viewers = [Viewer(port) for _ in range(others)]
        _warmed(port, viewers)
        for _ in range(rounds):
            found.append(_round(port, server.pid, viewers, stalled, seconds))
        for viewer in viewers:
            viewer.close()
        with redis.Redis.from_url(store.url) as client:
            info = client.info("server")
        return found, machine.described(f"Valkey {info.get('valkey_version')}")  # type: ignore[union-attr]


def _warmed(port: int, viewers: list[Viewer]) -> None:
    """Everything of the server has run once: what Python keeps for good is no viewer's cost."""
    time.sleep(1.0)  # the task begins
    for viewer in viewers:
        viewer.subscribe("live")
    some = [Viewer(port, 4096) for _ in range(20)]
    for viewer in some:
        viewer.subscribe("long")
    delays_ms(viewers, 2.0)
    for viewer in some:
        viewer.close()
    delays_ms(viewers, 1.0)


def _round(port: int, pid: int, viewers: list[Viewer], stalled: int, seconds: float) -> Round:
    alone = _phases(viewers, seconds)
    before = rss_bytes(pid)
    some = []
    for number in range(stalled):
        some.append(Viewer(port, 4096))
        some[-1].subscribe("long")
        if number % 50 == 0:
            delays_ms(viewers, 0.01)
    _filled_up(port, viewers)
    for viewer in some:
        viewer.pong()
    beside = _phases(viewers, seconds)
    grown = rss_bytes(pid) - before
    for viewer in some:
        viewer.close()
    delays_ms(viewers, 3.0)
    return Round(alone, beside, _phases(viewers, seconds), grown, len(some))


def _phases(viewers: list[Viewer], seconds: float) -> Phases:
    """Measured for so long, second by second."""
    return [delays_ms(viewers, min(1.0, seconds)) for _ in range(max(1, round(seconds)))]


def _filled_up(port: int, viewers: list[Viewer], within_s: float = 25.0) -> None:
    """Wait until nothing more is sent to who does not read; the others go on reading."""
    ends_s, before = time.monotonic() + within_s, -1e9
    while (now := _delivered_bytes(port)) - before > 500_000 and time.monotonic() < ends_s:
        before = now
        delays_ms(viewers, 1.0)


def _delivered_bytes(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return float(text.split("\nlivetask_delivered_bytes_total ")[1].split("\n")[0])


def _share(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def middle_ms(phases: Phases, share: float) -> float:
    """The median of what that share of the lines of each phase was not later than."""
    return median(_share(phase, share) for phase in phases)


def _told(ratios: list[float]) -> str:
    ratios = sorted(ratios)
    return f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, {len(ratios)} rounds)"


def table(rounds: list[Round], log_bytes: int) -> str:
    """The medians as Markdown, with the least and the most of the ratios of the rounds."""
    count, grown = rounds[0].connected, rounds[0].grown_bytes
    without = [phase for one in rounds for phase in (*one.before, *one.after)]
    beside = [phase for one in rounds for phase in one.beside]
    ratio = [middle_ms(one.beside, 0.99) / middle_ms([*one.before, *one.after], 0.99) for one in rounds]
    control = [middle_ms(one.after, 0.99) / middle_ms(one.before, 0.99) for one in rounds]
    rows = [
        ("stalled viewers, each of the whole log", f"{count} x {log_bytes / 1e6:.0f} MB"),
        ("memory that they cost the server", f"{grown / 1e6:.1f} MB, {grown / count / 1000:.0f} kB each"),
        ("phases without / with", f"{len(without)} / {len(beside)}"),
    ]
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        both = f"{middle_ms(without, share):.2f} / {middle_ms(beside, share):.2f} ms"
        rows.append((f"others, {name} without / with", both))
    rows.append(("p99 with : without", _told(ratio)))
    rows.append(("the same, after : before, without them both times", _told(control)))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stalled", description=__doc__)
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="of each measurement; ends before a viewer times out"
    )
    given = parser.parse_args()
    rounds, on = measure(given.viewers, int(given.megabytes * 1e6), given.rounds, given.seconds)
    print(table(rounds, int(given.megabytes * 1e6)))
    print(f"\n{on}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
