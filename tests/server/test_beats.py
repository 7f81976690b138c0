"""Heartbeats: at full pace while something moves, and seldom where nothing does."""

from __future__ import annotations

from typing import Any

import pytest

from livetask.position import Cursor, Position
from livetask.server.access.caller import OPEN
from livetask.server.access.presented import Presented
from livetask.server.beats import Beats
from livetask.server.feed import Feed, Follower
from livetask.server.frames import Told
from livetask.server.subscription import Subscription, Wish
from livetask.server.viewers import Viewer

NONCE = "abcdefghijkl"


class _Nowhere:
    """Takes nothing."""

    drained = True
    way = None

    def tell(self, told: Told) -> None:
        raise AssertionError(told)


def _viewer(feed: Feed) -> Viewer:
    no_transport: Any = None
    viewer = Viewer("sid", no_transport, 100, Presented(), OPEN)
    sub = Subscription(Wish(), Cursor(1, NONCE, Position(1, 0)), 1000)
    viewer.followers[feed.task_id] = Follower(feed, sub, _Nowhere())
    return viewer


def _told(beats: Beats, viewers: list[Viewer], times: int) -> list[int]:
    """To how many viewers each beat is sent."""
    return [len(list(beats.due(viewers, "ok"))) for _ in range(times)]


def test_whoever_stands_still_is_told_three_times_and_then_every_third_until_something_moves() -> None:
    feed = Feed("task")
    feed.ends[1] = Position(1, 5)
    beats, viewers = Beats(5.0), [_viewer(feed)]
    assert _told(beats, viewers, 9) == [1, 1, 1, 0, 0, 1, 0, 0, 1]
    feed.ends[1] = Position(2, 9)
    assert _told(beats, viewers, 6) == [1, 1, 1, 0, 0, 1]


def test_viewers_at_the_same_ends_are_sent_one_packet_and_others_their_own() -> None:
    one, other = Feed("one"), Feed("other")
    one.ends[1], other.ends[1] = Position(1, 5), Position(3, 7)
    viewers = [_viewer(one), _viewer(other), _viewer(one)]
    packets = [packet for _, packet in Beats(5.0).due(viewers, "ok")]
    assert packets[0] is packets[2]
    assert f'"ends":{{"one":"1.{NONCE}.1-5"}}' in packets[0].text
    assert f'"ends":{{"other":"1.{NONCE}.3-7"}}' in packets[1].text


@pytest.mark.parametrize(("beat_s", "every"), [(0.1, 3), (5.0, 3), (6.0, 2), (10.0, 1), (60.0, 1)])
def test_no_line_is_silent_for_longer_than_15_s_unless_beats_are_slower(beat_s: float, every: int) -> None:
    feed = Feed("task")
    beats, viewers = Beats(beat_s), [_viewer(feed)]
    assert _told(beats, viewers, 3) == [1, 1, 1]
    assert _told(beats, viewers, 6) == [0 if number % every else 1 for number in range(1, 7)]
