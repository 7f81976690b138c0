"""Which lines of an entry are stderr's: what is told in a few bytes is what was meant."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from livetask.turns import MOST_BYTES, turned, unturned

counts = st.lists(st.tuples(st.integers(1, 700), st.integers(1, 700)), max_size=40)


def ranges(counts: list[tuple[int, int]], line: int = 0) -> list[tuple[int, int]]:
    """Ranges apart: so many lines between, so many in each."""
    found = []
    for between, size in counts:
        found.append((line + between, line + between + size - 1))
        line += between + size
    return found


@given(counts, st.integers(1, 10**9))
def test_what_was_told_is_read(counts: list[tuple[int, int]], line: int) -> None:
    assert list(unturned(turned(ranges(counts)), line)) == ranges(counts, line)


def test_the_first_line_can_be_stderrs() -> None:
    assert turned([(0, 0)]) == b"\0\1"
    assert unturned(b"\0\1", 7) == ((7, 7),)


def test_lines_that_change_all_the_time_take_no_more_than_there_is_room() -> None:
    told = turned((line, line) for line in range(1, 100_000, 2))
    assert len(told) == MOST_BYTES
    assert unturned(told, 0) == tuple((line, line) for line in range(1, MOST_BYTES, 2))


@given(st.binary(max_size=2000), st.integers(1, 10**9))
def test_any_bytes_can_be_read(turns: bytes, line: int) -> None:
    found = unturned(turns, line)
    assert all(first <= last for first, last in found)
    assert all(a[1] + 1 < b[0] for a, b in pairwise(found))
