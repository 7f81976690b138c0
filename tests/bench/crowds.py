"""Crowds: what viewers cost that only stand there, and what it takes when all come back at once.

``python -m tests.bench.crowds idle [viewers] [rounds]`` connects viewers of one quiet task and lets them be for several
of any way's ping intervals: they come way by way, and stand there at the same time, since what a quiet server takes is
counted by its own process, and one wait does for all of them.

``python -m tests.bench.crowds storm [viewers] [rounds]`` connects viewers whose cursors are a megabyte behind; the
trial writes the same megabyte as frames kept ready to aiohttp's WebSockets, the floor to bare sockets. All by turns.

Both are rows of ``python -m tests.bench`` too, by ``idle`` and ``storm``, with all their flags.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.bench.fanout import listening
from tests.bench.lines import SIZE_BYTES, line, now_us
from tests.bench.native_programs import load_command
from tests.bench.processes import Child, ChildFailed, Valkey, cpu_s, peak_rss_bytes, python, started
from tests.bench.ways import Way, way
from tests.bench.writers import CHUNK_BYTES, LivetaskWriter

IDLE = ("stirfried", "node", "aiohttp", "livetask")
STORM = ("livetask", "livetask-binary")
TRIALS = {"cached": "livetask", "ready": "floor"}
"""What a storm is measured by: servers of ``servers``, and the ways whose viewers come to them."""
STORM_TITLES = {"cached": "trial: ready frames to aiohttp's WebSockets", "ready": "floor: ready bytes to bare sockets"}
IDLE_TITLES = {
    "stirfried": "python-socketio, its defaults",
    "node": "Node's socket.io",
    "aiohttp": "aiohttp's WebSockets",
    "livetask": "**livetask**",
}
IDLE_VIEWERS, STORM_VIEWERS = 2000, 1000
STORM_BYTES = 1_000_000
SETTLED_S, QUIET_S = 15.0, 50.0
"""At least two of any ping interval: 25 s for all but aiohttp, which has none; and of heartbeats."""


@dataclass(frozen=True, slots=True)
class Idle:
    """``kib``: memory for a viewer. ``cpu_us``: a second, for a viewer. ``accepted``: viewers a second of its CPU."""

    kib: float
    cpu_us: float
    accepted: float


def idle(
    ways: Sequence[Way],
    store: Valkey,
    viewers: int = IDLE_VIEWERS,
    quiet_s: float = QUIET_S,
    settled_s: float = SETTLED_S,
) -> list[Idle | str]:
    """Viewers that are told nothing, so many of each way: they come way by way, and stand there at the same time.

    A way whose server or viewers fail has what was said in place of its figures.
    """
    _emptied(store)
    standing = [_Standing(one, viewers) for one in ways]

    def all_of_them(step: Callable[[_Standing], None]) -> None:
        for one in standing:
            one.go(step)

    with ExitStack() as stack:
        all_of_them(lambda one: one.start(store, stack))
        time.sleep(settled_s)  # what a start leaves behind is no viewer's memory
        all_of_them(lambda one: one.gather(stack))
        time.sleep(settled_s)  # what their coming leaves to do is done by then
        all_of_them(_Standing.look)
        time.sleep(quiet_s)  # this is what is measured: nothing happens
        all_of_them(lambda one: one.measure(quiet_s))
    return [one.found or one.failed for one in standing]


class _Standing:
    """One way's server and its idle viewers. ``found`` is there in the end, unless ``failed`` says what was said."""

    def __init__(self, way: Way, viewers: int) -> None:
        self._way, self._viewers = way, viewers
        self._accepting_s = self._cpu_s = 0.0
        self._port = self._bytes = 0
        self.found: Idle | None = None
        self.failed = ""

    def go(self, step: Callable[[_Standing], None]) -> None:
        """The next step, unless one before it failed: nobody else shall suffer for that."""
        if not self.failed:
            try:
                step(self)
            except (ChildFailed, OSError) as error:
                self.failed = str(error)

    def start(self, store: Valkey, stack: ExitStack) -> None:
        command = self._way.server_command(store.url)
        self._server = stack.enter_context(started(f"server of {self._way.name}", command, limit_s=600))
        self._port = listening(self._server)
        with _crowd(self._way.viewers(self._port, 1, 1, 300)):
            pass  # what the first viewer loads is no viewer's memory

    def gather(self, stack: ExitStack) -> None:
        self._bytes, cpu = _rss_bytes(self._server), cpu_s(self._server.pid)
        stack.enter_context(_crowd(self._way.viewers(self._port, self._viewers, 1, 300)))
        self._accepting_s = cpu_s(self._server.pid) - cpu

    def look(self) -> None:
        self._bytes, self._cpu_s = _rss_bytes(self._server) - self._bytes, cpu_s(self._server.pid)

    def measure(self, quiet_s: float) -> None:
        _rss_bytes(self._server)  # it lives
        spent_s = cpu_s(self._server.pid) - self._cpu_s
        self.found = Idle(
            self._bytes / self._viewers / 1024,
            spent_s / quiet_s / self._viewers * 1e6,
            self._viewers / self._accepting_s,
        )


