"""The hub in simulated time: workers print, viewers come, stall, acknowledge and go, Redis trims, forgets and is away.

``simulate`` draws so many steps from a seed. Each viewer checks what it is told as it is told it: pieces and gaps join
without a hole and without an overlap, bytes are those that the task printed at that position, what is said to be
missing is missing, no more is under way than the window allows, and an end comes once, where the run's output ends.
When all is over, everybody has everything but what was announced as missing, knows that it has, and knows how the task
and each of its runs stand.
"""

from __future__ import annotations

import asyncio
import random
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

from livetask.errors import PositionUnknown, RedisUnavailable, RunUnknown, TaskUnknown
from livetask.position import START, Cursor, Gap, Position
from livetask.server import backoff, feed, hub, pump
from livetask.server.events import CaughtUp, Ended, Event, Missing, Output, Reset, RunChanged, TaskChanged
from livetask.server.feed import Follower
from livetask.server.frames import Told
from livetask.server.hub import Hub
from livetask.server.subscription import Wish
from tests.models.fake_redis import FakeRedis, FakeRun, flush, store_on
from tests.models.simulated import SimulatedLoop

TASKS = 6
VIEWERS = 14
RUNS = 3
HOLD_S = 60.0
CALM_S, SOON_S = 50.0, 5.0
"""Longer than any lease, and much shorter than what is swept."""

WINDOW_BYTES = 4096
"""The smallest that there is; what is under way is one piece of it."""


@dataclass
class House:
    """All that there is. ``runs``: of each task, by ordinal."""

    loop: SimulatedLoop
    chance: random.Random
    fake: FakeRedis
    hub: Hub
    tasks: dict[str, list[FakeRun]] = field(default_factory=dict)
    viewers: list[FakeViewer] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[BaseException] = field(default_factory=list)
    number: int = 0

    def open_runs(self) -> list[FakeRun]:
        return [run for runs in self.tasks.values() for run in runs if run.how is None]

    def run_of(self, task_id: str, cursor: Cursor) -> FakeRun:
        return next(run for run in self.tasks[task_id] if run.nonce == cursor.nonce)


