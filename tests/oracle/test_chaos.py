"""The long run of `make chaos` works: a few seconds of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.system.rig import CHECKOUT


@pytest.mark.timeout(900)
def test_a_few_seconds_of_chaos_lose_nothing_and_end_with_a_table() -> None:
    command = [sys.executable, "-m", "tests.oracle.chaos", "--seconds", "4", "--seed", "11"]
    ran = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=800, check=False)
    assert "| lost, doubled or wrong" in ran.stdout, ran.stderr[-2000:]
    assert ran.returncode == 0, ran.stdout[-3000:]
