"""Acknowledgements are few, silence is noticed, tries become rarer; all without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.client.pace import ACK_S, RETRY_MOST_S, SILENT_S, Acks, Silence, Tries
from livetask.position import START, Cursor, Position
from livetask.server.events import Output
from livetask.server.subscription import Subscription, Wish

FIRST, SECOND = Cursor(1, "abcdefghijkl", START), Cursor(1, "abcdefghijkl", Position(2, 5))


def test_nothing_is_acknowledged_before_it_is_consumed() -> None:
    acks = Acks()
    assert acks.due_in_s(0.0) is None
    assert acks.take(1.0) is None
    acks.consumed(FIRST, 10, 0.0)
    assert acks.due_in_s(0.0) == 0.0  # the server learns at once that this client acknowledges
    assert acks.take(1.0) == FIRST
    acks.consumed(SECOND, 10, 1.0)
    assert acks.due_in_s(1.0) == ACK_S
    assert acks.due_in_s(1.0 + ACK_S) == 0.0


def begun(chance: float = 1.0) -> Acks:
    """After the first acknowledgement."""
    acks = Acks()
    acks.consumed(FIRST, 0, 0.0)
    acks.take(chance)
    return acks


def test_what_is_consumed_bit_by_bit_is_acknowledged_in_time_and_the_last_place_counts() -> None:
    acks = begun()
    acks.consumed(FIRST, 10, 1.0)
    acks.consumed(SECOND, 10, 1.2)
    assert acks.due_in_s(1.2) == pytest.approx(ACK_S - 0.2)
    assert acks.take(1.0) == SECOND
    assert acks.due_in_s(2.0) is None


@pytest.mark.parametrize("window_bytes", [8192, 262_144])
def test_half_of_the_window_is_acknowledged_at_once(window_bytes: int) -> None:
    acks = begun()
    acks.window_bytes = window_bytes
    acks.consumed(FIRST, window_bytes // 2 - 1, 1.0)
    assert acks.due_in_s(1.0) == ACK_S
    acks.consumed(SECOND, 1, 1.0)
    assert acks.due_in_s(1.0) == 0.0
    acks.take(1.0)
    acks.consumed(SECOND, window_bytes // 2 - 1, 1.0)
    assert acks.due_in_s(1.0) == ACK_S


@given(st.floats(0, 1), st.integers(0, 200_000))
def test_those_who_are_given_the_same_acknowledge_it_at_different_times_within_the_bounds(
    chance: float, size: int
) -> None:
    acks = begun(chance)
    acks.window_bytes = 262_144
    acks.consumed(SECOND, size, 1.0)
    due_in_s = acks.due_in_s(1.0)
    assert due_in_s == (0.0 if size >= 131_072 * (0.5 + chance / 2) else pytest.approx(ACK_S * (0.5 + chance / 2)))


@given(st.integers(4096, 2**20), st.floats(0, 1), st.lists(st.integers(1, 128 * 1024), min_size=1))
def test_who_has_taken_all_and_owes_no_acknowledgement_yet_leaves_the_server_room(
    window_bytes: int, chance: float, sizes: list[int]
) -> None:
    acks, sub = begun(chance), Subscription(Wish(), FIRST, window_bytes)
    acks.window_bytes, sub.acks = window_bytes, True
    byte = 0
    for size in sizes:
        start, byte = Position(1, byte), byte + min(size, sub.room(drained=True))
        cursor = Cursor(1, FIRST.nonce, Position(1, byte))
        sub.took((Output(start, cursor, (b"",)),), reached=False)
        acks.consumed(cursor, byte - start.byte, 1.0)
        if acks.due_in_s(1.0) == 0.0 and (taken := acks.take(chance)) is not None:
            sub.ack(taken)
        assert sub.room(drained=True) > 0


def test_a_line_is_silent_after_its_time_and_any_event_ends_that() -> None:
    silence = Silence(0.0)
    assert silence.left_s(SILENT_S - 1) == 1.0
    silence.heard("output", 10.0)
    assert silence.left_s(10.0) == SILENT_S


def test_slow_heartbeats_make_the_patience_longer() -> None:
    silence = Silence(0.0)
    silence.heard("heartbeat", 0.0)
    silence.heard("heartbeat", 60.0)
    assert silence.left_s(60.0) == 180.0


@given(st.floats(0, 1))
def test_tries_become_rarer_up_to_a_bound_and_never_end(chance: float) -> None:
    tries = Tries(None)
    waits = [tries.wait_s(float(n), chance) for n in range(50)]
    assert all(wait is not None and 0 < wait <= RETRY_MOST_S for wait in waits)
    assert waits == sorted(waits, key=lambda wait: wait or 0.0)


def test_tries_end_when_told_and_begin_anew_once_the_server_serves() -> None:
    tries = Tries(10.0)
    assert tries.wait_s(0.0, 0.5)
    assert tries.wait_s(9.9, 0.5) == pytest.approx(0.1)
    assert tries.wait_s(10.0, 0.5) is None
    tries.worked()
    assert tries.wait_s(11.0, 0.5)


def test_what_the_server_asks_for_is_kept_to() -> None:
    assert (Tries(None).wait_s(0.0, 0.0, at_least_s=3.0) or 0) >= 3.0
