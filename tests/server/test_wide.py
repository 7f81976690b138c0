"""The wide window: one who reads a long log and is quick is given much at once, while few do; nobody else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from livetask.position import Cursor, Position
from livetask.server import gathering
from livetask.server.events import Output
from livetask.server.feed import Follower
from livetask.server.frames import Told
from livetask.server.gathering import FEW
from livetask.server.hub import Hub
from livetask.server.store import Store
from livetask.server.subscription import PIECE_SIZES, WIDE_SIZES, Subscription, Wish
from tests.server.conftest import Write
from tests.server.living import until

WINDOW, WIDE = 256 * 1024, 1024 * 1024


class _Reader:
    """Acknowledges what it is told a moment later, unless it has stalled. ``sizes``: of the pieces."""

    way = None

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.follower: Follower | None = None
        self.text = bytearray()
        self.sizes: list[int] = []
        self.most_under_way = 0
        self.drained = True

    def tell(self, told: Told) -> None:
        if isinstance(told.event, Output):
            self.text += told.event.data
            self.sizes.append(told.event.size_bytes)
            asyncio.get_running_loop().call_soon(self._ack, told.event.cursor)

    def _ack(self, cursor: Cursor) -> None:
        assert self.follower is not None
        self.most_under_way = max(self.most_under_way, self.follower.sub.under_way_bytes)
        self._hub.ack(self.follower, cursor)

    async def begin(self, wish: Wish) -> None:
        self.follower = await self._hub.subscribe("task", self, wish)
        assert self.follower.sub.cursor is not None
        self._hub.ack(self.follower, self.follower.sub.cursor)
        self._hub.begin(self.follower)


@pytest.fixture
async def hub(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    monkeypatch.setattr(gathering, "QUICK_S", 60.0)  # everybody is quick, on a slow machine too
    made = Hub(store, window_bytes=WINDOW, wide_window_bytes=WIDE)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def text(writer: Write) -> bytes:
    """Of a task that has printed some megabytes."""
    run = writer("task")
    run.begin()
    for number in range(300):
        run.write((f"{number} " + "\u00e9" * 8000)[:8000].encode() + b"\n")
    return bytes(run.text)


@pytest.mark.parametrize("binary", [True, False])
async def test_who_reads_a_long_log_alone_is_given_large_pieces_within_the_wide_window(
    hub: Hub, text: bytes, binary: bool
) -> None:
    reader = _Reader(hub)
    await reader.begin(Wish(binary=binary))
    await until("it has it all", lambda: len(reader.text) == len(text))
    assert reader.text == text
    assert PIECE_SIZES[0] < max(reader.sizes) <= WIDE_SIZES[0]
    assert reader.most_under_way <= WIDE


def test_small_acknowledgements_do_not_make_small_pieces() -> None:
    at = Cursor(1, "abcdefghijkl", Position(1, 0))
    sub = Subscription(Wish(binary=True), at, WINDOW, wide_window_bytes=WIDE)
    sub.ack(at)
    for sent in (WIDE // 2, WIDE):
        assert sub.wide_room() == WIDE // 2
        after = Cursor(at.run, at.nonce, Position(1, sent))
        sub.took([Output(Position(1, sent - WIDE // 2), after, (b"x" * (WIDE // 2),))], reached=False)
    for acked in (0, WIDE // 4, WIDE // 2 - 1):
        sub.ack(Cursor(at.run, at.nonce, Position(1, acked)))
        assert sub.wide_room() == 0, "it waits until a large one fits"
    sub.ack(Cursor(at.run, at.nonce, Position(1, WIDE // 2)))
    assert sub.wide_room() == WIDE // 2


async def test_of_more_than_a_few_nobody_is_given_so_much(hub: Hub, text: bytes) -> None:
    readers = [_Reader(hub) for _ in range(FEW + 2)]
    for number, reader in enumerate(readers):
        await reader.begin(Wish(binary=bool(number % 2)))
        assert reader.follower is not None
        reader.drained = False
    await until("all wait for their transports", lambda: len(hub._pump.clogged) == len(readers))
    one = readers[0]
    one.sizes.clear()
    one.drained = True
    await until("it has it all", lambda: len(one.text) == len(text))
    assert one.text == text
    assert max(one.sizes) <= PIECE_SIZES[0], "others hold too much already"
    assert one.most_under_way <= WINDOW


async def test_what_would_wait_in_this_process_has_no_wide_window(hub: Hub, text: bytes) -> None:
    found, sizes = bytearray(), []
    async with hub.follow("task", wish=Wish(binary=True)) as events:
        async for event in events:
            if isinstance(event, Output):
                found += event.data
                sizes.append(event.size_bytes)
            if len(found) == len(text):
                break
    assert found == text
    assert max(sizes) <= PIECE_SIZES[0]
