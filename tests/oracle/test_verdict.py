"""What `make test` tries again, and what it does not: the verdict on bytes, in whatever part of a test it falls."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.system.rig import CHECKOUT

TRIED = """
import pytest
from tests.oracle.verdict import NotExact, judging

times = {}

def fails_at_first(name, error):
    times[name] = times.get(name, 0) + 1
    if times[name] == 1:
        raise error

@pytest.fixture
def late():
    fails_at_first("set-up", ConnectionError("not yet there"))

@pytest.fixture
def wrong():
    fails_at_first("wrong set-up", NotExact("one byte is missing"))

def test_late(): fails_at_first("late", AssertionError("not yet there"))
def test_late_in_its_set_up(late): pass
def test_wrong():
    with judging():
        fails_at_first("wrong", AssertionError("one byte is missing"))
def test_wrong_in_its_set_up(wrong): pass
def test_wrong_behind_another_error():
    try:
        fails_at_first("behind", NotExact("one byte is missing"))
    except NotExact as error:
        raise RuntimeError("it stopped") from error
"""


def test_what_failed_is_tried_again_unless_bytes_were_wrong(tmp_path: Path) -> None:
    file = tmp_path / "test_tried.py"
    file.write_text(TRIED)
    command = [sys.executable, "-m", "pytest", "-rA", "--reruns", "2", "-c", f"{CHECKOUT}/pyproject.toml"]
    command += ["-p", "no:cacheprovider", str(file)]
    ran = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
    outcomes = {name: how for how, name in re.findall(r"^([A-Z]+) \S*::test_(\w+)", ran.stdout, re.MULTILINE)}
    assert outcomes == {
        "late": "PASSED",
        "late_in_its_set_up": "PASSED",
        "wrong": "FAILED",
        "wrong_in_its_set_up": "ERROR",
        "wrong_behind_another_error": "FAILED",
    }, ran.stdout[-3000:]
    assert "2 rerun" in ran.stdout
