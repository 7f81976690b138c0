"""Whoever can be given output is gathered, once; whoever cannot is told apart by why."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from livetask.position import START, Cursor
from livetask.server.feed import Feed, Follower
from livetask.server.frames import Told
from livetask.server.gathering import gathered
from livetask.server.subscription import Subscription, Wish

NOW_S, WINDOW = 1000.0, 256 * 1024
PLACES = [Cursor(1, "aaaaaaaaaaaa", START.after(b"x" * size)) for size in (0, 200 * 1024, 256 * 1024, 900 * 1024)]


@dataclass
class _Sink:
    drained: bool
    way: None = None

    def tell(self, told: Told) -> None:
        raise AssertionError("gathering tells nobody")


def _follower(feed: Feed, place: int, acked: int, drained: bool, quick: bool, due: bool) -> Follower:
    """Begun at the start and given all up to a place, acknowledged up to another one."""
    sub = Subscription(Wish(), PLACES[0], WINDOW, wide_window_bytes=4 * WINDOW)
    sub.cursor = PLACES[place]  # several have the same one, as after a piece that went to all of them
    sub.ack(PLACES[min(acked, place)])
    follower = Follower(feed, sub, _Sink(drained))
    follower.given_s = NOW_S - (0.01 if quick else 10)
    follower.due_s = NOW_S + (-1 if due else 1)
    return follower


VIEWERS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.booleans(), st.booleans()), max_size=6
)


@example(viewers=[(1, 0, True, True, True), (1, 1, True, True, True)], wide=True)  # at one place, with unequal room
@given(viewers=VIEWERS, wide=st.booleans())
def test_nobody_is_passed_over_and_nobody_is_given_twice(
    viewers: list[tuple[int, int, bool, bool, bool]], wide: bool
) -> None:
    feed = Feed("a-task")
    followers = [_follower(feed, *viewer) for viewer in viewers]
    found = gathered(followers, NOW_S, wide)
    placed = [follower for some in found.places.values() for follower in some]
    blocked = [follower for follower in followers if follower.blocked]
    seen = [*placed, *found.early, *found.clogged, *blocked]
    assert sorted(map(id, seen)) == sorted(map(id, followers))
    for place, some in found.places.items():
        assert all(follower.sub.cursor == place.cursor for follower in some)
    for follower in placed:
        assert follower.sink.drained
        assert follower.due_s <= NOW_S
    for follower in blocked:
        assert not follower.sub.room(True)


def test_a_screen_is_told_as_often_as_it_asks_unless_many_follow_the_task() -> None:
    feed = Feed("a-task")
    follower = Follower(feed, Subscription(Wish(mode="screen", rate=120), PLACES[0], WINDOW), _Sink(True))
    follower.wait_for_tick(NOW_S + 0.001)
    assert round((follower.due_s - NOW_S) * 120, 6) == 1
    feed.followers.update({_follower(feed, 0, 0, True, True, True): None for _ in range(60)})
    follower.wait_for_tick(NOW_S + 0.001)
    assert round((follower.due_s - NOW_S) * 30, 6) == 1
