"""`make chaos`: tasks print journals, viewers of every kind watch, and everything between them is broken at random.

``python -m tests.oracle.chaos --seconds 600 --faults 1000 --bytes 1e9 --seed 7`` goes on until there were so many
faults and so many bytes were printed, or the time is over, and prints its seed and a table: which faults, how much was
checked, what was lost, doubled or shown as a gap. It ends with 1 if anything was lost or doubled. The same seed draws
the same faults; when exactly they fall is up to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import redis

from livetask.keys import Keys
from tests.oracle.breaking import Breaker
from tests.oracle.checker import judge
from tests.oracle.clocks import Clocks
from tests.oracle.house import House, house_in
from tests.oracle.viewers import ALL, Viewer
from tests.system.rig import free_port, rig_in, wait_for

AT_ONCE = 4
VIEWERS = 3
BEGINS_WITHIN_S = 40.0
ENDS_WITHIN_S = 120.0
ENDS = ("return", "return", "return", "retry:1", "raise:x", "die:SIGKILL", "die:SIGSEGV", "exit:3", "ignore", "fork")


@dataclass
class Tally:
    """What came of it all. ``held``: tasks whose next run Celery holds back since its worker was killed."""

    tasks: int = 0
    not_begun: int = 0
    held: int = 0
    gone: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    records: int = 0
    printed_bytes: int = 0
    given_bytes: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    resets: Counter[str] = field(default_factory=Counter)
    connects: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Bounds:
    """Where it ends. ``until_s``: monotonic."""

    until_s: float
    faults: int
    size_bytes: int


class Chaos:
    """One long run in one house."""

    def __init__(self, house: House, seed: int, bounds: Bounds, clocks: Clocks) -> None:
        self.house = house
        self.tally = Tally()
        self.breaker = Breaker(house, random.Random(seed), clocks, long=bounds.until_s - time.monotonic() > 300)
        self._chance = random.Random(seed + 1)
        self._bounds = bounds

    @property
    def is_over(self) -> bool:
        bounds = self._bounds
        enough = self.tally.printed_bytes >= bounds.size_bytes and self.breaker.count >= bounds.faults
        return enough or time.monotonic() >= bounds.until_s

    async def run(self) -> None:
        """Break things until it is over; then let everything heal, and see the last tasks end."""
        await self.house.in_thread(self.breaker.build)
        breaking = asyncio.create_task(self.breaker.run())
        telling = asyncio.create_task(self._tell())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._tasks(breaking))
        finally:
            for task in (telling, breaking):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _tasks(self, breaking: asyncio.Task[None]) -> None:
        while not self.is_over:
            if breaking.done():
                breaking.result()
            await self._one()

    async def _one(self) -> None:
        """One task, from its sending to the judgement on what its viewers were given."""
        chance, house = self._chance, self.house
        lines, pad = chance.choice([(80_000, 0), (6000, 1000), (3000, 2000), (1300, 5000)])
        a_second = chance.choice([lines / 4, lines / 8, 0])
        task_id = await house.in_thread(house.send, lines, a_second, pad, chance.choice(ENDS))
        kinds = chance.sample(ALL, VIEWERS)
        try:
            async with house.watched(task_id, kinds, BEGINS_WITHIN_S) as viewers:
                self.breaker.running.add(task_id)
                late = await asyncio.gather(*(one.ended(ENDS_WITHIN_S) for one in viewers), return_exceptions=True)
        except AssertionError:
            self.tally.not_begun += 1  # the worker that had taken it was killed: Celery delivers it an hour later
            return
        finally:
            self.breaker.running.discard(task_id)
        errors = [error for error in late if error is not None]
        stored = await house.in_thread(self._stored, task_id) if errors else {}
        is_gone = bool(errors) and not stored
        if stored:
            is_held = await house.in_thread(self._is_held, task_id, stored)
            begun = len(await house.in_thread(house.journals, task_id))
            print(f"{'held' if is_held else 'late'} {task_id}, {begun} runs began: {str(stored)[:3000]}", flush=True)
            for place in ("main", "machine", "shipper", "store", "worker to store"):
                print(f"  {self.breaker.told(place, ENDS_WITHIN_S)}", flush=True)
            if is_held:
                self.tally.held += 1
                errors = []
        self._judge(task_id, viewers, errors, is_gone)

    def _stored(self, task_id: str) -> dict[bytes, bytes]:
        """The task's hash, once the store answers."""

        def seen() -> list[dict[bytes, bytes]]:
            with contextlib.suppress(redis.RedisError):
                return [self.house.store.do("HGETALL", Keys("livetask").task(task_id))]
            return []

        return dict(wait_for("the store answers", seen)[0])

    def _is_held(self, task_id: str, stored: dict[bytes, bytes]) -> bool:
        """Whether no run of the task is open, and Celery's broker still keeps its message, that of a retry: a worker
        had it and was killed. Celery delivers it an hour later, and until then nothing ends."""
        runs = range(1, int(stored.get(b"runs", b"0")) + 1)
        if not all(stored.get(b"%d.how" % run) for run in runs):
            return False
        return any(task_id.encode() in message for message in self.house.broker.do("HVALS", "unacked"))

    def _judge(self, task_id: str, viewers: list[Viewer], late: list[BaseException], is_gone: bool) -> None:
        """Judge what the viewers of a task were given. ``is_gone``: Redis was emptied when its spool was gone too."""
        tally, journals = self.tally, self.house.journals(task_id)
        tally.tasks += 1
        tally.gone += is_gone
        wrong = [] if is_gone else [str(error) for error in late]
        tally.printed_bytes += sum(journal.size_of(journal.lines) for journal in journals.values())
        for viewer in viewers:
            record = viewer.record
            tally.records += 1
            tally.connects += viewer.connects
            tally.given_bytes += record.size_bytes
            tally.gaps.update(hole.reason for hole in record.holes)
            tally.resets.update(back.reason for back in record.backs)
            if is_gone and not record.is_screen:
                wrong += judge(record, journals, every_run=False, must_end=False)
            if not late:
                # a viewer that came when the first run was over may see the later ones only
                wrong += judge(record, journals, every_run=False)
        for fault in wrong:
            print(f"WRONG {task_id}: {fault[:600]}", flush=True)
        tally.wrong += wrong
        longest = max(viewers, key=lambda viewer: len(viewer.record.ends))
        tally.runs.update({end.cursor.nonce: end.how for end in longest.record.ends}.values())

    async def _tell(self) -> None:
        """Say once a minute how far it is."""
        while True:
            await asyncio.sleep(60)
            print(f"{self.breaker.count} faults, {self.tally.tasks} tasks, {len(self.tally.wrong)} wrong", flush=True)


