"""Arguments are kept when JSON gives back the very same values, and are short; otherwise it is said why not."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest

from livetask.arguments import KEPT_BYTES, call_parsed, kept_call

PLAIN: list[Any] = [
    [],
    [1, -2.5, "ü\n", None, True],
    [[1, [2, {"a": {"b": []}}]]],
    ["x" * (KEPT_BYTES - 40)],
    [10**300],
    ["\U0001f600"],
]


@pytest.mark.parametrize("args", PLAIN)
def test_plain_values_come_back_the_same(args: list[Any]) -> None:
    text = kept_call(args, {"k": None})["call"]
    assert len(text) <= KEPT_BYTES
    assert call_parsed(text) == (args, {"k": None})


def test_a_tuple_comes_back_as_the_list_that_celery_would_send() -> None:
    assert call_parsed(kept_call((1, (2,)), {})["call"]) == ([1, [2]], {})


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"bytes",
        datetime(2024, 5, 1),
        object(),
        {1: "key"},
        math.nan,
        math.inf,
        "\ud800",
        type("S", (str,), {})("x"),
    ],
)
def test_values_that_would_come_back_as_others_are_not_kept(value: object) -> None:
    assert kept_call([[value]], {}) == {"call_not": "not_json"}
    assert kept_call([], {"k": value}) == {"call_not": "not_json"}


def test_a_value_that_holds_itself_is_not_kept() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert kept_call(circle, {}) == {"call_not": "not_json"}


@pytest.mark.parametrize(
    "args", [["x" * KEPT_BYTES], ["ü" * (KEPT_BYTES // 3)], [0] * KEPT_BYTES, [10**100_000], [list(range(10**6))]]
)
def test_what_is_too_large_is_not_kept(args: list[Any]) -> None:
    assert kept_call(args, {}) == {"call_not": "too_large"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"args": {}, "kwargs": {}}', '{"args": [], "kwargs": []}', "x"])
def test_text_that_keeps_no_arguments_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        call_parsed(text)
