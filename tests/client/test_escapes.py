"""Escape codes leave output however it is cut, and a terminal is given colours only."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.client.escapes import HELD_BYTES, Escapes, printable

CODES = [
    b"\x1b[31m", b"\x1b[0m", b"\x1b[K", b"\x1b[2J", b"\x1b[?25l", b"\x1b]0;title\x07", b"\x1b]8;;http://x\x1b\\",
    b"\x1b(B", b"\x1b7", b"\x1bM", b"\x1bPq#0\x1b\\",
]  # fmt: skip
TEXTS = [b"plain", "zażółć 字".encode(), b"\r\n", b"\t", b"100%"]


def through(pieces: list[bytes], terminal: bool) -> bytes:
    escapes = Escapes(terminal)
    return b"".join(escapes.take(piece) for piece in pieces) + escapes.end()


@given(st.lists(st.sampled_from([*CODES, *TEXTS])), st.lists(st.integers(0, 200)), st.booleans())
def test_the_cuts_make_no_difference(parts: list[bytes], cuts: list[int], terminal: bool) -> None:
    whole = b"".join(parts)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:end] for start, end in itertools.pairwise(places)]
    assert through(pieces, terminal) == through([whole], terminal)


@given(st.lists(st.sampled_from([*CODES, *TEXTS])))
def test_for_a_file_all_codes_leave_and_all_text_stays(parts: list[bytes]) -> None:
    assert through([b"".join(parts)], terminal=False) == b"".join(part for part in parts if part in TEXTS)


def test_a_terminal_is_given_colours_and_erasing_of_the_line_only() -> None:
    assert through([b"a\x1b[1;31mb\x1b[Kc\x1b[2Jd\x1b[5Ae"], terminal=True) == b"a\x1b[1;31mb\x1b[Kcde"
    assert through([b"a\x1b]52;c;ZXZpbA==\x07b\x1b]0;t\x1b\\c"], terminal=True) == b"abc"
    assert through([b"a\x07\x08b\x0ec\xc2\x9b31md\x00"], terminal=True) == b"a\x08bc31md"


def test_bytes_that_are_no_text_stay_for_a_file() -> None:
    assert through([bytes(range(0x80, 0x100)), b"\x00\x07"], terminal=False) == bytes(range(0x80, 0x100)) + b"\x00\x07"


@pytest.mark.parametrize("begin", [b"\x1b]0;", b"\x1b[", b"\x1bP"])
def test_a_code_without_an_end_holds_little_and_loses_no_text(begin: bytes) -> None:
    escapes = Escapes(terminal=False)
    filler = b"1" * (2 * HELD_BYTES)
    assert filler in escapes.take(begin + filler) + escapes.end()


def test_a_text_for_one_line_obeys_nothing() -> None:
    assert printable("a\x1b[2Jb\nc\u202e") == "a\ufffd[2Jb\ufffdc\ufffd"
