"""Who has just been given much is looked at soon, and who has stalled seldom, but never never."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livetask.server.clogged import AT_ONCE, LOOKS, SELDOM_S, Clogged
from livetask.server.feed import Feed, Follower
from livetask.server.frames import Told
from livetask.server.subscription import Subscription, Wish


class _Sink:
    """``looked``: how often it was asked."""

    way = None

    def __init__(self) -> None:
        self.holds_little = False
        self.looked = 0

    @property
    def drained(self) -> bool:
        self.looked += 1
        return self.holds_little

    def tell(self, told: Told) -> None:
        raise AssertionError("nobody tells it anything")


def _follower() -> tuple[Follower, _Sink]:
    sink = _Sink()
    return Follower(Feed("task"), Subscription(Wish(), None, 1000), sink), sink


def _a_thousand_for_long() -> tuple[Clogged, list[tuple[Follower, _Sink]], float]:
    """They have been looked at soon in vain, as often as that is done; and the time then."""
    clogged, now_s = Clogged(), 10.0
    followers = [_follower() for _ in range(1000)]
    clogged.add([follower for follower, _ in followers], now_s)
    for _ in range(LOOKS):
        now_s += 1
        clogged.freed(now_s)
    return clogged, followers, now_s


def test_one_that_drains_at_once_is_free_within_milliseconds() -> None:
    clogged = Clogged()
    follower, sink = _follower()
    clogged.add([follower], 100.0)
    sink.holds_little = True
    assert clogged.due_s <= 100.002
    assert clogged.freed(clogged.due_s) == {follower}
    assert not clogged


@given(st.lists(st.floats(0.0001, 0.02), min_size=100, max_size=200))
def test_a_stalled_one_is_looked_at_seldom_however_many_come_and_go_and_is_freed_in_the_end(
    pauses: list[float],
) -> None:
    clogged, now_s = Clogged(), 10.0
    stalled, sink = _follower()
    clogged.add([stalled], now_s)
    for pause in pauses:
        other, quick = _follower()
        clogged.add([other], now_s)
        quick.holds_little = True
        now_s += pause
        assert stalled not in clogged.freed(now_s)
    assert sink.looked <= LOOKS + 1 + (now_s - 10.0) / SELDOM_S
    sink.holds_little = True
    assert clogged.due_s <= now_s + SELDOM_S
    assert stalled in clogged.freed(now_s + SELDOM_S)
    assert not clogged


def test_of_a_thousand_stalled_ones_few_are_looked_at_together_and_each_in_its_turn() -> None:
    clogged, stalled, now_s = _a_thousand_for_long()
    looked = {follower: sink.looked for follower, sink in stalled}
    for _ in range(-(-len(stalled) // AT_ONCE)):
        now_s += SELDOM_S + 0.001
        before = sum(sink.looked for _, sink in stalled)
        assert clogged.freed(now_s) == set()
        assert sum(sink.looked for _, sink in stalled) - before <= AT_ONCE
    assert all(sink.looked > looked[follower] for follower, sink in stalled)
    stalled[500][1].holds_little = True
    for _ in range(-(-len(stalled) // AT_ONCE)):
        now_s += SELDOM_S + 0.001
        if clogged.freed(now_s):
            break
    assert len(clogged) == 999


def test_of_a_thousand_who_were_only_busy_none_waits_for_the_turns_of_the_others() -> None:
    clogged, busy, now_s = _a_thousand_for_long()
    for _, sink in busy:
        sink.holds_little = True
    assert clogged.freed(now_s + SELDOM_S) == {follower for follower, _ in busy}
    assert not clogged
