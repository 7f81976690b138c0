"""Values of tasks on their way through Redis: what JSON can hold and bytes come out as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engineio import json as engineio_json
from hypothesis import given
from hypothesis import strategies as st

from livetask.parcel import packed, unpacked

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    PLAIN | st.binary(),
    lambda held: (
        st.lists(held, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.sampled_from(["$bytes", "$plain"]), held, max_size=3)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_can_hold_and_bytes_come_out_as_they_were(value: Any) -> None:
    assert unpacked(packed(value)) == value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ((1, (2,)), [1, [2]]),
        ({3: 4}, {"3": 4}),
        (float("nan"), None),
        ([float("inf")], [None]),
        (bytearray(b"\xff"), b"\xff"),
        (1 + 2j, "(1+2j)"),
        (2**318 - 1, 2**318 - 1),
        (-(10**100), f"-1{'0' * 100}"),
        ([10**5000], ["<int>"]),
    ],
)
def test_what_json_cannot_hold_becomes_what_comes_nearest(value: Any, found: Any) -> None:
    assert unpacked(packed(value)) == found


@pytest.mark.parametrize("value", [2**318 - 1, 1 - 2**318, 2**318, 10**99, -(10**100)])
def test_what_is_packed_can_be_read_by_a_client_of_python_socketio(value: int) -> None:
    assert engineio_json.loads(packed({"retval": value}))["retval"] in (value, str(value))


def test_nothing_that_a_task_returns_makes_packing_fail() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    deep: list[Any] = []
    deep.append(deep)
    assert unpacked(packed(Bad())) == "<Bad>"
    assert isinstance(json.loads(packed(deep)), list)
