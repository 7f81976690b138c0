"""A burst is read at once, little without waiting, and what was read already not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from livetask.position import START, Cursor, Position
from livetask.server.bursts import MUCH_BYTES, Bursts
from livetask.server.feed import Feed, Follower
from livetask.server.frames import Told
from livetask.server.subscription import Subscription, Wish

NONCE = "nonce0000001"

Eventually = Callable[..., Awaitable[Any]]


class _Sink:
    drained = True
    way = None

    def tell(self, told: Told) -> None:
        raise AssertionError("nobody tells it anything")


class _Kicked:
    """Takes what Bursts says."""

    def __init__(self) -> None:
        self.times: list[set[Follower]] = []
        self.bursts = Bursts(self._kick)

    def _kick(self, followers: Iterable[Follower]) -> None:
        self.times.append(set(followers))


def _followed(*bytes_: int, run: int = 1) -> tuple[Feed, list[Follower]]:
    """A task whose first run ends at the furthest of its viewers, who stand at these bytes."""
    feed = Feed("task")
    feed.ends = {run: Position(1, max(bytes_))}
    cursors = [Cursor(run, NONCE, Position(1, byte)) for byte in bytes_]
    followers = [Follower(feed, Subscription(Wish(), cursor, 1000), _Sink()) for cursor in cursors]
    feed.followers.update(dict.fromkeys(followers))
    return feed, followers


async def test_the_chunks_of_a_burst_are_told_of_once(eventually: Eventually) -> None:
    kicked = _Kicked()
    feed, followers = _followed(0, 0)
    for chunk in range(1, 10):
        kicked.bursts.rang(feed, 1, chunk * 2 * MUCH_BYTES)
    assert not kicked.times
    await eventually(lambda: kicked.times)
    assert kicked.times == [set(followers)]


async def test_a_little_output_waits_for_nothing() -> None:
    kicked = _Kicked()
    feed, followers = _followed(0, 0)
    kicked.bursts.rang(feed, 1, 100)
    assert kicked.times == [set(followers)]


async def test_who_has_it_already_is_not_told_and_who_lags_is() -> None:
    kicked = _Kicked()
    feed, (_, lagging) = _followed(5000, 1000)
    kicked.bursts.rang(feed, 1, 5000)
    assert kicked.times == [{lagging}]


async def test_what_was_read_while_a_burst_was_waited_for_is_not_read_again(eventually: Eventually) -> None:
    kicked = _Kicked()
    feed, followers = _followed(0)
    kicked.bursts.rang(feed, 1, 2 * MUCH_BYTES)
    followers[0].sub.cursor = Cursor(1, NONCE, Position(2, 2 * MUCH_BYTES))
    feed.ends = {1: Position(2, 2 * MUCH_BYTES)}
    await eventually(lambda: kicked.times)
    assert kicked.times == [set()]


async def test_viewers_of_another_run_and_those_without_one_are_left_alone() -> None:
    kicked = _Kicked()
    feed, (first,) = _followed(0)
    feed.ends = {1: START, 2: START}
    second, waiting = (
        Follower(feed, Subscription(Wish(), cursor, 1000), _Sink()) for cursor in (Cursor(2, NONCE, START), None)
    )
    feed.followers.update(dict.fromkeys((second, waiting)))
    kicked.bursts.rang(feed, 1, 100)
    kicked.bursts.rang(feed, 2, 100)
    assert kicked.times == [{first}, {second}]


async def test_a_bell_that_does_not_say_how_far_is_for_everyone() -> None:
    kicked = _Kicked()
    feed, followers = _followed(5000, 1000)
    kicked.bursts.rang(feed, 1, None)
    assert kicked.times == [set(followers)]
