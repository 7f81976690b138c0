"""A crowd at one place is written one text of frames; who cannot be written to is told, waits or is lost, alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from livetask.position import START, Cursor, Entry, Gap, Position
from livetask.server.batches import Place
from livetask.server.feed import Feed, Follower, Gone
from livetask.server.frames import Told
from livetask.server.pump import Pump
from livetask.server.recent import Ready
from livetask.server.slices import Slice
from livetask.server.subscription import Subscription, Wish

FIRST = Cursor(1, "aaaaaaaaaaaa", START)
GAP = Gap(START, Position(3, 20), "trimmed")
ENTRY = Entry(GAP.end, b"what is still there\n", 1)


@dataclass
class _Way:
    """A connection. ``fails``: a write ends with that."""

    holds: bool = False
    over: bool = False
    fails: Exception | None = None
    written: list[bytes] = field(default_factory=list)

    def write(self, frames: bytes) -> None:
        if self.fails is not None:
            raise self.fails
        self.written.append(frames)


@dataclass
class _Sink:
    way: _Way | None
    drained: bool = True
    told: list[Told] = field(default_factory=list)

    def tell(self, told: Told) -> None:
        self.told.append(told)


def _sinks() -> dict[str, _Sink]:
    return {
        "free": _Sink(_Way()),
        "free too": _Sink(_Way()),
        "polls": _Sink(None),
        "holds a little": _Sink(_Way(holds=True)),
        "holds much": _Sink(_Way(holds=True), drained=False),
        "has gone": _Sink(_Way(fails=Gone())),
        "breaks": _Sink(_Way(fails=RuntimeError("a bug in a connection"))),
    }


async def test_each_of_a_crowd_is_given_the_same_once_whatever_becomes_of_the_others() -> None:
    feed, pump, sinks = Feed("a-task"), Pump(cast("Any", SimpleNamespace(events=None))), _sinks()
    followers = {name: Follower(feed, Subscription(Wish(), FIRST, 256 * 1024), sink) for name, sink in sinks.items()}
    feed.followers.update(dict.fromkeys(followers.values()))
    place = Place("a-task", FIRST, 16 * 1024)
    found = Slice(START, (GAP, ENTRY), ENTRY.end, None, 1, len(ENTRY.data))
    ready = Ready(place, found)
    await pump._give(place, list(followers.values()), ready)

    _, told = ready.form(False)
    names = [type(one.event).__name__ for one in told]
    assert names == ["Missing", "Output"]
    for name in ("free", "free too"):
        way = sinks[name].way
        assert way is not None
        assert way.written == [b"".join(one.packet(False).frames for one in told)]
        assert [type(one.event).__name__ for one in sinks[name].told] == ["CaughtUp"]
    for name in ("polls", "holds a little"):
        assert [type(one.event).__name__ for one in sinks[name].told] == [*names, "CaughtUp"]
    for name in ("free", "polls", "holds a little"):
        assert followers[name].sub.cursor == Cursor(1, FIRST.nonce, ENTRY.end)
        assert followers[name].sub.under_way_bytes == len(ENTRY.data)
    assert followers["holds much"].sub.cursor == FIRST, "it was given nothing"
    assert not sinks["holds much"].told
    assert len(pump.clogged) == 1
    assert {name for name, follower in followers.items() if follower.closed} == {"has gone", "breaks"}
    assert list(feed.followers) == [follower for follower in followers.values() if not follower.closed]


async def test_going_on_by_one_piece_says_what_taking_it_says() -> None:
    for wish in (Wish(), Wish(marks=True)):
        one, other = (Subscription(wish, FIRST, 256 * 1024) for _ in range(2))
        at = START
        for reached in (False, True, True, False, False, True):
            entry = Entry(at, b"a line\n", 1)
            found = Slice(at, (entry,), entry.end, None, 1, 7)
            pieces, _ = Ready(Place("a-task", Cursor(1, FIRST.nonce, at), 4096), found).form(False)
            after = pieces.on_from(one.cursor)
            assert after is not None
            assert one.went_on(after, reached) == other.took(pieces.pieces, reached)
            assert (one.cursor, one.under_way_bytes) == (other.cursor, other.under_way_bytes)
            at = entry.end
