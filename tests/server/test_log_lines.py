"""Lines by their numbers: whatever way output was cut into entries, the same lines come back."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.position import START, Cursor, Position
from livetask.server.log_lines import ANSWER_BYTES, LINE_CUT_BYTES, Fetch, Lines, last_lines, lines_from
from livetask.server.log_text import EscapesRemoved
from livetask.server.slices import Head, RawEntry

CURSOR = Cursor(1, "abcdefghijkl", START)


def stored(data: bytes, cuts: list[int]) -> tuple[list[RawEntry], Position]:
    """Entries with these cuts, and the end."""
    entries: list[RawEntry] = []
    at = START
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for low, high in pairwise(edges):
        entries.append((str(at).encode(), {b"d": data[low:high]}))
        at = at.after(data[low:high])
    return entries, at


def fetch_of(entries: list[RawEntry], end: Position, how: str | None = None) -> Fetch:
    """As the store fetches. ``entries``: those that are kept."""
    first = Position.parse(entries[0][0]) if entries else START
    head = Head(end, first, "trimmed" if first != START else "", how)
    places = [tuple(map(int, entry_id.split(b"-"))) for entry_id, _ in entries]

    async def fetch(task_id: str, cursor: Cursor, *, back: bool, start: str, count: int) -> tuple[Head, list[RawEntry]]:
        place = (0, 0) if start == "-" else (10**18, 0) if start == "+" else tuple(map(int, start.split("-")))
        if back:
            return head, entries[: bisect_right(places, place)][::-1][:count]
        return head, entries[bisect_left(places, place) :][:count]

    return fetch


def lines_of(data: bytes, first: Position) -> list[bytes]:
    """The lines from line ``first.line`` on, that one from ``first`` on."""
    lines = data[first.byte :].split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def asked(fetch: Fetch, line: int | None, count: int) -> Lines:
    wanted = last_lines(fetch, "t", CURSOR, count) if line is None else lines_from(fetch, "t", CURSOR, line, count)
    return asyncio.run(wanted)


texts = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\n\n", b"d\n"]), max_size=40).map(b"".join)


@given(texts, st.lists(st.integers(0, 200), max_size=20), st.integers(0, 5), st.integers(1, 60), st.integers(1, 12))
def test_any_cut_gives_the_same_lines(data: bytes, cuts: list[int], gone: int, line: int, count: int) -> None:
    entries, end = stored(data, cuts)
    kept = entries[min(gone, max(0, len(entries) - 1)) :]
    first = Position.parse(kept[0][0]) if kept else START
    found = asked(fetch_of(kept, end), line, count)
    start = max(line, first.line)
    assert found.first_line == start
    assert list(found.lines) == lines_of(data, first)[start - first.line :][:count]
    assert (found.first_kept, found.end) == (first, end)


@given(texts, st.lists(st.integers(0, 200), max_size=20), st.integers(0, 5), st.integers(1, 12))
def test_the_tail_ends_with_the_last_line_finished_or_not(data: bytes, cuts: list[int], gone: int, count: int) -> None:
    entries, end = stored(data, cuts)
    kept = entries[min(gone, max(0, len(entries) - 1)) :]
    first = Position.parse(kept[0][0]) if kept else START
    whole = lines_of(data, first)
    found = asked(fetch_of(kept, end), None, count)
    assert list(found.lines) == whole[-count:]
    assert found.first_line == first.line + len(whole) - len(found.lines)


def test_lines_within_a_gap_are_empty_so_that_numbers_stay_right() -> None:
    entries, at = stored(b"one\ntwo\nthr", [])
    gap = Position(6, 40)
    entries.append((str(at).encode(), {b"g": b"dropped", b"e": str(gap).encode()}))
    entries.append((str(gap).encode(), {b"d": b"six\nseven\n"}))
    found = asked(fetch_of(entries, gap.after(b"six\nseven\n")), 2, 10)
    assert found.lines == (b"two", b"thr", b"", b"", b"six", b"seven")
    assert [(str(one.start), str(one.end), one.reason) for one in found.gaps] == [(str(at), "6-40", "dropped")]


def test_an_entry_that_is_missing_is_a_gap() -> None:
    entries, end = stored(b"1\n2\n3\n4\n", [2, 4, 6])
    del entries[2]
    found = asked(fetch_of(entries, end), 1, 10)
    assert found.lines == (b"1", b"2", b"", b"4")
    assert [one.reason for one in found.gaps] == ["lost"]


def test_a_long_line_is_cut_and_its_size_told() -> None:
    data = b"x" * 300_000 + b"\nnext\n"
    entries, end = stored(data, list(range(0, len(data), 16384)))
    found = asked(fetch_of(entries, end), 1, 5)
    assert [len(line) for line in found.lines] == [LINE_CUT_BYTES, 4]
    assert found.cut == {1: 300_000}
    assert asked(fetch_of(entries, end), None, 1).lines == (b"next",)


def test_an_answer_is_bounded_and_goes_on_where_it_ended() -> None:
    data = (b"y" * 60_000 + b"\n") * 100
    entries, end = stored(data, list(range(0, len(data), 16384)))
    fetch = fetch_of(entries, end)
    found = asked(fetch, 1, 100)
    assert 10 < len(found.lines) < 100
    assert sum(map(len, found.lines)) <= ANSWER_BYTES
    assert not found.complete
    assert asked(fetch, found.first_line + len(found.lines), 1).lines == (b"y" * 60_000,)
    tail = asked(fetch, None, 100)
    assert tail.first_line + len(tail.lines) == 101


@pytest.mark.parametrize(
    ("data", "how", "count", "complete"),
    [
        (b"a\nb\nc\n", None, 3, True),
        (b"a\nb\nc\n", None, 4, False),
        (b"a\nb\nc", None, 3, False),
        (b"a\nb\nc", "SUCCESS", 3, True),
        (b"a\nb\nc", "LOST", 3, False),
    ],
)
def test_complete_means_that_nothing_of_it_will_change(
    data: bytes, how: str | None, count: int, complete: bool
) -> None:
    entries, end = stored(data, [3])
    assert asked(fetch_of(entries, end, how), 1, count).complete is complete


def test_the_colours_in_force_where_the_lines_begin_are_told() -> None:
    data = b"\x1b[1;31mred\nstill \x1b[4mline\n\x1b[0mplain\n\x1b[32mgreen\nmore\n"
    entries, end = stored(data, [])
    fetch = fetch_of(entries, end)
    assert [asked(fetch, line, 1).sgr for line in range(1, 6)] == ["", "1;31", "1;31;4", "", "32"]
    entries[0][1][b"s"] = b"7"  # type: ignore[index]  # a dict, made here
    assert asked(fetch, 2, 1).sgr == "7;1;31"
    assert asked(fetch, None, 2).sgr == ""


PLAIN = b"one two\nthree"
CODED = b"\x1b[1;31mone\x1b[0m t\x1b]0;title\x07wo\n\x1b]8;;http://x\x1b\\th\x1b(Bree\x1b[2K"


@given(st.lists(st.integers(0, len(CODED)), max_size=8))
def test_escape_codes_go_wherever_the_pieces_are_cut(cuts: list[int]) -> None:
    plain = EscapesRemoved()
    edges = sorted({0, len(CODED), *cuts})
    found = b"".join(plain.fed(CODED[low:high]) for low, high in pairwise(edges))
    assert found + plain.rest() == PLAIN


def test_what_never_becomes_an_escape_code_is_given_in_the_end_and_not_held_without_bound() -> None:
    plain = EscapesRemoved()
    assert plain.fed(b"a\x1b[3") == b"a"
    assert plain.rest() == b"\x1b[3"
    given = plain.fed(b"\x1b]" + b"z" * 20_000)
    assert len(given) + len(plain.rest()) == 20_002
    assert len(given) > 15_000
