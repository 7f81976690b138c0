"""Breaks one thing after another in a house, each for a while, each mended again; at most one fault in each place.

A fault is a method named after what it does; its docstring is what the table would say at length.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from pathlib import Path

import redis

from livetask.keys import Keys, bucket_of
from tests.oracle.clocks import WHOSE, Clocks
from tests.oracle.house import House
from tests.real.fault_proxy import FaultProxy
from tests.system.rig import Dashboard, Running

PAUSE_S = (0.2, 1.5)
CALM_S = 6.0
"""After a worker was killed: the next one has to find what it left."""

HOUR_MS = 3_600_000

Fault = Callable[[], Awaitable[None]]


class Breaker:
    """``done``: how often each fault was made. ``running``: tasks that go on now, for faults that need one.

    ``long``: there is time for faults that take a minute.
    """

    def __init__(self, house: House, chance: random.Random, clocks: Clocks, *, long: bool = False) -> None:
        self.house = house
        self.long = long
        self._clocks = clocks
        self.done: Counter[str] = Counter()
        self.running: set[str] = set()
        self._chance = chance
        self._servers: list[Dashboard] = []
        self._busy: set[str] = set()
        self._past: deque[tuple[float, float, str]] = deque(maxlen=1000)
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        return sum(self.done.values())

    def told(self, place: str, within_s: float) -> str:
        """The faults of the last seconds whose names begin so, with when each began and ended, for people."""
        now_s = time.monotonic()
        found = [past for past in self._past if past[2].startswith(place) and now_s - past[1] < within_s]
        return ", ".join(f"{name} {began_s - now_s:.0f} to {ended_s - now_s:.0f} s" for began_s, ended_s, name in found)

    def build(self) -> None:
        """Start a worker, and two servers behind the balancer."""
        self.house.start_worker(concurrency=4)
        ports = (self.house.server_proxy.upstream_port, *self.house.others)
        self._servers = [self.house.serve(port) for port in ports]
        self.house.dashboard = self._servers[0]
        self.house.server_proxy.others = self.house.others

    async def run(self) -> None:
        """Break things until cancelled; then what is being mended is mended."""
        try:
            while True:
                await asyncio.sleep(self._chance.uniform(*PAUSE_S))
                for task in [task for task in self._under_way if task.done()]:
                    self._under_way.discard(task)
                    task.result()
                place, name, fault = self._drawn()
                if place not in self._busy:
                    self._under_way.add(asyncio.create_task(self._broken(place, name, fault)))
        finally:
            await asyncio.gather(*self._under_way)

    async def _broken(self, place: str, name: str, fault: Fault) -> None:
        self._busy.add(place)
        began_s = time.monotonic()
        try:
            await fault()
            self.done[name] += 1
        finally:
            self._busy.discard(place)
            self._past.append((began_s, time.monotonic(), name))

    def _drawn(self) -> tuple[str, str, Fault]:
        """(where, what, how) of the next fault."""
        place = self._chance.choice(
            ("viewers", "viewers", "ship", "read", "server 0", "server 1", "store", "worker", "clocks")
        )
        house = self.house
        faults: dict[str, tuple[Fault, ...]] = {
            "viewers": self._of_proxy("viewers", house.server_proxy),
            "ship": self._of_proxy("worker to store", house.ship_proxy),
            "read": self._of_proxy("server to store", house.read_proxy),
            "server 0": self._of_server(0),
            "server 1": self._of_server(1),
            "store": (self.store_killed, self.store_tail_lost, self.flushed, self.scripts_flushed, self.full,
                      self.clients_killed, self.key_evicted),
            "worker": (self.child_killed, self.child_killed, self.child_segfaults, self.revoked, self.shipper_killed,
                       self.main_frozen, self.machine_frozen, self.main_killed, self.machine_killed,
                       *((self.main_frozen_for_a_minute,) if self.long else ())),
            "clocks": tuple(_named(f"clock of {whose} jumps", self._jumping(whose)) for whose in WHOSE),
        }  # fmt: skip
        fault = self._chance.choice(faults[place])
        return place, getattr(fault, "name", fault.__name__.replace("_", " ")), fault

    # ---- networks

    def _of_proxy(self, way: str, proxy: FaultProxy) -> tuple[Fault, ...]:
        async def cut() -> None:
            await self.house.in_thread(proxy.cut)

        async def silent() -> None:
            proxy.black_hole = True
            await self._while()
            proxy.black_hole = False

        def chance_of(what: str, value: float) -> Fault:
            async def some() -> None:
                setattr(proxy, what, value)
                await self._while()
                setattr(proxy, what, 0.0)

            return some

        made = {
            "cut": cut,
            "silent": silent,
            "slow": chance_of("delay_s", 0.05),
            "replies lost": chance_of("lost_replies", 0.1),
            "requests halved": chance_of("halved_requests", 0.1),
        }
        return tuple(_named(f"{way}: {name}", fault) for name, fault in made.items())

    async def _while(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.2, 2.5))

    # ---- servers

    def _of_server(self, number: int) -> tuple[Fault, ...]:
        async def killed() -> None:
            self._servers[number].running.kill()
            await self._serve_again(number)

        async def replaced() -> None:
            await self.house.in_thread(self._servers[number].running.stop)
            await self._serve_again(number)

        async def frozen() -> None:
            await self._frozen(self._servers[number].running.process.pid)

        made = {"killed": killed, "replaced": replaced, "frozen": frozen}
        return tuple(_named(f"server {name}", fault) for name, fault in made.items())

    async def _serve_again(self, number: int) -> None:
        old = self._servers[number]
        self.house.rig.started.remove(old.running)
        self._servers[number] = await self.house.in_thread(self.house.serve, old.port)
        if number == 0:
            self.house.dashboard = self._servers[0]

    # ---- clocks

    def _jumping(self, whose: str) -> Fault:
        async def jump() -> None:
            """By up to an hour, ahead or back."""
            off_ms = self._chance.randint(-HOUR_MS, HOUR_MS)
            with contextlib.suppress(redis.RedisError):
                await self.house.in_thread(self._clocks.set, whose, off_ms, self.house.store)

        return jump

    # ---- the store

    async def store_killed(self) -> None:
        self.house.store.kill()
        await self.house.in_thread(self.house.store.start, "everysec")

    async def store_tail_lost(self) -> None:
        """Killed, and back without the last it had said it would keep."""
        self.house.store.kill()
        self.house.store.forget_last_bytes(self._chance.randrange(500_000))
        await self.house.in_thread(self.house.store.start, "everysec")

    async def flushed(self) -> None:
        await self._do("FLUSHALL")

    async def scripts_flushed(self) -> None:
        await self._do("SCRIPT", "FLUSH")

    async def clients_killed(self) -> None:
        await self._do("CLIENT", "KILL", "TYPE", "normal")

    async def full(self) -> None:
        await self._do("CONFIG", "SET", "maxmemory", "1")
        try:
            await self._while()
        finally:
            await self._do("CONFIG", "SET", "maxmemory", "0")

    async def key_evicted(self) -> None:
        """One key of a task that goes on; its output stream excepted, whose readers may then be told of a gap."""
        if self.running:
            task_id = self._chance.choice(sorted(self.running))
            keys, bucket = Keys("livetask"), bucket_of(task_id)
            names = (keys.task(task_id), keys.bell(bucket), keys.watched(bucket), keys.alive(bucket))
            await self._do("DEL", self._chance.choice(names))

    async def _do(self, *command: str) -> None:
        await self.house.in_thread(self.house.store.do, *command)

    # ---- workers

    async def child_killed(self) -> None:
        await self._signalled(signal.SIGKILL)

    async def child_segfaults(self) -> None:
        await self._signalled(signal.SIGSEGV)

    async def revoked(self) -> None:
        if self.running:
            name = self._chance.choice(("SIGTERM", "SIGKILL", "SIGQUIT"))
            await self.house.in_thread(self.house.revoke, self._chance.choice(sorted(self.running)), name)

    async def shipper_killed(self) -> None:
        """It is broken until its main process has started another one: that is not frozen meanwhile."""
        killed = self._shippers()
        for pid in killed:
            _kill(pid, signal.SIGKILL)
        await self.house.until("there is another shipper", lambda: set(self._shippers()) - set(killed))

    def _shippers(self) -> list[int]:
        return _children_of(self.house.worker.process.pid, b"livetask.worker.shipper")

    async def main_frozen(self) -> None:
        await self._frozen(self.house.worker.process.pid)

    async def main_frozen_for_a_minute(self) -> None:
        pid = self.house.worker.process.pid
        _kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(60)
        finally:
            _kill(pid, signal.SIGCONT)

    async def machine_frozen(self) -> None:
        """The worker and all it has, for longer than the lease."""
        group = self.house.worker.process.pid
        os.killpg(group, signal.SIGSTOP)
        try:
            await asyncio.sleep(7.5)
        finally:
            os.killpg(group, signal.SIGCONT)

    async def main_killed(self) -> None:
        self.house.worker.kill()
        await self._work_again()

    async def machine_killed(self) -> None:
        """The worker and all it has."""
        self.house.worker.kill_all()
        await self._work_again()

    async def _work_again(self) -> None:
        old: Running = self.house.workers.pop()
        self.house.rig.started.remove(old)
        self.house.start_worker(concurrency=4)
        await asyncio.sleep(CALM_S)
        await self.house.in_thread(old.stop)

    async def _signalled(self, number: signal.Signals) -> None:
        if not self.running:
            return
        task = await self.house.in_thread(self.house.task, self._chance.choice(sorted(self.running)))
        children = _children_of(self.house.worker.process.pid, b"celery")
        for run in task.get("runs", []):
            if run["how"] is None and run["pid"] in children:
                _kill(run["pid"], number)

    async def _frozen(self, pid: int) -> None:
        _kill(pid, signal.SIGSTOP)
        try:
            await self._while()
        finally:
            _kill(pid, signal.SIGCONT)


def _named(name: str, fault: Fault) -> Fault:
    fault.name = name  # type: ignore[attr-defined]
    return fault


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _children_of(pid: int, words: bytes) -> list[int]:
    """The children of a process in whose command these words stand."""
    found = []
    for item in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            parent = int(item.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
            if parent == pid and words in item.with_name("cmdline").read_bytes():
                found.append(int(item.parent.name))
    return found
