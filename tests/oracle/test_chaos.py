"""The long run of `make chaos` works: a few seconds of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.oracle.verdict import judging
from tests.system.rig import CHECKOUT


@pytest.mark.timeout(900)
def test_a_few_seconds_of_chaos_lose_nothing_and_end_with_a_table() -> None:
    command = [sys.executable, "-m", "tests.oracle.chaos", "--seconds", "4", "--seed", "11"]
    ran = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=800, check=False)
    assert "| lost, doubled or wrong" in ran.stdout, ran.stderr[-2000:]
    wrong = [line for line in ran.stdout.splitlines() if line.startswith("WRONG ")]
    with judging():
        assert [line for line in wrong if "not done within" not in line] == []
    assert ran.returncode == 0, ran.stdout[-3000:]
