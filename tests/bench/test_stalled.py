"""Viewers who do not read cost the server little memory, whatever the size of the log; and what they cost the others is
measured in pairs."""

from __future__ import annotations

from tests.bench import fairness
from tests.bench.fairness import Pair
from tests.bench.stalled import measure, middle_ms, table

STALLED = 80
LOG_BYTES = 20_000_000
MOST_BYTES = 300_000
"""What the server needs once, to send them all what their kernel takes, is shared by few here."""


def test_a_viewer_that_does_not_read_costs_little_of_the_servers_memory() -> None:
    rounds, _ = measure(STALLED, LOG_BYTES, rounds=1, seconds=1.0, others=2)
    (one,) = rounds
    assert one.connected == STALLED
    assert one.grown_bytes / STALLED < MOST_BYTES, table(rounds, LOG_BYTES)
    assert middle_ms(one.beside, 0.99) > 0
    assert "after : before" in table(rounds, LOG_BYTES)


def test_fairness_is_told_as_the_median_of_pairs_with_its_interval() -> None:
    pairs = [Pair((1.0, 2.0 * share), (1.0, 2.0), (1.0, 2.0)) for share in (0.5, 0.9, 1.0, 1.2, 2.0)]
    p99 = fairness.table(pairs, 200).splitlines()[-1]
    assert p99.startswith("| p99 | 2.00 | 2.00 | 1.00 (0.50 to 2.00) | 1.00 (1.00 to 1.00) |")
    least, most = fairness.interval([1.0, 1.1] * 50)
    assert 1.0 <= least <= most <= 1.1
