"""Positions are arithmetic: whatever the split, the pieces of a text follow one another exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.errors import CursorInvalid, EventCursorInvalid
from livetask.position import START, Cursor, Entry, EventCursor, Gap, Position

positions = st.builds(Position, st.integers(1, 10**15), st.integers(0, 10**15))
nonces = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=8, max_size=32)


@given(positions)
def test_a_position_reads_back_from_its_text(position: Position) -> None:
    assert Position.parse(str(position)) == position
    assert Position.parse(str(position).encode()) == position


@given(st.integers(1, 10**8), nonces, positions)
def test_a_cursor_reads_back_from_its_text(run: int, nonce: str, position: Position) -> None:
    cursor = Cursor(run, nonce, position)
    assert Cursor.parse(str(cursor)) == cursor
    assert Cursor.parse(cursor.offset) == cursor


@given(nonces, positions, positions)
def test_offsets_of_one_run_are_ordered_as_texts_as_their_positions_are(
    nonce: str, one: Position, two: Position
) -> None:
    texts = [Cursor(1, nonce, position).offset for position in (one, two)]
    assert (texts[0] < texts[1]) == (one < two)


@pytest.mark.parametrize(
    "text", ["", "1", "0-0", "1--1", "01-1", "1-01", "1-1 ", "1-1\n", "١-1", "a-b", "99999999999999999-1", "1-1-1"]
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid, match="is not a cursor"):
        Position.parse(text)


@pytest.mark.parametrize(
    "text",
    [None, 1, "", "1.k3v9x0q2.1", "0.k3v9x0q2.1-0", "1.K3V9X0Q2.1-0", "1.k3.1-0", "1.k3v9x0q2.1-0 ", b"1.k3v9x0q2.1-0"],
)
def test_what_is_no_cursor_is_refused(text: object) -> None:
    with pytest.raises(CursorInvalid):
        Cursor.parse(text)


@given(
    st.binary(max_size=200).map(lambda data: data.replace(b"\x01", b"\n")), st.lists(st.integers(0, 200), max_size=5)
)
def test_any_split_of_a_text_ends_at_the_same_position(text: bytes, cuts: list[int]) -> None:
    at, low = START, 0
    for cut in [*sorted(min(cut, len(text)) for cut in cuts), len(text)]:
        at, low = at.after(text[low:cut]), cut
    assert at == START.after(text)
    assert at.byte == len(text)
    assert at.line == 1 + text.count(b"\n")


@given(st.binary(min_size=1, max_size=60), st.data())
def test_the_rest_of_an_entry_ends_where_the_entry_ends(data: bytes, draw: st.DataObject) -> None:
    entry = Entry(Position(7, 100), data, at_ms=5)
    cut = draw.draw(st.integers(0, len(data)))
    rest = entry.since(entry.start.after(data[:cut]))
    assert rest.data == data[cut:]
    assert rest.end == entry.end


def test_an_entry_does_not_give_what_lies_outside_it() -> None:
    with pytest.raises(ValueError, match="not within the entry"):
        Entry(Position(1, 10), b"abc").since(Position(1, 14))


def test_a_gap_tells_how_much_is_missing() -> None:
    gap = Gap(Position(10, 1000), Position(25, 2200), "trimmed")
    assert (gap.size_bytes, gap.lines) == (1200, 15)


@pytest.mark.parametrize("text", ["1.abcdefghijkl.0", "3.k3v9x0q2m4t8.120"])
def test_a_cursor_of_an_event_is_read_back(text: str) -> None:
    assert str(EventCursor.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", None, 5, "0.abcdefghijkl.1", "1.abc.1", "1.abcdefghijkl.1-0", "1.abcdefghijkl.01"]
)
def test_what_is_no_cursor_of_an_event_is_refused(text: object) -> None:
    with pytest.raises(EventCursorInvalid):
        EventCursor.parse(text)
