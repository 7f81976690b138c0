"""Crowds: what viewers cost that only stand there, and what it takes when all come back at once.

``python -m tests.bench.crowds idle [viewers] [rounds]`` connects viewers of one quiet task and lets them be for several
of any way's ping intervals: they come way by way, and stand there at the same time, since what a quiet server takes is
counted by its own process, and one wait does for all of them.

``python -m tests.bench.crowds storm [viewers] [rounds]`` connects viewers whose cursors are a megabyte behind; the
trial writes the same megabyte as frames kept ready to aiohttp's WebSockets, the floor to bare sockets. All by turns.

Medians of the rounds.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import redis

from tests.bench.fanout import listening
from tests.bench.lines import SIZE_BYTES, line, now_us
from tests.bench.processes import Child, Valkey, cpu_s, peak_rss_bytes, python, started, valkey
from tests.bench.ways import Way, way
from tests.bench.writers import CHUNK_BYTES, LivetaskWriter

IDLE = ("stirfried", "node", "aiohttp", "livetask")
STORM = ("livetask", "livetask-binary")
_STORM_TITLES = {"cached": "trial: ready frames to aiohttp's WebSockets", "floor": "floor: ready bytes to bare sockets"}
IDLE_VIEWERS, STORM_VIEWERS = 2000, 1000
STORM_BYTES = 1_000_000
SETTLED_S, QUIET_S = 15.0, 50.0
"""At least two of any ping interval: python-socketio and node 25 s, livetask 20 s, aiohttp none; and of heartbeats."""
ROUNDS = 3


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
) -> list[Idle]:
    """Viewers that are told nothing, so many of each way: they come way by way, and stand there at the same time."""
    _emptied(store)
    with ExitStack() as stack:
        servers: list[Child] = []
        ports: list[int] = []
        accepting: list[float] = []
        for one in ways:
            servers.append(stack.enter_context(started("server", one.server_command(store.url), limit_s=600)))
            ports.append(listening(servers[-1]))
            with _crowd(one.viewers(ports[-1], 1, 1, 300)):
                pass  # what the first viewer loads is no viewer's memory
        time.sleep(settled_s)  # nor what a start leaves behind
        before = [_rss_bytes(server.pid) for server in servers]
        for one, server, port in zip(ways, servers, ports, strict=True):
            cpu = cpu_s(server.pid)
            stack.enter_context(_crowd(one.viewers(port, viewers, 1, 300)))
            accepting.append(cpu_s(server.pid) - cpu)
        time.sleep(settled_s)  # what their coming leaves to do is done by then
        rss = [_rss_bytes(server.pid) for server in servers]
        cpus = [cpu_s(server.pid) for server in servers]
        time.sleep(quiet_s)  # this is what is measured: nothing happens
        return [
            Idle(
                (held - held_before) / viewers / 1024,
                (cpu_s(server.pid) - cpu) / quiet_s / viewers * 1e6,
                viewers / accepted,
            )
            for server, held_before, held, cpu, accepted in zip(servers, before, rss, cpus, accepting, strict=True)
        ]


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
        with started("viewers", python("tests.bench.load", json.dumps(order(port))), limit_s=600) as load:
            load.line_with("done", 300)
            load.tell("stop")
            seen = json.loads(load.line_with("{", 30))
        seconds = (seen["last_us"] - seen["first_us"]) / 1e6
        more_mb = (peak_rss_bytes(server.pid) - before) / 1e6
        return Storm(seen["lines"] / (viewers * lines), seconds, more_mb, cpu_s(server.pid) - cpu)


@contextmanager
def _crowd(order: dict[str, object]) -> Iterator[Child]:
    with started("viewers", python("tests.bench.load", json.dumps(order)), limit_s=600) as load:
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


def _rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def idle_table(found: dict[str, list[Idle]]) -> str:
    """Markdown, a row a way."""
    rows = ["| idle viewers | KiB each | µs of CPU a second each | accepted a second of CPU |", "|---|---|---|---|"]
    for name, rounds in found.items():
        title = "python-socketio, its defaults" if name == "stirfried" else way(name).title
        middle = (median(r.kib for r in rounds), median(r.cpu_us for r in rounds), median(r.accepted for r in rounds))
        rows.append(f"| {title} | {middle[0]:.1f} | {middle[1]:.1f} | {middle[2]:,.0f} |")
    return "\n".join(rows)


def storm_table(found: dict[str, list[Storm]]) -> str:
    """Markdown, a row a way."""
    rows = [
        "| all back at once, 1 MB behind | delivered | s | times the trial | server CPU, s | more memory at most, MB |",
        "|---|---|---|---|---|---|",
    ]
    trial = median(r.seconds for r in found["cached"])
    for name, rounds in found.items():
        seconds = median(r.seconds for r in rounds)
        title = _STORM_TITLES.get(name) or way(name).title
        cells = f"{min(r.delivered for r in rounds):.0%} | {seconds:.2f} | {seconds / trial:.2f}"
        cpu, memory = median(r.server_cpu_s for r in rounds), max(r.more_mb for r in rounds)
        rows.append(f"| {title} | {cells} | {cpu:.2f} | {memory:.0f} |")
    return "\n".join(rows)


def measure_idle(viewers: int = IDLE_VIEWERS, rounds: int = ROUNDS, quiet_s: float = QUIET_S) -> dict[str, list[Idle]]:
    """Rounds of each way by turns."""
    found: dict[str, list[Idle]] = {name: [] for name in IDLE}
    with valkey() as store:
        for _ in range(rounds):
            for name, measured in zip(IDLE, idle([way(name) for name in IDLE], store, viewers, quiet_s), strict=True):
                found[name].append(measured)
    return found


def measure_storm(viewers: int = STORM_VIEWERS, rounds: int = ROUNDS) -> dict[str, list[Storm]]:
    """Rounds of each way by turns."""
    lines = STORM_BYTES // SIZE_BYTES
    found: dict[str, list[Storm]] = {name: [] for name in (*STORM, *_STORM_TITLES)}
    with valkey() as store:
        _filled(store, lines)
        for _ in range(rounds):
            for name in STORM:
                one = way(name)
                found[name].append(storm(one.server_command(store.url), _order(one, viewers, lines), viewers, lines))
            cached = python("tests.bench.servers", "cached", store.url)
            found["cached"].append(storm(cached, _order(way("livetask"), viewers, lines), viewers, lines))
            ready = python("tests.bench.servers", "ready", store.url)
            found["floor"].append(storm(ready, _order(way("floor"), viewers, lines), viewers, lines))
    return found


def _order(one: Way, viewers: int, lines: int) -> Callable[[int], dict[str, object]]:
    def order(port: int) -> dict[str, object]:
        return {**one.viewers(port, viewers, lines, 300, replay=True), "sample": False}

    return order


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    what, given = sys.argv[1], [int(text) for text in sys.argv[2:]]
    rounds = given[1] if len(given) > 1 else ROUNDS
    print(f"{what} {' '.join(map(str, given))}, {rounds} rounds; load before it {os.getloadavg()[0]:.1f}\n", flush=True)
    print(idle_table(measure_idle(*given)) if what == "idle" else storm_table(measure_storm(*given)))


if __name__ == "__main__":
    main()
