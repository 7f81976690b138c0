"""The checker is itself checked: it passes what is right in every cutting, and catches each thing that can be wrong."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livetask.position import START, Cursor, Position
from tests.oracle.checker import judge
from tests.oracle.journal import Journal, line
from tests.oracle.record import Again, Back, End, Given, Hole, Item, Lines, Record

TOKEN, OTHER, NONCE = "0a1b2c3d", "ffee0011", "abcdefghijkl"
COUNT = 60


def text(token: str = TOKEN, lines: int = COUNT) -> bytes:
    return "".join(line(token, number) for number in range(1, lines + 1)).encode()


def journals(lines: int = COUNT, *, complete: bool = True) -> dict[str, Journal]:
    return {TOKEN: Journal(TOKEN, lines, complete)}


def cut(data: bytes, places: list[int], run: int = 1, nonce: str = NONCE) -> list[Item]:
    """The text in pieces that end at these places."""
    items: list[Item] = []
    at = START
    for begin, end in zip([0, *places], [*places, len(data)], strict=True):
        stop = at.after(data[begin:end])
        items.append(Given(at, Cursor(run, nonce, stop), data[begin:end]))
        at = stop
    return items


def end_of(data: bytes, how: str = "SUCCESS", run: int = 1, nonce: str = NONCE) -> End:
    return End(Cursor(run, nonce, START.after(data)), how, f"{zlib.crc32(data):08x}")


def faults(items: list[Item], lines: int = COUNT, *, complete: bool = True) -> list[str]:
    return judge(Record("a viewer", items=items), journals(lines, complete=complete))


@settings(max_examples=60)
@given(st.lists(st.integers(1, len(text()) - 1), unique=True, max_size=20), st.data())
def test_every_cutting_of_the_text_is_right(places: list[int], data: st.DataObject) -> None:
    items = cut(text(), sorted(places))
    for place in data.draw(st.lists(st.integers(0, len(items)), max_size=5)):
        items.insert(place, Again())
    assert faults([*items, end_of(text())]) == []


PIECES = cut(text(), [500, 1000, 1500, 2000])
END = end_of(text())


def _given(number: int) -> Given:
    found = PIECES[number]
    assert isinstance(found, Given)
    return found


def _replaced(number: int, data: bytes) -> list[Item]:
    changed = replace(_given(number), data=data)
    return [*PIECES[:number], changed, *PIECES[number + 1 :], END]


def _flipped() -> list[Item]:
    data = bytearray(_given(2).data)
    data[100] ^= 1
    return _replaced(2, bytes(data))


WRONG: dict[str, tuple[Callable[[], list[Item]], str]] = {
    "a piece is lost": (lambda: [*PIECES[:2], *PIECES[3:], END], "never given"),
    "the first piece is lost": (lambda: [*PIECES[1:], END], "never given"),
    "a piece comes twice": (lambda: [*PIECES[:3], *PIECES[2:], END], "given twice"),
    "two pieces change places": (lambda: [*PIECES[:2], PIECES[3], PIECES[2], PIECES[4], END], "never given"),
    "the bytes of two places are swapped": (
        lambda: [PIECES[0], replace(_given(1), data=_given(2).data), replace(_given(2), data=_given(1).data),
                 *PIECES[3:], END],
        "not what was printed",
    ),
    "a bit is flipped": (_flipped, "not what was printed"),
    "a piece is shorter than it says": (lambda: _replaced(2, _given(2).data[:-5]), "are not those"),
    "the end comes too early": (lambda: [*PIECES[:4], end_of(text()[:2000])], "are lost"),
    "the end stands elsewhere": (lambda: [*PIECES, end_of(text()[:2000])], "told to have ended"),
    "the end comes twice": (lambda: [*PIECES, END, END], "ended twice"),
    "another end comes after a new connection": (
        lambda: [*PIECES, END, Again(), replace(END, how="KILLED")],
        "ended twice",
    ),
    "output comes after the end": (lambda: [*PIECES, END, *cut(b"more\n", [])], "after its end"),
    "there is no end": (lambda: [*PIECES], "no end"),
    "the end is 'lost' only": (lambda: [*PIECES, replace(END, how="LOST")], "no end"),
    "the CRC is that of something else": (lambda: [*PIECES, replace(END, crc="00000000")], "CRC-32"),
    "the CRC is missing": (lambda: [*PIECES, replace(END, crc="")], "CRC-32"),
    "more is given than was printed": (
        lambda: [*cut(text(lines=COUNT + 5), []), end_of(text(lines=COUNT + 5))],
        "more than was printed",
    ),
    "the output is that of another task": (lambda: [*cut(text(OTHER), []), end_of(text(OTHER))], "no run that printed"),
    "two runs show the same output": (
        lambda: [*PIECES, END, *cut(text(), [], 2, "b" * 12), end_of(text(), run=2, nonce="b" * 12)],
        "the same output",
    ),
    "a gap has no reason": (lambda: [Hole(START, Cursor(1, NONCE, Position(3, 100)), "")], "a gap"),
    "a gap ends before it begins": (lambda: [Hole(START, Cursor(1, NONCE, START), "lost")], "a gap"),
    "a piece tells the wrong line": (
        lambda: [*PIECES[:2], *_shifted(PIECES[2:], 1)],
        "does not stand in line",
    ),
    "what is left out is not said": (
        lambda: [PIECES[0], replace(_given(2), skipped=3), *PIECES[3:], END],
        "never given",
    ),
}  # fmt: skip


def _shifted(items: list[Item], lines: int) -> list[Item]:
    """The same pieces, said to stand some lines further down."""

    def moved(at: Position) -> Position:
        return Position(at.line + lines, at.byte)

    return [
        replace(item, start=moved(item.start), cursor=Cursor(1, NONCE, moved(item.cursor.position)))
        for item in items
        if isinstance(item, Given)
    ]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_caught_and_named(name: str) -> None:
    make, words = WRONG[name]
    found = faults(make())
    assert any(words in fault for fault in found), found


@settings(max_examples=60)
@given(st.integers(0, len(text()) - 1), st.integers(1, 400))
def test_any_range_that_is_left_out_is_caught(begin: int, size: int) -> None:
    whole = text()
    places = sorted({begin, min(len(whole), begin + size)} - {0, len(whole)})
    items = cut(whole, places)
    left_out = [item for item in items if isinstance(item, Given) and item.start.byte != begin]
    assert faults([*left_out, END])


def test_an_announced_gap_is_no_fault_and_what_follows_it_is_still_compared() -> None:
    third = _given(2)
    hole = Hole(third.start, third.cursor, "dropped")
    assert faults([*PIECES[:2], hole, *PIECES[3:], END]) == []
    wrong = replace(_given(3), data=b"x" * len(_given(3).data))
    assert faults([*PIECES[:2], hole, wrong, *PIECES[4:], END])


def test_a_reset_begins_the_run_anew_and_what_was_given_before_counts_no_more() -> None:
    items = [*PIECES[:3], Back(1, Cursor(1, NONCE, START), "position_unknown"), *PIECES, END]
    assert faults(items) == []


def test_a_lost_run_that_lives_is_no_fault() -> None:
    lost = replace(end_of(text()[:1000]), how="LOST", crc="")
    assert faults([*PIECES[:2], lost, *PIECES[2:], END]) == []


def test_the_same_end_after_a_new_connection_is_no_fault() -> None:
    assert faults([*PIECES, END, Again(), END]) == []


def test_an_end_may_become_lost_over_a_new_connection_and_nothing_else() -> None:
    lost = replace(END, how="LOST", crc="")
    assert faults([*PIECES, END, Again(), lost, END]) == []
    assert any("ended twice" in fault for fault in faults([*PIECES, END, lost]))
    assert any("ended twice" in fault for fault in faults([*PIECES, END, Again(), replace(END, how="KILLED")]))


def test_a_killed_run_may_end_one_line_after_the_last_that_was_counted_and_not_before_it() -> None:
    whole = [*cut(text(), []), end_of(text(), "KILLED")]
    assert faults(whole, COUNT, complete=False) == []
    assert faults(whole, COUNT - 1, complete=False) == []
    assert any("more than was printed" in fault for fault in faults(whole, COUNT - 2, complete=False))
    assert any("are lost" in fault for fault in faults(whole, COUNT + 1, complete=False))


def test_a_traceback_may_follow_the_journal_of_a_run_that_failed() -> None:
    data = text() + b"Traceback (most recent call last):\n"
    assert faults([*cut(data, []), end_of(data, "FAILURE")]) == []
    assert faults([*cut(data, []), end_of(data, "SUCCESS")])


def test_a_screen_may_leave_out_what_it_says_and_must_read_every_line_in_the_end() -> None:
    pieces: list[Item] = [PIECES[0], replace(_given(3), skipped=_given(3).start.byte - 500), PIECES[4], END]
    every = tuple(text().decode().split("\n")[:-1])

    def found(*read: Lines) -> list[str]:
        return judge(Record("a screen", True, [*pieces, *read]), journals())

    assert found(Lines(1, 1, every[:30]), Lines(1, 31, every[30:])) == []
    assert any("could not be read" in fault for fault in found(Lines(1, 1, every[:30])))
    assert any("was read as" in fault for fault in found(Lines(1, 1, every[:30]), Lines(1, 31, every[29:])))


def test_a_run_of_which_nothing_was_given_is_missed() -> None:
    both = {**journals(), OTHER: Journal(OTHER, 5, True)}
    assert any("nothing was given" in fault for fault in judge(Record("a viewer", items=[*PIECES, END]), both))
