"""The comparison of a task's duration runs end to end, as small as it can be, and counts right."""

from __future__ import annotations

import pytest

from tests.bench.task_cost import TITLES, WAYS, measure, table


@pytest.mark.timeout(180)
def test_each_way_runs_the_same_task_once_a_round() -> None:
    found = measure(rounds=2, lines=3, steps=100)
    assert list(found) == list(WAYS)
    assert all(len(costs) == 2 and wall > 0 for costs in found.values() for wall, _ in costs)
    assert all(title in table(found) for title in TITLES.values())


def test_what_is_more_is_compared_round_by_round() -> None:
    rows = table({"livetask": [(2.02, 1.0), (1.01, 1.0)], "celery": [(2.0, 1.0), (1.0, 2.0)]}).splitlines()
    assert (
        rows[-1] == "| Celery as it comes | 1.5000 | 1.5000 | +1.00% (+1.00% to +1.00%) | -25.00% (-50.00% to +0.00%) |"
    )
