"""A scan is the same however the bytes are split, and a cut hurts neither lines nor characters nor escapes."""

from __future__ import annotations

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.position import START
from livetask.worker.scanning import Scan, cut

LONG = b"\x1b[" + b"1;" * 40
PIECES = st.sampled_from(
    [
        *(b"\n", b"\r", b"\x1b", b"[", b"1;31", b"m", b";", b"text", b"\xff", b"\x00", "ü☃😀".encode()),
        *(b"\x1b[1;32m", b"\x1b[0m", b"\x1b[38;5;200m", b"\x1b[48;2;1;2;3m", b"\x1b[4:3m"),
        *(b"\x1b[22m", b"\x1b[39m", b"\x1b[2K", LONG),
    ]
)
OUTPUT = st.lists(st.one_of(PIECES, st.binary(max_size=20))).map(b"".join)


@given(OUTPUT, st.data())
def test_a_scan_is_the_same_however_the_bytes_are_split(output: bytes, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(output))).map(sorted))
    scan = Scan()
    for start, end in zip([0, *places], [*places, len(output)], strict=True):
        scan = scan.fed(output[start:end])
    assert scan == Scan().fed(output)
    assert scan.at == START.after(output)
    assert scan.crc == zlib.crc32(output)


@given(OUTPUT, st.integers(1, 200))
def test_cut_entries_come_together_to_the_output(output: bytes, most_bytes: int) -> None:
    start, entries = 0, []
    while start < len(output):
        end = cut(output, most_bytes, start)
        assert 1 <= end - start <= most_bytes
        assert end - start == cut(output[start:], most_bytes), "what stands before an entry changes nothing"
        entries.append(output[start:end])
        start = end
    assert b"".join(entries) == output


@given(st.text(min_size=1), st.integers(4, 40))
def test_a_cut_never_splits_a_character(text: str, most_bytes: int) -> None:
    output = text.encode("utf-8", "replace")
    while output:
        size = cut(output, most_bytes)
        output[:size].decode()
        output = output[size:]


def test_a_cut_is_after_a_line_end_where_there_is_one() -> None:
    assert cut(b"one\ntwo\nthree", 10) == len(b"one\ntwo\n")


def test_a_cut_does_not_split_an_escape_sequence() -> None:
    assert cut(b"text\x1b[1;31mred", 8) == 4


def test_an_escape_sequence_that_is_too_long_is_cut() -> None:
    assert cut(b"\x1b[" + b"1;" * 100, 50) == 50


@pytest.mark.parametrize(
    ("output", "sgr"),
    [
        (b"plain", b""),
        (b"\x1b[31mred", b"31"),
        (b"\x1b[1;31mbold red", b"1;31"),
        (b"\x1b[31m\x1b[32mgreen", b"32"),
        (b"\x1b[1;31mred\x1b[0mplain", b""),
        (b"\x1b[1;31mred\x1b[mplain", b""),
        (b"\x1b[1;31mred\x1b[39mbold", b"1"),
        (b"\x1b[1;31mred\x1b[22mred", b"31"),
        (b"\x1b[38;5;200mpink", b"38;5;200"),
        (b"\x1b[38;2;1;2;3;1mrgb", b"38;2;1;2;3;1"),
        (b"\x1b[4:3mcurly", b"4:3"),
        (b"\x1b[1;31;0;44mblue ground", b"44"),
        (b"\x1b[2Kcleared", b""),
        (b"\x1b[3", b""),
    ],
)
def test_the_colours_in_force_are_known(output: bytes, sgr: bytes) -> None:
    assert Scan().fed(output).sgr_parameters == sgr


@given(OUTPUT)
def test_the_colours_in_force_are_only_parameters(output: bytes) -> None:
    assert re.fullmatch(rb"[0-9;:]*", Scan().fed(output).sgr_parameters)
