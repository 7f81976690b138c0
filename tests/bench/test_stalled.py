"""Viewers who do not read cost the server little memory, whatever the size of the log."""

from __future__ import annotations

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