class FakeViewer:
    """A sink that checks. ``stalls``: its transport takes nothing more. ``acks``: what it has is acknowledged.

    ``takes_s``: how long it takes to be given output.
    """

    way = None

    def __init__(self, house: House, task_id: str, acks: bool) -> None:
        self.house, self.task_id, self.acks = house, task_id, acks
        self.stalls = False
        self.takes_s = house.chance.choice((0.0, 0.0, 0.004, 0.015))
        self.follower: Follower | None = None
        self.at: Cursor | None = None
        self.over: Cursor | None = None
        self.held: list[Cursor] = []
        self.under_way: list[tuple[Cursor, int]] = []
        self.text = False
        self.was_given = False
        self.caught_up: Cursor | None = None
        self.ends: Counter[str] = Counter()
        self.runs: dict[str, str | None] = {}
        self.state = ""

    @property
    def drained(self) -> bool:
        return not self.stalls

    def tell(self, told: Told) -> None:
        try:
            self._told(told.event)
        except Exception as error:
            self.house.wrong.append(error)  # the pump takes it for this viewer's own affair
            raise

    def _told(self, event: Event) -> None:
        if isinstance(event, Output):
            self.house.loop.pass_s(self.takes_s)
            self._goes_on(event.start, event.cursor)
            run = self.house.run_of(self.task_id, event.cursor)
            assert event.data == run.data(event.start, event.cursor.position)
            self._is_text(event, run)
            self._bounded(event.cursor, len(event.data))
            self.house.counts["output"] += 1
        elif isinstance(event, Missing):
            self._goes_on(event.gap.start, event.cursor)
            self._is_true(event.gap, self.house.run_of(self.task_id, event.cursor))
            self.house.counts[f"gap: {event.gap.reason}"] += 1
        elif isinstance(event, CaughtUp):
            if self.at is None or self.at.nonce != event.cursor.nonce:
                assert event.cursor.position == START, "a later run begins at its start"
                self.at = event.cursor
            assert event.cursor == self.at
            self.caught_up = event.cursor
        elif isinstance(event, RunChanged):
            self.runs[event.run.nonce] = event.run.how
        elif isinstance(event, TaskChanged):
            self.state = event.task.state
        elif isinstance(event, Reset):
            raise AssertionError(f"{event.reason}: all is sent again long before a viewer has to begin anew")
        elif isinstance(event, Ended):
            self._ended(event)

    def _is_text(self, event: Output, run: FakeRun) -> None:
        """Who is sent text is sent whole characters, but before a gap and at the end."""
        end = event.cursor.position
        decoder = getincrementaldecoder("utf-8")("replace")
        decoder.decode(event.data)
        if self.text and decoder.getstate()[0]:
            rest = run.data(end, run.end)
            over = run.ended or end.byte <= run.gone.byte or end.byte in [start for start, _ in run.gaps]
            assert over or (rest and not 0x80 <= rest[0] < 0xC0), f"a character is cut at {end}"

    def _bounded(self, cursor: Cursor, size: int) -> None:
        """One who acknowledges has no more under way than the window, or one piece that fits into it."""
        self.under_way.append((cursor, size))
        if self.follower is not None and self.acks:
            total = sum(size for _, size in self.under_way)
            assert total <= WINDOW_BYTES, f"{total} bytes are under way, the window is {WINDOW_BYTES}"

    def _is_true(self, gap: Gap, run: FakeRun) -> None:
        """What is announced as missing has been given up by the worker, or has left Redis."""
        if gap.reason == "dropped":
            parts = [(start, end) for start, end in run.gaps if start <= gap.start.byte and gap.end.byte <= end]
            assert parts, f"{gap} was not dropped"
        else:
            assert gap.end.byte <= run.gone.byte, f"{gap} is there: only what is before {run.gone} has ever left"

    def _goes_on(self, start: Position, cursor: Cursor) -> None:
        assert not self.stalls, "told although it stalls"
        if self.at is not None and self.at.nonce == cursor.nonce:
            assert start == self.at.position, f"{start} where {self.at} comes next"
        else:
            assert start == START, "a later run begins at its start"
        self.at = cursor
        self.was_given = True
        self.held.append(cursor)

    def _ended(self, event: Ended) -> None:
        cursor = event.run.cursor(event.run.end)
        if self.at is None or self.at.nonce != cursor.nonce:
            assert cursor.position == START, "a run that printed nothing"
        else:
            assert self.at == cursor, f"told of the end at {self.at}, which is {cursor}"
        assert event.run.how is not None
        self.ends[cursor.nonce] += 1
        ended = self.house.run_of(self.task_id, cursor).ended
        assert self.ends[cursor.nonce] <= ended, f"told more often of an end than it came, which is {ended} times"
        self.at = self.over = cursor
        self.house.counts["end"] += 1

    def acknowledge(self) -> None:
        if self.follower is not None and self.held:
            self.house.hub.ack(self.follower, self.held[-1])
            self.held.clear()
            self.under_way.clear()


def simulate(seed: int, steps: int) -> Counter[str]:
    """Draw so many steps. What was told, and how often what befell; raises AssertionError at the first wrong thing."""
    loop = SimulatedLoop()
    try:
        with _measured_by(loop, seed):
            return loop.run_until_complete(_simulated(loop, random.Random(seed), steps))
    finally:
        loop.close()


@contextmanager
def _measured_by(loop: SimulatedLoop, seed: int) -> Iterator[None]:
    with (
        mock.patch.object(hub, "time", loop),
        mock.patch.object(pump, "time", loop),
        mock.patch.object(feed, "CROWD", 2),  # so few are one already
        mock.patch.object(backoff, "random", random.Random(seed + 1)),
    ):
        yield


