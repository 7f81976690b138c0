"""What is printed, where it goes, and the cursor that goes on exactly after it."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.client.items import Gap, Notice, Output, RunBegan, RunEnded, TaskEnded
from livetask.client.printing import JsonPrinter, Printer, TextPrinter
from livetask.position import START, Cursor, Position

NONCE = "abcdefghijkl"


def outputs(data: bytes, cuts: list[int]) -> list[Output]:
    """The data as items, cut at these places."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    items, at = [], START
    for begin, end in itertools.pairwise(places):
        piece = data[begin:end]
        items.append(Output(at, Cursor(1, NONCE, at.after(piece)), piece))
        at = at.after(piece)
    return items


def ended(how: str = "SUCCESS", **detail: Any) -> RunEnded:
    return RunEnded(Cursor(1, NONCE, Position(1, 1)), how, detail, True)


def text_printer(**options: Any) -> tuple[TextPrinter, io.BytesIO, io.StringIO]:
    out, notes = io.BytesIO(), io.StringIO()
    return TextPrinter(out, notes, **({"terminal": False} | options)), out, notes


SIGNS = st.lists(st.sampled_from(["a", "ż", "字", "🐍", "\n", "\x1b[31m", "\x1b]0;a\nb\x07"]), max_size=30).map("".join)
CUTS = st.lists(st.integers(0, 150), max_size=12)


@given(SIGNS, CUTS, st.integers(0, 12), st.sampled_from(["text", "json"]))
def test_printing_can_be_left_anywhere_and_goes_on_exactly(text: str, cuts: list[int], left: int, kind: str) -> None:
    data = text.encode()

    def printed(items: list[Output], last: bool) -> tuple[bytes, Cursor | None]:
        out = io.BytesIO()
        printer: Printer = TextPrinter(out, io.StringIO(), terminal=False) if kind == "text" else JsonPrinter(out)
        for item in items:
            printer.show(item)
        if last:
            printer.show(ended())
        shown = out.getvalue()
        if kind == "json":
            lines = [json.loads(line) for line in shown.splitlines()]
            shown = "".join(line["text"] for line in lines if line["event"] == "output").encode()
        return shown, printer.cursor

    whole = printed(outputs(data, cuts), True)[0]
    before, cursor = printed(outputs(data, cuts)[:left], False)
    byte = cursor.position.byte if cursor is not None else 0
    at = cursor.position if cursor is not None else START
    assert at == START.after(data[:byte])
    rest = [Output(at, Cursor(1, NONCE, at.after(data[byte:])), data[byte:])]
    assert before + printed(rest, True)[0] == whole


def test_raw_bytes_are_written_as_they_are() -> None:
    data = bytes(range(256))
    printer, out, _ = text_printer(raw=True, terminal=True)
    for item in outputs(data, [27, 28, 200]):
        printer.show(item)
    assert out.getvalue() == data


def test_a_terminal_gets_notes_on_a_line_of_their_own() -> None:
    printer, _, notes = text_printer(terminal=True)
    printer.show(outputs(b"50 %", [])[0])
    printer.show(Gap(Position(1, 4), Cursor(1, NONCE, Position(3, 9)), 5, 2, "lost"))
    assert notes.getvalue() == "\nlivetask: gap: 5 bytes, 2 lines lost\n"


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({"exception": "ValueError: x\n\x1b[2J"}, " (ValueError: x\ufffd\ufffd[2J)"),
        ({"signal": "SIGSEGV"}, " (SIGSEGV)"),
        ({"exit_code": 3}, " (exit status 3)"),
        ({"limit_s": 20}, " (time limit of 20 s)"),
        ({}, ""),
    ],
)
def test_a_bad_end_is_told_with_its_reason(detail: dict[str, Any], said: str) -> None:
    printer, _, notes = text_printer()
    printer.show(ended("KILLED", **detail))
    assert notes.getvalue() == f"livetask: run 1 ended: KILLED{said}\n"


def test_a_good_end_says_one_word_and_a_first_run_none() -> None:
    printer, out, notes = text_printer()
    for item in (RunBegan(Cursor(1, NONCE, START), None), ended(), TaskEnded("SUCCESS")):
        printer.show(item)
    assert (out.getvalue(), notes.getvalue()) == (b"", "livetask: SUCCESS\n")


def test_notices_are_json_too() -> None:
    out = io.BytesIO()
    JsonPrinter(out).show(Notice("away", "lost"))
    assert json.loads(out.getvalue()) == {"event": "notice", "what": "away", "text": "lost"}