def table(chaos: Chaos, seed: int, seconds: float) -> str:
    """What came of it, for people."""
    tally = chaos.tally
    rows = [
        ("seed", seed),
        ("seconds", f"{seconds:.0f}"),
        ("faults", chaos.breaker.count),
        *((f"  {name}", count) for name, count in sorted(chaos.breaker.done.items())),
        ("tasks checked", tally.tasks),
        ("tasks that Celery had not begun in time", tally.not_begun),
        ("tasks whose retry Celery holds back", tally.held),
        ("tasks flushed when their spool was gone", tally.gone),
        *((f"  runs that ended {how}", count) for how, count in sorted(tally.runs.items())),
        ("viewers checked", tally.records),
        ("connections they made", tally.connects),
        ("bytes printed", f"{tally.printed_bytes:,}"),
        ("bytes given to viewers", f"{tally.given_bytes:,}"),
        *((f"announced gaps, {reason}", count) for reason, count in sorted(tally.gaps.items())),
        *((f"announced resets, {reason}", count) for reason, count in sorted(tally.resets.items())),
        ("lost, doubled or wrong", len(tally.wrong)),
    ]
    return "\n".join(f"| {name:<42} | {value!s:>16} |" for name, value in rows)


def main() -> int:
    """The exit status: 0 if nothing was lost, doubled or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="how long at most")
    parser.add_argument("--faults", type=int, default=1000, help="end after so many faults")
    parser.add_argument("--bytes", type=float, default=1e9, help="and so many bytes printed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    began_s = time.monotonic()
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="livetask-chaos-") as place, rig_in(Path(place)) as rig:
        bounds = Bounds(began_s + options.seconds, options.faults, int(options.bytes))
        clocks = Clocks(rig.place / "clocks")
        with house_in(rig, LIVETASK_LEASE_S="5", **clocks.env) as house:
            return _ran(Chaos(house, options.seed, bounds, clocks), options.seed, began_s)


def _ran(chaos: Chaos, seed: int, began_s: float) -> int:
    chaos.house.others = (free_port(),)
    try:
        asyncio.run(chaos.run())
    finally:
        print(table(chaos, seed, time.monotonic() - began_s), flush=True)
        chaos.house.rig.end()
    return 1 if chaos.tally.wrong else 0


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main())