async def _simulated(loop: SimulatedLoop, chance: random.Random, steps: int) -> Counter[str]:
    fake = FakeRedis(chance)
    wrong: list[BaseException] = []
    centre = Hub(store_on(fake), window_bytes=WINDOW_BYTES, sweep_s=15.0, hold_s=HOLD_S, on_failure=wrong.append)
    house = House(loop, chance, fake, centre, wrong=wrong)
    await house.hub.start()
    names = [name for name, weight in _WEIGHTS.items() for _ in range(weight)]
    try:
        for _ in range(steps):
            name = chance.choice(names)
            house.counts[name] += 1
            await _STEPS[name](house)
            if wrong:
                raise wrong[0]
        await _settled(house)
        if wrong:
            raise wrong[0]
    finally:
        await house.hub.stop()
    return house.counts


# ---------------------------------------------------------------- steps


async def _print(house: House) -> None:
    if runs := house.open_runs():
        run = house.chance.choice(runs)
        for _ in range(house.chance.randint(1, 4)):
            size = house.chance.choice((1, 7, 90, 1500))
            run.write(bytes(house.chance.choice(b"ab\n\xc3\xa9") for _ in range(min(size, 90))) * (size // 90 or 1))
        run.ship()


async def _drop(house: House) -> None:
    if runs := house.open_runs():
        run = house.chance.choice(runs)
        run.drop(house.chance.randint(1, 5000), house.chance.randint(0, 9))
        run.ship()


async def _begin(house: House) -> None:
    if len(house.tasks) < TASKS or house.chance.random() < 0.2:
        house.number += 1
        task_id = f"task-{house.number}"
        house.tasks[task_id] = []
    else:
        task_id = house.chance.choice(list(house.tasks))
    runs = house.tasks[task_id]
    if len(runs) < RUNS and all(run.how is not None for run in runs) and not house.fake.away:
        runs.append(FakeRun(house.fake, task_id, f"nonce{house.number:05}{len(runs)}"))
        if len(runs) == 1 or runs[-2].is_stored:
            runs[-1].begin()
        else:
            runs.pop()
    if len(house.tasks) > TASKS:
        _forget_one(house)


def _forget_one(house: House) -> None:
    """A task that nobody follows any more leaves the simulation."""
    for task_id, runs in list(house.tasks.items()):
        followed = any(viewer.task_id == task_id for viewer in house.viewers)
        if not followed and all(run.how is not None for run in runs):
            del house.tasks[task_id]
            for run in runs:
                house.fake.hashes.pop(run.task, None)
                house.fake.streams.pop(run.output, None)
            return


async def _end(house: House) -> None:
    if runs := house.open_runs():
        run = house.chance.choice(runs)
        if run.ordinal:
            run.how = house.chance.choice(("SUCCESS", "FAILURE", "RETRY"))
            run.ship()


async def _lost(house: House) -> None:
    """A lease is over; the run may turn out to live."""
    if (runs := house.open_runs()) and not house.fake.away:
        house.chance.choice(runs).finish("LOST")


async def _join(house: House) -> None:
    if len(house.viewers) >= VIEWERS or not house.tasks:
        return
    task_id = house.chance.choice(list(house.tasks))
    viewer = FakeViewer(house, task_id, house.chance.random() < 0.7)
    whence: str | Cursor = house.chance.choice(("start", "start", "now", "tail:5"))
    gone = [run for run in house.tasks[task_id] if run.is_stored and run.cuts]
    if gone and house.chance.random() < 0.5:
        run = house.chance.choice(gone)
        whence = Cursor(run.ordinal, run.nonce, house.chance.choice(run.cuts)[0])
    try:
        await _follow(house, viewer, whence)
    except (RedisUnavailable, TaskUnknown, RunUnknown, PositionUnknown) as error:
        house.counts[f"refused: {error.code}"] += 1


async def _follow(house: House, viewer: FakeViewer, whence: str | Cursor) -> None:
    viewer.text = house.chance.random() < 0.5
    follower = await house.hub.subscribe(viewer.task_id, viewer, Wish(binary=not viewer.text), whence)
    viewer.follower, viewer.at = follower, follower.sub.cursor
    viewer.follower.sub.acks = viewer.acks
    house.viewers.append(viewer)
    house.hub.begin(follower)


async def _leave(house: House) -> None:
    if house.viewers:
        viewer = house.viewers.pop(house.chance.randrange(len(house.viewers)))
        assert viewer.follower
        house.hub.leave(viewer.follower)


async def _come_back(house: House) -> None:
    """A connection is cut: the viewer comes again with its cursor."""
    if not house.viewers:
        return
    viewer = house.chance.choice(house.viewers)
    assert viewer.follower
    house.hub.leave(viewer.follower)
    house.viewers.remove(viewer)
    viewer.held.clear()
    again = FakeViewer(house, viewer.task_id, viewer.acks)
    try:
        await _follow(house, again, viewer.at or "start")
    except (RedisUnavailable, TaskUnknown, RunUnknown, PositionUnknown) as error:
        house.counts[f"refused: {error.code}"] += 1


async def _stall(house: House) -> None:
    if house.viewers:
        viewer = house.chance.choice(house.viewers)
        viewer.stalls = not viewer.stalls


async def _ack(house: House) -> None:
    for viewer in house.viewers:
        if viewer.acks and house.chance.random() < 0.7:
            viewer.acknowledge()


async def _trim(house: House) -> None:
    runs = [run for runs in house.tasks.values() for run in runs]
    if runs:
        house.chance.choice(runs).trim(house.chance.randint(1, 5))


async def _fail_over(house: House) -> None:
    for run in [run for runs in house.tasks.values() for run in runs]:
        run.lose_tail(house.chance.randint(0, 3) or 1)
    await asyncio.sleep(house.chance.random() * 2)
    for run in [run for runs in house.tasks.values() for run in runs]:
        run.ship()


async def _flush(house: House) -> None:
    """Everything is gone; workers send again what they have, which is all but what was trimmed long ago."""
    if house.fake.away:
        return
    flush(house.fake)
    for run in [run for runs in house.tasks.values() for run in runs]:
        if run.cuts and house.chance.random() < 0.3:
            run.base = max(run.base, house.chance.choice(run.cuts)[0])
    await asyncio.sleep(house.chance.random() * 3)
    for run in [run for runs in house.tasks.values() for run in runs]:
        run.ship()


async def _away(house: House) -> None:
    house.fake.away = not house.fake.away
    if house.fake.away:
        await asyncio.sleep(house.chance.random() * 5)
        house.fake.away = False
    for run in [run for runs in house.tasks.values() for run in runs]:
        run.ship()


async def _slow(house: House) -> None:
    house.fake.slow_s = house.chance.choice((0.0, 0.001, 0.05, 0.5))


async def _calm(house: House) -> None:
    """Nothing is wrong for a while, and from then on what happens is told long before anything is swept."""
    house.fake.away, house.fake.slow_s, house.fake.hiccups = False, 0.0, 0
    for viewer in house.viewers:
        viewer.stalls = False
    for run in [run for runs in house.tasks.values() for run in runs]:
        run.ship()
    await _acknowledging(house, CALM_S, 1.0)
    stalling = [viewer for viewer in house.viewers if house.chance.random() < 0.3]
    for viewer in stalling:
        viewer.stalls = True
    for task_id in list(house.tasks):
        house.fake.hiccups = house.chance.choice((0, 0, 0, 1))
        _something(house, task_id)
        await asyncio.sleep(house.chance.choice((0.0, 0.3)))
    for viewer in stalling:
        viewer.stalls = False
    await _acknowledging(house, SOON_S, 0.05)
    house.fake.hiccups = 0
    for viewer in house.viewers:
        last = house.tasks[viewer.task_id][-1]
        assert viewer.at == Cursor(last.ordinal, last.nonce, last.end), f"late at {viewer.at}, the end is {last.end}"
        assert last.how is None or viewer.over == viewer.at, "late with an end"


def _something(house: House, task_id: str) -> None:
    """Another run begins, or the last one goes on, is given up and lives, or ends."""
    runs = house.tasks[task_id]
    if runs[-1].how is not None and house.chance.random() < 0.5:
        runs.append(FakeRun(house.fake, task_id, f"nonce{house.number:05}{len(runs)}"))
        runs[-1].begin()
    run = runs[-1]
    if run.how is None:
        if house.chance.random() < 0.3:
            run.finish("LOST")
        run.write(b"a line\n" * house.chance.choice((1, 1, 900)))
        run.ship()
        if house.chance.random() < 0.3:
            run.how = "SUCCESS"
            run.ship()


async def _wait(house: House) -> None:
    await asyncio.sleep(house.chance.choice((0.0, 0.001, 0.03, 0.3, 2.0, 20.0)))


_STEPS = {
    "print": _print, "drop": _drop, "begin": _begin, "finish": _end, "lose the lease": _lost, "join": _join,
    "leave": _leave, "come back": _come_back, "stall": _stall, "ack": _ack, "trim": _trim, "fail over": _fail_over,
    "flush": _flush, "away": _away, "slow": _slow, "wait": _wait, "calm": _calm,
}  # fmt: skip
_WEIGHTS = {
    "print": 30, "drop": 1, "begin": 5, "finish": 3, "lose the lease": 1, "join": 8, "leave": 2, "come back": 4,
    "stall": 3, "ack": 12, "trim": 2, "fail over": 1, "flush": 1, "away": 1, "slow": 1, "wait": 20, "calm": 1,
}  # fmt: skip


async def _acknowledging(house: House, seconds: float, every_s: float) -> None:
    for _ in range(int(seconds / every_s)):
        for viewer in house.viewers:
            viewer.acknowledge()
        await asyncio.sleep(every_s)


async def _settled(house: House) -> None:
    """All is well again, and everything ends: then every viewer has everything."""
    house.fake.away, house.fake.slow_s = False, 0.0
    for run in [run for runs in house.tasks.values() for run in runs]:
        run.ship()
    await _acknowledging(house, 30.0, 0.5)
    for run in house.open_runs():
        run.write(b"the last line\n")
        run.ship()
    await asyncio.sleep(0.5)
    for viewer in house.viewers:
        viewer.stalls = False
    await _acknowledging(house, 5.0, 0.02)  # by bells and transports, long before anything is swept
    for viewer in house.viewers:
        runs = [run for run in house.tasks[viewer.task_id] if run.how is None]
        assert not runs or (viewer.at and viewer.at.position == runs[-1].end), f"{viewer.task_id}: late at {viewer.at}"
    for run in house.open_runs():
        run.how = "SUCCESS"
        run.ship()
    await _acknowledging(house, 60.0, 0.2)
    for viewer in house.viewers:
        last = house.tasks[viewer.task_id][-1]
        wanted = Cursor(last.ordinal, last.nonce, last.end)
        assert viewer.over == wanted, f"{viewer.task_id}: a viewer is told of {viewer.over}, the end is {wanted}"
        assert viewer.caught_up or not viewer.was_given, f"{viewer.task_id}: nobody said that this is all"
        known = {run.nonce: viewer.runs.get(run.nonce, run.how) for run in house.tasks[viewer.task_id]}
        assert known == {run.nonce: run.how for run in house.tasks[viewer.task_id]}, "a run's end was not told"
        assert viewer.state in ("", last.how), f"{viewer.task_id}: {viewer.state} was told, it is {last.how}"
