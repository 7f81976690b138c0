"""What a run starts carries its name in the environment, however it is started; and nothing is kept of it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from livetask.worker.within import WITHIN, mark_within

_SAY = f"import os; print(os.environ.get({WITHIN!r}) or 'none')"
_ASK = [sys.executable, "-c", _SAY]


@pytest.fixture(autouse=True)
def _unmarked() -> Iterator[None]:
    yield
    mark_within(None)


def _by_its_own_environment() -> str:
    return subprocess.check_output(_ASK, text=True).strip()


def _by_a_copy() -> str:
    return subprocess.check_output(_ASK, text=True, env={**os.environ, "MORE": "1"}).strip()


def _by_c_code() -> str:
    """As a library does that knows nothing of Python."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    return (getenv(WITHIN.encode()) or b"none").decode()


@pytest.mark.parametrize("ask", [_by_its_own_environment, _by_a_copy, _by_c_code])
def test_each_run_is_named_to_what_it_starts(ask: Callable[[], str]) -> None:
    assert ask() == "none"
    for nonce in ("abcdefghijkl", "bcdefghijklm"):
        mark_within(nonce)
        assert ask() == nonce
    mark_within(None)
    assert ask() in ("", "none")


def test_a_run_is_named_also_after_a_task_that_put_another_environment_in_its_place() -> None:
    mark_within("abcdefghijkl")
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(before)  # as mock.patch.dict does
    mark_within("bcdefghijklm")
    assert (_by_c_code(), _by_a_copy()) == ("bcdefghijklm", "bcdefghijklm")


def test_c_code_finds_the_environment_whole_when_python_has_let_go_of_everything() -> None:
    """At exit the modules go before the C library's own functions and those of C extensions are called."""
    ask = (
        "import ctypes, gc\n"
        "from livetask.worker import within\n"
        "within.mark_within('abcdefghijkl')\n"
        "vars(within).clear(); gc.collect()\n"
        "fill = [ctypes.create_string_buffer(b'x' * 99) for _ in range(1000)]\n"
        "getenv = ctypes.CDLL(None).getenv; getenv.restype = ctypes.c_char_p\n"
        f"print(getenv(b'{WITHIN}'))\n"
    )
    assert subprocess.check_output([sys.executable, "-c", ask], text=True) == "b'abcdefghijkl'\n"


def test_a_hundred_thousand_runs_leave_nothing_behind_in_the_environment() -> None:
    for number in range(1_000):
        mark_within(f"{number:012}")
    before = _resident_bytes()
    for number in range(100_000):
        mark_within(f"{number:012}")
    assert _resident_bytes() - before < 2_000_000  # setenv keeps 79 bytes of each


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
