"""Models: the hub in simulated time, the simulated Redis beside a real one, and a run's life as hypothesis draws it."""

from __future__ import annotations

import asyncio
import random
import secrets
import tempfile
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from livetask.errors import PositionUnknown
from livetask.keys import Keys
from livetask.position import START, Cursor, Gap, Position
from livetask.server.events import Output
from livetask.server.pieces import cut
from livetask.server.slices import ReadAt, Slice
from livetask.server.store import Store
from livetask.server.subscription import PIECE_SIZES, Subscription, Wish
from tests.models.fake_redis import FakeRedis, FakeRun, store_on
from tests.models.hub_in_time import simulate
from tests.models.simulated import SimulatedLoop
from tests.real.writer import RunWriter
from tests.server.archiving import Archiving

STEPS, PARTS = 10_000, 8
SEED = 20_000


@pytest.mark.parametrize("part", range(PARTS))
def test_ten_thousand_steps_of_the_hub_in_simulated_time_lose_nothing(part: int) -> None:
    counts = simulate(SEED + part, STEPS // PARTS)
    assert counts["output"] > 50
    assert counts["end"] > 10


def test_a_wait_that_is_shorter_than_the_clock_can_tell_comes_to_an_end() -> None:
    simulate(994_850, 2000)


# ---------------------------------------------------------------- the simulated Redis beside a real one

DATA = st.binary(min_size=1, max_size=40).map(lambda data: data.replace(b"\x01", b"\n"))
STEP = st.one_of(
    st.tuples(st.just("write"), DATA),
    st.tuples(st.just("drop"), st.integers(1, 50)),
    st.tuples(st.just("trim"), st.integers(1, 3)),
    st.tuples(st.just("lose"), st.integers(1, 3)),
    st.tuples(st.just("end"), st.sampled_from(["SUCCESS", "FAILURE", "LOST"])),
    st.tuples(st.just("again"), st.just(0)),
)


class Both:
    """The same run in a real Redis and in the simulated one."""

    def __init__(self, client: redis.Redis, fake: FakeRedis, task_id: str) -> None:
        self.client = client
        self.real = RunWriter(client, task_id, nonce="abcdefgh0123")
        self.run = FakeRun(fake, task_id, "abcdefgh0123")
        self.real.begin()
        self.run.begin()

    def do(self, name: str, what: Any) -> None:
        getattr(self, f"_{name}")(what)

    def _write(self, data: bytes) -> None:
        at = self._end()
        assert self.real.append(at, data)[0] == self.run.append(at, at.after(data), [b"d", data, b"t", b"1"])

    def _drop(self, size: int) -> None:
        self.real.end = at = self._end()
        if self.client.hget(self.real.task, "1.how") in (None, b"LOST"):
            self.real.gap(2, size)
            end = Position(at.line + 2, at.byte + size)
            self.run.append(at, end, [b"g", b"dropped", b"e", str(end).encode(), b"t", b"1"])

    def _trim(self, entries: int) -> None:
        """What the ring does when it is full."""
        held = self.client.xrange(self.real.output)
        if len(held) > entries:  # type: ignore[arg-type]
            self.client.xdel(self.real.output, *[entry_id for entry_id, _ in held[:entries]])  # type: ignore[index]
            fields = {"1.first": held[entries][0], "1.first_why": "trimmed"}  # type: ignore[index]
            self.client.hset(self.real.task, mapping=fields)
        self.run.trim(entries)

    def _lose(self, entries: int) -> None:
        """What a failover takes with it."""
        held = self.client.xrange(self.real.output)
        if held:
            gone = held[-entries:]  # type: ignore[index]
            self.client.delete(self.real.output)
            for entry_id, fields in held[: -len(gone)]:  # type: ignore[index]
                self.client.xadd(self.real.output, fields, id=entry_id)
            self.client.hset(self.real.task, "1.end", gone[0][0])
            if self.client.hdel(self.real.task, "1.how"):
                self.client.hincrby(self.real.task, "open", 1)
                self.client.hset(self.real.task, "state", "RUNNING")
        self.run.lose_tail(entries)

    def _end(self, how: str = "") -> Position:
        """Where it stands; or, with ``how``, end it there."""
        end = Position.parse(self.client.hget(self.real.task, "1.end"))  # type: ignore[arg-type]
        assert end == self.run.stored_end
        if how:
            self.real.end = self.run.end = end
            assert self.real.finish(how)[0] == self.run.finish(how)
        return end

    def _again(self, _: int) -> None:
        """A worker sends again what is there: nothing changes."""
        if held := self.client.xrange(self.real.output):
            at = Position.parse(held[-1][0])  # type: ignore[index]
            data = held[-1][1].get(b"d", b"")  # type: ignore[index]
            if data:
                assert self.real.append(at, data)[0] == self.run.append(at, at.after(data), []) == "DUP"


async def _compared(url: str, client: redis.Redis, steps: list[tuple[str, Any]], cuts: list[int]) -> None:
    task_id = f"both-{secrets.token_hex(6)}"
    fake = FakeRedis(random.Random(0))
    async with Store(url) as real, store_on(fake) as simulated:
        both = Both(client, fake, task_id)
        for name, what in steps:
            both.do(name, what)
        places = [Position.parse(entry_id) for entry_id, _ in client.xrange(both.real.output)]  # type: ignore[union-attr]
        end = both.run.stored_end
        places += [START, end, *(Position(1, cut) for cut in cuts), Position(end.line, end.byte + 5)]
        for place in places:
            at = ReadAt(task_id, Cursor(1, both.real.nonce, place), max_bytes=60, count=3)
            one, other = await real.read_many([at]), await simulated.read_many([at])
            assert _shown(one) == _shown(other), place
        seen, known = await real.task(task_id), await simulated.task(task_id)
        assert seen is not None
        assert known is not None
        assert [(run.how, run.end, run.first, run.first_why) for run in seen.runs] == [
            (run.how, run.end, run.first, run.first_why) for run in known.runs
        ]
        assert (seen.state, seen.open, seen.has_ended) == (known.state, known.open, known.has_ended)


def _shown(found: list[Slice | PositionUnknown | None]) -> list[object]:
    return [type(one) if isinstance(one, PositionUnknown) else one for one in found]


@settings(max_examples=60)
@given(steps=st.lists(STEP, max_size=14), cuts=st.lists(st.integers(0, 60), max_size=3))
def test_the_simulated_redis_answers_as_a_real_one(
    redis_server: Any, steps: list[tuple[str, Any]], cuts: list[int]
) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        asyncio.run(_compared(redis_server.url, client, steps, cuts))


async def test_the_simulated_bells_ring_as_real_ones(redis_url: str) -> None:
    heard = []
    for real in (True, False):
        fake = FakeRedis(random.Random(0))
        with redis.Redis.from_url(redis_url) as client:
            async with Store(redis_url) if real else store_on(fake) as store:
                run = RunWriter(client, "rings") if real else FakeRun(fake, "rings", "abcdefgh0123")
                run.begin()
                last_ids = await store.bell_ends()
                await store.watch(["rings"], 10_000)
                end = START.after(b"one\n")
                if isinstance(run, RunWriter):
                    run.write(b"one\n")
                else:
                    run.append(START, end, [b"d", b"one\n", b"t", b"1"])
                    run.end = end
                run.finish("SUCCESS")
                rung = await store.bells(last_ids)
                heard.append([(bell.task_id, bell.run, bell.what) for bell in rung.bells])
    assert heard[0] == heard[1] == [("rings", 1, "output"), ("rings", 1, "end")]


def test_hours_pass_in_simulated_time_and_waiting_for_nothing_or_never_is_an_error() -> None:
    async def hours() -> float:
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - began_s

    async def nothing() -> None:
        await asyncio.Event().wait()

    async def busy() -> None:
        while True:  # noqa: ASYNC110 - it never waits, which is the point
            await asyncio.sleep(0)

    for wanted, wrong in ((hours, None), (nothing, RuntimeError), (busy, RuntimeError)):
        loop = SimulatedLoop()
        try:
            if wrong is None:
                assert loop.run_until_complete(wanted()) == pytest.approx(3600)
            else:
                with pytest.raises(wrong):
                    loop.run_until_complete(wanted())
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()


# ---------------------------------------------------------------- a run's life on a real Redis


WINDOW_BYTES = 8192


@dataclass
class Reader:
    """``given``: the cursors behind each piece. ``text``: with question marks where something is missing."""

    sub: Subscription
    at: Position = START
    text: bytearray = field(default_factory=bytearray)
    gaps: list[Gap] = field(default_factory=list)
    given: list[Cursor] = field(default_factory=list)


class RunLife(RuleBasedStateMachine):
    """One run, its archive and its readers, by the real scripts and the real store. ``url``: where."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = redis.Redis.from_url(self.url)
        self.place = tempfile.TemporaryDirectory()
        self.archiving = Archiving(self.url, "livetask", Path(self.place.name))
        self.store = self.archiving.store
        self.writer = RunWriter(self.client, f"life-{secrets.token_hex(6)}", cap_bytes=512)
        self.readers: list[Reader] = []
        self.how: str | None = None
        self.printed = bytearray()
        self.dropped: list[Gap] = []
        self.copy: tuple[bytes | None, bytes | None, str] | None = None

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        """Whatever has become of it, in the end everybody comes to the end, also who reads from the start."""
        try:
            self.join()
            for reader in self.readers:
                self._catch_up(reader)
            self.what_readers_have_is_what_was_printed_minus_gaps()
        finally:
            self._close()

    def _close(self) -> None:
        self.do(self.archiving.__aexit__())
        self.place.cleanup()
        self.runner.close()
        self.client.close()

    @initialize()
    def begin(self) -> None:
        assert self.writer.begin() == self.writer.begin() == 1
        self.join()

    @precondition(lambda self: self.how in (None, "LOST"))
    @rule(data=DATA, many=st.sampled_from([1, 2, 6, 200]))
    def append(self, data: bytes, many: int) -> None:
        """A LOST run that prints is taken back."""
        self._heal()
        for _ in range(many):
            self.writer.write(data)
            self.printed += data
        self.how = None

    @precondition(lambda self: self.printed)
    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        """What is there stays as it is, whatever is sent again."""
        self._heal()
        at = data.draw(st.integers(0, len(self.printed) - 1))
        position = START.after(bytes(self.printed[:at]))
        answer = self.writer.append(position, bytes(self.printed[at:]))
        assert answer == ["DUP", str(self.writer.end)]

    @rule(far=st.integers(1, 9))
    def send_too_early(self, far: int) -> None:
        self._heal()
        beyond = Position(self.writer.end.line, self.writer.end.byte + far)
        assert self.writer.append(beyond, b"x") == ["GAP", str(self.writer.end)]

    @rule()
    def replicate(self) -> None:
        """A replica has this; what comes later may be lost."""
        self._heal()
        fields = self.client.dump(self.writer.task), self.client.dump(self.writer.output)
        self.copy = (*fields, self.how or "")  # type: ignore[assignment]

    @precondition(lambda self: self.copy is not None)
    @rule()
    def fail_over(self) -> None:
        """The replica becomes master; the worker sends the rest again."""
        assert self.copy is not None
        for key, value in zip((self.writer.task, self.writer.output), self.copy[:2], strict=True):
            self.client.delete(key)
            if value is not None:
                self.client.restore(key, 0, value)
        ended, self.how = self.how, self.copy[2] or None
        self._heal()
        if ended is not None and self.how != ended:
            self.end(ended)

    @rule(how=st.sampled_from(["SUCCESS", "FAILURE", "LOST"]))
    def end(self, how: str) -> None:
        """The first end wins, but LOST gives way."""
        self._heal()
        answer = self.writer.finish(how)[0]
        wins = self.how is None or (self.how == "LOST" and how != "LOST")
        assert answer == ("OK" if wins else "ENDED")
        self.how = how if wins else self.how

    @rule()
    def archive(self) -> None:
        """What there is moves to the shelf; if it has ended, Redis gives it up."""
        self._heal()
        self.do(self.archiving.move(self.writer.task_id))

    @rule()
    def come(self) -> None:
        self.join()

    def join(self) -> None:
        """A reader begins at the start."""
        self.readers.append(Reader(Subscription(Wish(), Cursor(1, self.writer.nonce, START), WINDOW_BYTES)))

    @precondition(lambda self: self.readers)
    @rule(who=st.integers(0, 99), at_once=st.integers(1, 5), most=st.sampled_from([50, WINDOW_BYTES]))
    def read(self, who: int, at_once: int, most: int) -> None:
        """A reader goes on from its cursor, as far as its window allows: what it is given follows on what it has."""
        self._read(self.readers[who % len(self.readers)], at_once, most)

    def _catch_up(self, reader: Reader) -> None:
        self._heal()
        while reader.at != self.writer.end:
            before = reader.at
            if reader.given:
                reader.sub.ack(reader.given[-1])
            self._read(reader, 64, WINDOW_BYTES)
            assert reader.at != before, f"nothing is given at {before}, and the end is {self.writer.end}"

    def _read(self, reader: Reader, at_once: int, most: int) -> None:
        room = reader.sub.room(True)
        if not room:
            assert reader.sub.under_way_bytes > WINDOW_BYTES - PIECE_SIZES[-1], "it has room and is given nothing"
            return
        cursor = reader.sub.cursor
        assert cursor is not None
        found = self.do(self.store.read(self.writer.task_id, cursor, max_bytes=min(most, room), count=at_once))
        pieces = cut(found, cursor, text=False, max_bytes=room)
        for piece in pieces.pieces:
            if isinstance(piece, Output):
                assert piece.start == reader.at
                assert piece.data == self.printed[reader.at.byte : piece.cursor.position.byte]
                reader.text += piece.data
            else:
                assert piece.gap.start == reader.at
                reader.gaps.append(piece.gap)
                reader.text += b"?" * piece.gap.size_bytes
            reader.at = piece.cursor.position
            reader.given.append(piece.cursor)
        reader.sub.took(pieces.pieces, pieces.reached)

    @precondition(lambda self: self.readers)
    @rule(who=st.integers(0, 99), which=st.integers(0, 99))
    def acknowledge(self, who: int, which: int) -> None:
        """Up to anything that it was given, also once more and out of order; or all of it."""
        reader = self.readers[who % len(self.readers)]
        if reader.given:
            reader.sub.ack(reader.given[which % len(reader.given)] if which < 50 else reader.given[-1])

    @rule(who=st.integers(0, 99))
    def leave(self, who: int) -> None:
        if self.readers:
            self.readers.pop(who % len(self.readers))

    @invariant()
    def windows_are_kept_and_open_again(self) -> None:
        for reader in self.readers:
            if reader.sub.acks:
                assert 0 <= reader.sub.under_way_bytes <= WINDOW_BYTES + PIECE_SIZES[-1]

    @invariant()
    def what_readers_have_is_what_was_printed_minus_gaps(self) -> None:
        for reader in self.readers:
            at, text = reader.at, bytes(reader.text)
            assert at == START.after(bytes(self.printed[: at.byte]))
            for gap in reader.gaps:
                assert gap.reason == "trimmed", "all else was sent again"
                text = text[: gap.start.byte] + self.printed[gap.start.byte : gap.end.byte] + text[gap.end.byte :]
            assert text == self.printed[: at.byte]

    def _heal(self) -> None:
        """As a worker does that hears of a GAP: from where Redis says that it ends."""
        if not self.printed or not self.client.exists(self.writer.task):
            return
        stored = Position.parse(self.client.hget(self.writer.task, "1.end"))  # type: ignore[arg-type]
        if stored != self.writer.end:
            self.client.hdel(self.writer.task, "1.how")
            assert self.writer.append(stored, bytes(self.printed[stored.byte :]))[0] == "OK"


def live(url: str, examples: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    """Live through so many runs; raises what is wrong. ``phases``: of hypothesis."""
    machine = type("RunLifeHere", (RunLife,), {"url": url})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, phases=phases)
    )  # type: ignore[no-untyped-call]


def test_whatever_becomes_of_a_run_its_readers_have_what_it_printed_or_know_what_they_miss(redis_server: Any) -> None:
    live(redis_server.url, 25)


def test_keys_of_the_simulated_redis_are_those_of_the_real_one() -> None:
    run = FakeRun(FakeRedis(random.Random(0)), "t", "abcdefgh0123")
    assert (run.task, run.output) == (Keys().task("t"), Keys().output("t", "abcdefgh0123"))
