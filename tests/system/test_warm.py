"""Processes that begin warm, as most of the tests' do, are what they would be from their beginning."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real import warm
from tests.server.serving import clean_environ
from tests.system.rig import CHECKOUT, wait_for

ENDS_AT_ONCE = [sys.executable, "-m", "celery", "-A", "tests.system.apps.beginning", "report"]
GOES_ON = [sys.executable, "-m", "livetask", "serve", "--redis-url", "redis://127.0.0.1:1", "--port", "0"]

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no pidfds: all begin cold")


@pytest.mark.parametrize("more", [{}, {"PYTHONWARNINGS": "ignore"}], ids=["", "silent"])
def test_a_warm_process_begins_like_a_cold_one(
    more: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = clean_environ(**more, LIVETASK_SOMETHING="of its own")
    env["PYTHONPATH"] += f":{tmp_path}"
    monkeypatch.delenv(warm.COLD, raising=False)
    answer = warm.ran(ENDS_AT_ONCE, env, CHECKOUT)
    monkeypatch.setenv(warm.COLD, "1")
    cold = warm.ran(ENDS_AT_ONCE, env, CHECKOUT)
    assert (answer.returncode, answer.stderr) == (cold.returncode, cold.stderr) == (3, b"said\n")
    assert json.loads(answer.stdout) == json.loads(cold.stdout)


def test_a_warm_process_is_signalled_and_waited_for_like_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(warm.COLD, raising=False)
    with (tmp_path / "log").open("wb") as log:
        process = warm.started(GOES_ON, log.fileno(), log.fileno(), clean_environ(), CHECKOUT)
    assert isinstance(process, warm.Warm)
    try:
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0)
        wait_for("it serves", lambda: b"livetask is at" in (tmp_path / "log").read_bytes())
        process.terminate()
        assert process.wait(90) == 0
        assert (process.poll(), process.returncode) == (0, 0)
        process.kill()  # of one that has ended nothing comes
    finally:
        process.kill()
        process.wait(90)


def test_a_warm_process_that_is_killed_says_by_what(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = warm.started(GOES_ON, log.fileno(), log.fileno(), clean_environ(), CHECKOUT)
    process.kill()
    assert process.wait(90) == -signal.SIGKILL


@pytest.mark.parametrize("words", [["-P", "gevent"], ["--pool=eventlet"]])
def test_what_is_patched_before_it_is_imported_begins_cold(words: list[str], tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = warm.started([*ENDS_AT_ONCE, *words], log.fileno(), log.fileno(), clean_environ(), CHECKOUT)
    process.wait(90)
    assert isinstance(process, subprocess.Popen)
