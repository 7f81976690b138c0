"""The comparison of a task's duration runs end to end, as small as it can be, and counts right."""

from __future__ import annotations

import random

import pytest

from tests.bench.task_cost import Cost, Way, measure, median_range, row


@pytest.mark.timeout(180)
def test_recorded_and_unrecorded_runs_are_compared_in_one_worker() -> None:
    cost = measure(Way("livetask whole"), pairs=3, lines=3, steps=100)
    assert len(cost.walls) == len(cost.cpus) == 3
    assert len(cost.empty_ms) == 2


def test_a_row_adds_what_a_second_takes_and_what_a_run_takes() -> None:
    assert row(Way("whole"), Cost([0.01, 0.02, 0.03], [0.001, 0.002, 0.003], [0.9, 1.0, 1.1])) == (
        "| whole | +2.00% (+1.00% to +3.00%) | +0.20% (+0.10% to +0.30%) | 1.00 ms | +0.30% |"
    )


def test_the_range_of_a_median_holds_it_as_often_as_it_says() -> None:
    chance = random.Random(3)
    held = 0
    for _ in range(500):
        low, high = median_range([chance.gauss(1.0, 5.0) for _ in range(40)])
        held += low <= 1.0 <= high
    assert held >= 470
    assert median_range([2.0]) == (2.0, 2.0)
