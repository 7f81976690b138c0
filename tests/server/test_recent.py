"""A storm: viewers who come back one after the other pass the same places, and Redis is read once for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from livetask.position import Cursor, Entry, Position
from livetask.server import gathering
from livetask.server.batches import Place
from livetask.server.events import Output
from livetask.server.frames import Told
from livetask.server.hub import Hub
from livetask.server.reading import AHEAD, Left, Reading
from livetask.server.recent import Recent
from livetask.server.slices import ReadAt, Slice
from livetask.server.store import Store
from livetask.server.subscription import PIECE_SIZES, Wish
from tests.server.conftest import Write
from tests.server.living import until

NONCE = "abcdefghijkl"


class _Keeping:
    """Keeps the output that it is told."""

    drained = True
    way = None

    def __init__(self) -> None:
        self.text = b""

    def tell(self, told: Told) -> None:
        if isinstance(told.event, Output):
            self.text += told.event.data


async def test_each_range_is_read_once_for_all_who_pass_it_one_after_the_other(
    store: Store, writer: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, run, reads = Hub(store, window_bytes=1 << 30), writer("task"), Counter[tuple[int, int]]()
    hub._pump.reading.recent = Recent(keep_s=120.0)
    run.begin()
    for number in range(40):
        run.write(bytes([97 + number % 26]) * 16_383 + b"\n")
    read_many = store.read_many

    async def counted(wanted: Sequence[ReadAt]) -> Any:
        reads.update((one.cursor.position.byte, one.max_bytes) for one in wanted)
        return await read_many(wanted)

    monkeypatch.setattr(store, "read_many", counted)
    await hub.start()
    first = await hub.subscribe("task", _Keeping(), Wish(binary=True), "now")
    hub.begin(first)  # there are several viewers
    for number in range(8):
        viewer = _Keeping()
        hub.begin(await hub.subscribe("task", viewer, Wish(binary=number < 4)))
        await until("it has it all", lambda viewer=viewer: len(viewer.text) == len(run.text))
        assert viewer.text == run.text
    reaching = max(at + most for at, most in reads)
    again = [(at, most) for (at, most), count in reads.items() if count > 1 and at + most < len(run.text)]
    assert reaching >= len(run.text)
    assert not again, "only what reaches the end is read again"
    run.write(b"more\n")
    await until("what comes later is told as ever", lambda: viewer.text == run.text)
    await hub.stop()


def _slice(at: int, size: int, end: int) -> tuple[Place, Slice]:
    data = b"x" * size
    entry = Entry(Position(1, at), data)
    place = Place("task", Cursor(1, NONCE, Position(1, at)), size)
    return place, Slice(Position(1, at), (entry,), Position(1, end), None, 1, size)


async def test_what_is_kept_is_bounded_and_forgotten_soon() -> None:
    recent = Recent(most_bytes=1000, keep_s=0.05)
    places = []
    for number in range(10):
        place, found = _slice(number * 300, 300, 10_000)
        recent.keep(place, found, viewers=2)
        places.append(place)
    assert [recent.at(place) is not None for place in places] == [False] * 7 + [True] * 3
    await until("all is forgotten", lambda: not any(recent.at(place) for place in places))


async def test_the_end_of_a_run_and_what_one_viewer_reads_are_not_kept() -> None:
    recent = Recent()
    place, found = _slice(0, 300, 300)
    recent.keep(place, found, viewers=5)
    alone, part = _slice(0, 300, 10_000)
    recent.keep(alone, part, viewers=1)
    assert recent.at(place) is None
    assert recent.at(alone) is None


async def test_that_a_run_has_less_than_was_there_is_not_kept() -> None:
    """After a failover the worker sends the rest again within a moment, and everybody is to have it at once."""
    recent = Recent()
    place = _slice(5000, 300, 10_000)[0]
    recent.keep(place, Slice(place.cursor.position, (), Position(1, 2000), None), viewers=2)
    assert recent.at(place) is None


async def test_what_was_read_beyond_a_piece_is_the_beginning_of_the_next(
    store: Store, writer: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, run, asked_bytes = Hub(store, window_bytes=1 << 30), writer("task"), []
    run.begin()
    for number in range(400):
        run.write((f"{number} " + "\u00e9" * 8000)[:8000].encode() + b"\n")
    read_many = store.read_many

    async def counted(wanted: Sequence[ReadAt]) -> Any:
        found = await read_many(wanted)
        asked_bytes.extend(one.read_bytes for one in found)
        return found

    monkeypatch.setattr(store, "read_many", counted)
    monkeypatch.setattr(gathering, "QUICK_S", 60.0)
    hub._pump.reading._left._keep_s = 60.0
    await hub.start()
    for binary in (True, False):
        asked_bytes.clear()
        viewer = _Keeping()
        follower = await hub.subscribe("task", viewer, Wish(binary=binary))
        follower.sub.ack(follower.sub.cursor)  # it acknowledges, so pieces are large
        hub.begin(follower)
        await until("it has it all", lambda viewer=viewer: len(viewer.text) == len(run.text))
        assert viewer.text == run.text
        assert len(asked_bytes) <= len(run.text) / (AHEAD * PIECE_SIZES[0]) + 6
        assert sum(asked_bytes) <= len(run.text) * 1.1 + 2 * PIECE_SIZES[0], "hardly anything is read twice"
        hub.leave(follower)
    await hub.stop()


async def test_what_is_left_is_given_once_is_bounded_and_forgotten_soon() -> None:
    left = Left(most_bytes=20_000, keep_s=0.05)
    found = _slice(0, 30_000, 100_000)[1]
    at = [Cursor(1, NONCE, Position(1, byte)) for byte in (22_000, 20_000, 23_000, 29_000)]
    for cursor in at:
        left.keep("task", cursor, found)
    places = [Place("task", cursor, 1000) for cursor in at]
    assert left.take(places[0].task_id, places[0].cursor) is None, "it was too much"
    again = left.take(places[1].task_id, places[1].cursor)
    assert again is not None
    assert (again.start, again.next, again.read_bytes) == (at[1].position, found.next, 10_000)
    assert left.take(places[1].task_id, places[1].cursor) is None
    assert left.take(places[3].task_id, places[3].cursor) is None, "so little is not worth it"
    await until("the rest is forgotten", lambda: left._timer is None)
    assert left.take(places[2].task_id, places[2].cursor) is None


async def test_what_is_read_on_for_a_quick_viewer_may_fail_and_is_then_read_when_it_is_needed(
    store: Store, writer: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, run, failures = Hub(store, window_bytes=1 << 30), writer("task"), 0
    run.begin()
    for number in range(400):
        run.write(bytes([97 + number % 26]) * 16_000 + b"\n")
    read_on = Reading._read_on

    async def failing(self: Reading, at: ReadAt) -> None:
        nonlocal failures
        failures += 1
        if failures % 2:
            await read_on(self, at)

    monkeypatch.setattr(Reading, "_read_on", failing)
    monkeypatch.setattr(gathering, "QUICK_S", 60.0)
    await hub.start()
    viewer = _Keeping()
    follower = await hub.subscribe("task", viewer, Wish(binary=True))
    follower.sub.ack(follower.sub.cursor)
    hub.begin(follower)
    await until("it has it all", lambda: len(viewer.text) == len(run.text))
    assert viewer.text == run.text
    assert failures > 2
    assert not hub._pump.reading._coming
    await hub.stop()
