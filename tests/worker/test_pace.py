"""Rounds are rare while many runs begin and nobody prints, and quick otherwise."""

from __future__ import annotations

import pytest

from livetask.worker.pace import Pace

ROUND_S = 0.02


def _rounds_s(pace: Pace, runs_per_s: float, seconds: float, *, prints: bool = False) -> list[float]:
    """The rounds while so many runs a second begin, each told of in the round after it."""
    found, now_s = [], 0.0
    while now_s < seconds:
        found.append(pace.round_s(prints=prints))
        now_s += found[-1]
        pace.began(round(runs_per_s * found[-1]), now_s)
    return found


def test_in_a_crowd_of_runs_that_print_nothing_a_round_takes_five_times_as_long() -> None:
    rounds = _rounds_s(Pace(ROUND_S), 500, 2.0)
    assert rounds[0] == ROUND_S
    assert rounds[-1] == pytest.approx(5 * ROUND_S)
    assert len(rounds) < 30


@pytest.mark.parametrize("runs_per_s", [0, 50, 100])
def test_what_begins_one_after_the_other_is_told_at_once(runs_per_s: float) -> None:
    assert set(_rounds_s(Pace(ROUND_S), runs_per_s, 2.0)) == {ROUND_S}


def test_who_prints_is_not_kept_waiting_by_a_crowd() -> None:
    assert set(_rounds_s(Pace(ROUND_S), 500, 2.0, prints=True)) == {ROUND_S}


def test_a_crowd_that_is_over_is_forgotten_within_a_moment() -> None:
    pace = Pace(ROUND_S)
    pace.began(10_000, 1.0)
    assert pace.round_s(prints=False) > ROUND_S
    pace.began(0, 1.25)
    assert pace.round_s(prints=False) == ROUND_S