@dataclass(frozen=True, slots=True)
class Storm:
    """``seconds``: from the first line that came to the last. ``more_mb``: the peak of memory beyond that before."""

    delivered: float
    seconds: float
    more_mb: float
    server_cpu_s: float


def storm(command: list[str], order: Callable[[int], dict[str, object]], viewers: int, lines: int) -> Storm:
    """All come at once; the store holds what they lack."""
    with started("server", command, limit_s=600) as server:
        port = listening(server)
        before, cpu = peak_rss_bytes(server.pid), cpu_s(server.pid)
        with started("viewers", load_command(order(port)), limit_s=600) as load:
            load.line_with("done", 300)
            load.tell("stop")
            seen = json.loads(load.line_with("{", 30))
        seconds = (seen["last_us"] - seen["first_us"]) / 1e6
        more_mb = (peak_rss_bytes(server.pid) - before) / 1e6
        return Storm(seen["lines"] / (viewers * lines), seconds, more_mb, cpu_s(server.pid) - cpu)


@contextmanager
def _crowd(order: dict[str, object]) -> Iterator[Child]:
    with started("viewers", load_command(order), limit_s=600) as load:
        load.line_with("ready", 300)
        yield load


def _emptied(store: Valkey) -> LivetaskWriter:
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
    return LivetaskWriter(store.url, 1 << 40)


def _filled(store: Valkey, lines: int) -> None:
    writer, now, some = _emptied(store), now_us(), CHUNK_BYTES // SIZE_BYTES
    for first in range(0, lines, some):
        writer.write(b"".join(line(n, now, now) for n in range(first, min(lines, first + some))))


def _rss_bytes(server: Child) -> int:
    if server.process.poll() is not None:
        raise ChildFailed(f"{server.name}: it ended\n{server.said()}")
    return int(Path(f"/proc/{server.pid}/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def one_storm(name: str, store: Valkey, viewers: int = STORM_VIEWERS) -> Storm:
    """One round of a way, or of what it is measured by, with an emptied store that was filled for it."""
    lines = STORM_BYTES // SIZE_BYTES
    _filled(store, lines)
    if name in TRIALS:
        command, one = python("tests.bench.servers", name, store.url), way(TRIALS[name])
    else:
        one = way(name)
        command = one.server_command(store.url)
    return storm(command, _order(one, viewers, lines), viewers, lines)


def _order(one: Way, viewers: int, lines: int) -> Callable[[int], dict[str, object]]:
    def order(port: int) -> dict[str, object]:
        return {**one.viewers(port, viewers, lines, 300, replay=True), "sample": False}

    return order


def main(arguments: Sequence[str]) -> int:
    from tests.bench.__main__ import main as bench  # which knows all measurements, this one too

    what, *given = arguments
    flags = ["--idle" if what == "idle" else "--crowd", *given[:1]] if given else []
    return bench([what, *flags, "--rounds", *(given[1:2] or ["3"])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
