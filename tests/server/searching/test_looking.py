"""What is found in text that comes in any pieces: the same as in all of it at once."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.server.searching.looking import LINES_MOST, Marks, Scan, Search, seen


def fed(scan: Scan, data: bytes, cuts: list[int]) -> dict[str, Any]:
    """All that a scan finds in data that comes in pieces, unfinished line included."""
    found: dict[str, Any] = {}
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[low:high] for low, high in pairwise(edges)]
    for step in [*(lambda piece=piece: scan.feed(piece) for piece in pieces), scan.rest]:  # type: ignore[misc]
        step()
        for name, value in scan.taken().items():
            found[name] = found[name] + value if name in found else value
    assert scan.looked_bytes == len(data)
    return found


def search(data: bytes, wanted: str, cuts: list[int] | None = None, **given: Any) -> dict[str, Any]:
    options = {"case": False, "regex": False, "limit": 100} | given
    return fed(Search(1, wanted, **options), data, cuts or [])


def by_hand(text: str, expression: re.Pattern[str]) -> list[tuple[int, int, int]]:
    """Line by line, in UTF-16 units."""

    def units(part: str) -> int:
        return len(part.encode("utf-16-le", "surrogatepass")) // 2

    return [
        (number, units(line[: match.start()]), units(line[: match.end()]))
        for number, line in enumerate(text.split("\n"), 1)
        for match in expression.finditer(line)
        if match.group()
    ]


TEXTS = st.lists(
    st.sampled_from(["a", "A", "ab", "ß", "é", "İ", "ı", "K", "\u212a", "ſ", "s", "\U0001f600", " ", "\n", "."]),
    max_size=60,
).map("".join)
CUTS = st.lists(st.integers(0, 200), max_size=6)


@given(
    TEXTS, st.sampled_from(["a", "AB", "é", "\U0001f600", ".", "s", "K", "\u212a", "ſ", "a\u212a"]), st.booleans(), CUTS
)
def test_a_text_is_found_wherever_the_pieces_were_cut(text: str, wanted: str, case: bool, cuts: list[int]) -> None:
    expected = by_hand(text, re.compile(re.escape(wanted), 0 if case else re.IGNORECASE))
    found = search(text.encode(), wanted, cuts, case=case)
    assert [tuple(hit) for hit in found["hits"]] == expected
    assert found["total"] == len(expected)


@given(
    TEXTS,
    st.sampled_from(
        [
            "a+",
            r"\s+",
            "^a",
            "b$",
            "[^a]+",
            "x*",
            r"\W",
            "(?s)a.*",
            "a(?=b)",
            r"\Aa",
            r"b\Z",
            "(?>[^b]*)b",
            "[^b]*+b",
            "a[^b]*b|a",
            r"\b",
            r"\Ba",
            "(?<!a)b",
        ]
    ),
    st.booleans(),
    CUTS,
)
def test_an_expression_never_sees_beyond_its_line(text: str, wanted: str, case: bool, cuts: list[int]) -> None:
    expected = by_hand(text, re.compile(wanted, 0 if case else re.IGNORECASE))
    found = search(text.encode(), wanted, cuts, case=case, regex=True)
    assert [tuple(hit) for hit in found["hits"]] == expected


def test_escape_codes_are_not_searched_and_do_not_count_as_columns() -> None:
    data = b"\x1b[31mred\x1b[0m 31m \x1b]8;;http://31m\x1b\\link\x1b]8;;\x1b\\\n"
    assert search(data, "31m")["hits"] == [(1, 4, 7)]
    assert search(data, "link")["hits"] == [(1, 8, 12)]


def test_a_windows_line_end_is_no_part_of_its_line() -> None:
    assert search(b"one\r\ntwo\r\n", "o$", regex=True)["hits"] == [(2, 2, 3)]


def test_bytes_that_are_no_utf_8_are_seen_as_a_browser_sees_them() -> None:
    assert seen(b"\xff\xe2\x82x") == "\ufffd\ufffdx"


def test_beyond_the_limit_lines_are_told_once_and_beyond_that_matches_are_counted() -> None:
    data = b"x x\n" * (LINES_MOST + 100)
    found = search(data, "x", limit=3)
    assert found["hits"] == [(1, 0, 1), (1, 2, 3), (2, 0, 1)]
    assert found["lines_hit"] == list(range(3, LINES_MOST + 3))
    assert found["total"] == 2 * (LINES_MOST + 100)


def marks(data: bytes, cuts: list[int] | None = None) -> dict[str, Any]:
    return fed(Marks(1), data, cuts or [])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"[2026-01-02 03:04:05,678: ERROR/app.train] no rows", "errors"),
        (b"ERROR: no rows", "errors"),
        (b"2026-01-02 CRITICAL out of memory", "errors"),
        (b"level=FATAL msg=gone", "errors"),
        (b"Traceback (most recent call last):", "errors"),
        (b"  + Exception Group Traceback (most recent call last):", "errors"),
        (b"\x1b[31mERROR\x1b[0m it is red", "errors"),
        (b"WARNING lr too high", "warnings"),
        (b"[WARN] deprecated", "warnings"),
        (b"NO_ERROR_HERE", None),
        (b"ERRORS: 0", None),
        (b"TERROR", None),
        (b"no WARNINGS", None),
        (b"x" * 300 + b" ERROR late in a long line", None),
    ],
)
def test_a_level_at_a_levels_place_is_a_mark(line: bytes, kind: str | None) -> None:
    found = marks(b"before\n" + line + b"\nafter\n")
    assert (found["errors"], found["warnings"]) == ([2] if kind == "errors" else [], [2] if kind == "warnings" else [])


def test_a_line_is_marked_once_a_kind() -> None:
    assert marks(b"ERROR ERROR CRITICAL WARNING\n")["errors"] == [1]


def test_groups_of_three_systems_are_told_with_title_and_time() -> None:
    data = (
        b"::group::Load data\nrow\n::endgroup::\n"
        b"\x1b[0Ksection_start:1560896352:my_first[collapsed=true]\r\x1b[0KHeader of it\n"
        b"section_end:1560896353:my_first\r\x1b[0K\n"
        b"travis_fold:start:install\r\x1b[0KInstalling\ntravis_fold:end:install\r\x1b[0K\n"
        b"a text that mentions ::group::this\n"
    )
    assert marks(data)["groups"] == [
        (1, "start", "", "Load data", None),
        (3, "end", "", "", None),
        (4, "start", "my_first", "Header of it", 1560896352000),
        (5, "end", "my_first", "", 1560896353000),
        (6, "start", "install", "Installing", None),
        (7, "end", "install", "", None),
    ]


PARTS = [
    b"ERROR",
    b" ",
    b"WARN",
    b"\n",
    b"::group::a",
    b"\n::endgroup::\n",
    b"x",
    b"\nTraceback (most recent call last)",
]


@given(st.lists(st.sampled_from(PARTS), max_size=40).map(b"".join), CUTS)
def test_marks_are_the_same_wherever_the_pieces_were_cut(data: bytes, cuts: list[int]) -> None:
    assert marks(data, cuts) == marks(data)
