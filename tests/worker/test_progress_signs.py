"""A bar that tqdm draws is understood as progress."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from livetask.worker.progress_signs import progress_in


def test_what_tqdm_really_draws_is_understood() -> None:
    out = io.StringIO()
    with tqdm(total=40, file=out, desc="hashing", mininterval=0) as bar:
        bar.update(30)
        bar.refresh()
        assert progress_in(out.getvalue().encode()) == {"current": 30, "total": 40, "info": "hashing"}


@pytest.mark.parametrize(
    ("output", "current", "total"),
    [
        (b" 50%|#####     | 5/10 [00:01<00:01,  4.9it/s]", 5, 10),
        (b"\r 10%|#         | 1.50M/15.0M [00:01<00:09, 1.5MB/s]", 1_500_000, 15_000_000),
        (b" 10%|# | 1/10 [a]\r 20%|## | 2/10 [a]\r 30%|### | 3/10 [a]", 3, 10),
    ],
)
def test_the_last_bar_counts(output: bytes, current: float, total: float) -> None:
    found = progress_in(output)
    assert found is not None
    assert (found["current"], found["total"]) == (current, total)


def test_text_without_a_bar_is_no_progress() -> None:
    assert progress_in(b"100% of | nothing 1/2 [") is None
    assert progress_in(b"") is None


@given(st.binary(max_size=300))
def test_no_output_upsets_it(output: bytes) -> None:
    progress_in(b"1%|" + output)
