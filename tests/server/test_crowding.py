"""Of a crowd a part is given output at a time, where all of it would be too dear; and nobody is left behind."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from livetask.position import START, Cursor, Position
from livetask.server.batches import Place
from livetask.server.crowding import LATE_S, LEAST_S, MOST, by_turns, how_many
from livetask.server.feed import CROWD, Feed, Follower
from livetask.server.frames import Told
from livetask.server.gathering import gathered
from livetask.server.subscription import Subscription, Wish
from livetask.server.tasks import Run, Task, task_parsed

NONCE = "aaaaaaaaaaaa"
EACH_S = 16e-6
CHUNK_BYTES, CHUNK_S = 2000, 0.02


class _Sink:
    drained = True
    way = None

    def tell(self, told: Told) -> None:
        raise AssertionError("nobody is told anything here")


def _task(how: str | None = None) -> Task:
    """Of one run, which ended so."""
    known = task_parsed("a-task", {b"format": b"1", b"state": b"RUNNING"})
    assert known is not None
    return replace(known, runs=(Run(1, NONCE, "first", "h", 1, "w", 1, None, how, None, START, "", START, None),))


def _crowd(viewers: int) -> tuple[Feed, list[Follower]]:
    """A task that runs, and those who follow it, at its beginning."""
    feed = Feed("a-task")
    feed.saw(_task())
    first = Cursor(1, NONCE, START)
    followers = [Follower(feed, Subscription(Wish(), first, 256 * 1024), _Sink()) for _ in range(viewers)]
    feed.followers.update(dict.fromkeys(followers))
    feed.gave(max(viewers, CROWD), max(viewers, CROWD) * EACH_S)
    return feed, followers


def _at(chunk: int) -> Cursor:
    return Cursor(1, NONCE, Position(1 + 20 * chunk, CHUNK_BYTES * chunk))


def _turn(feed: Feed, chunk: int, now_s: float) -> tuple[list[Follower], list[Follower]]:
    """Who is given all up to that chunk, in their order, and who waits."""
    places = gathered(feed.followers, now_s).places
    waiting = by_turns(places, now_s).get(feed, [])
    now = [follower for some in places.values() for follower in some]
    for follower in now:
        follower.sub.ack(_at(chunk))
        follower.sub.went_on(_at(chunk), True)
    return now, waiting


@given(viewers=st.integers(1, 20_000), each_s=st.floats(1e-7, 0.5), since_s=st.floats(0, 10) | st.just(float("inf")))
def test_a_turn_takes_its_share_of_the_time_and_one_that_is_late_gives_somebody_something(
    viewers: int, each_s: float, since_s: float
) -> None:
    many = how_many(viewers, each_s, since_s)
    assert 0 <= many <= viewers
    if many < viewers:
        assert viewers * each_s > LEAST_S, "so few are given it all at once"
        assert (many - 1) * each_s <= MOST * since_s
    if since_s >= LATE_S:
        assert many


def test_a_thousand_are_given_a_steady_output_by_halves_and_a_line_now_and_then_at_once() -> None:
    feed, followers = _crowd(1000)
    given_at = dict.fromkeys(followers, 0)
    assert _turn(feed, 1, 100.0 + CHUNK_S) == (followers, []), "the first output after a pause"
    for chunk in range(2, 12):
        now, waiting = _turn(feed, chunk, 100.0 + chunk * CHUNK_S)
        assert len(now) == len(waiting) == 500
        for follower in now:
            assert chunk - given_at[follower] <= 2 or chunk <= 3
            given_at[follower] = chunk
    now, waiting = _turn(feed, 12, 200.0)
    assert len(now) == 1000
    assert not waiting


def test_three_hundred_never_wait_and_of_three_thousand_all_have_their_turn() -> None:
    feed, followers = _crowd(300)
    assert all(_turn(feed, chunk, chunk * CHUNK_S) == (followers, []) for chunk in range(1, 10))
    feed, followers = _crowd(3000)
    _turn(feed, 1, CHUNK_S)
    told: set[Follower] = set()
    for chunk in range(2, 7):
        now, _ = _turn(feed, chunk, chunk * CHUNK_S)
        assert len(now) * EACH_S <= MOST * CHUNK_S
        told.update(now)
    assert len(told) == 3000


def test_a_turn_that_was_dear_for_once_is_forgotten() -> None:
    feed, followers = _crowd(150)
    feed.gave(150, 0.3)
    assert _turn(feed, 1, CHUNK_S) == (followers, []), "the first output after a pause"
    now, waiting = _turn(feed, 2, 2 * CHUNK_S)
    assert len(now) == 50
    assert waiting
    for chunk in range(3, 40):
        now, _ = _turn(feed, chunk, chunk * CHUNK_S)
        feed.gave(len(now), len(now) * EACH_S)
    assert sorted(map(id, now)) == sorted(map(id, followers))


@given(ats=st.lists(st.integers(0, 3), min_size=1, max_size=12), since_s=st.floats(0, 1))
def test_nobody_is_forgotten_and_who_is_furthest_behind_is_not_passed_over(ats: list[int], since_s: float) -> None:
    feed, followers = _crowd(len(ats))
    feed.each_s, feed.turn_s = 0.004, 0.0
    for follower, at in zip(followers, ats, strict=True):
        follower.sub.cursor = _at(at)
    places = gathered(followers, since_s).places
    waiting = by_turns(places, since_s).get(feed, [])
    now = [follower for some in places.values() for follower in some]
    assert sorted(map(id, now + waiting)) == sorted(map(id, followers))
    assert all(places.values()), "a place where nobody stands is not read"
    if not waiting:
        return
    bytes_ = [follower.sub.cursor.position.byte for follower in now + waiting if follower.sub.cursor]
    assert bytes_ == sorted(bytes_)


def test_who_reads_what_was_and_who_waits_for_an_end_do_not_wait_for_a_turn() -> None:
    feed, followers = _crowd(1000)
    place = Place("a-task", _at(0), 16 * 1024)
    feed.turn_s = 1.0

    def waits() -> bool:
        return bool(by_turns({place: followers}, 1.001))

    assert waits()
    feed.ends = {1: Position(9000, 17 * 1024)}
    assert not waits(), "there is more than one piece"
    feed.saw(_task("SUCCESS"))
    assert not waits(), "nothing else will come"
    feed.saw(None)
    assert not waits()
