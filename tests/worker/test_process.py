"""A command within a task: live, exact, checked, and gone with all it started when the task is."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from livetask.errors import CommandFailed
from livetask.worker import run
from tests.system.rig import wait_for
from tests.worker.conftest import Starter, Worker


def _still_running(mark: str) -> list[str]:
    """The processes that have ``mark`` in their command line."""
    found = []
    for item in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = item.read_bytes()
        except OSError:
            continue
        if mark.encode() in words:
            found.append(item.parent.name)
    return found


def test_a_command_shows_its_output_live(prefork: Worker) -> None:
    code = "import time\nprint('first')\ntime.sleep(60)"
    task_id = prefork.send("command", [sys.executable, "-c", code])
    wait_for("its first line", lambda: prefork.stored.output(task_id) == b"first\n")
    prefork.app.control.revoke(task_id, terminate=True)
    assert prefork.stored.ended(task_id)["state"] == "REVOKED"


def test_a_command_in_a_terminal_believes_in_it(prefork: Worker) -> None:
    code = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size()); print('done')"
    _, task, output = prefork.outcome("command", [sys.executable, "-c", code], True)
    assert task["result"] == "0"
    assert output == b"True os.terminal_size(columns=120, lines=40)\ndone\n"


def test_a_command_that_fails_fails_the_task(prefork: Worker) -> None:
    task_id, task, output = prefork.outcome("command", "echo bad >&2; exit 4")
    assert (task["state"], output[:4]) == ("FAILURE", b"bad\n")
    assert prefork.stored.detail(task_id)["exception"] == "CommandFailed: /bin/sh ended with exit status 4"


def test_a_return_code_can_be_asked_for(prefork: Worker) -> None:
    _, task, _ = prefork.outcome("command", "exit 4", False, False)
    assert task["result"] == "4"


@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_all_that_a_command_started_is_gone_with_the_task(prefork: Worker, number: str, tmp_path: Path) -> None:
    mark = f"tree-{time.monotonic_ns()}"
    sleeper = f"exec -a {mark} sleep 600"
    script = f"echo up; (setsid bash -c '{sleeper}' &) ; bash -c '{sleeper}' & wait"
    task_id = prefork.send("command", ["bash", "-c", script])
    wait_for("both sleepers", lambda: len(_still_running(mark)) >= 2)
    prefork.app.control.revoke(task_id, terminate=True, signal=number)
    assert prefork.stored.ended(task_id)["state"] == "REVOKED"
    wait_for("their end", lambda: not _still_running(mark))
    assert prefork.stored.output(task_id) == b"up\n"


def test_what_a_command_left_in_the_background_ends_with_the_task(prefork: Worker) -> None:
    mark = f"left-{time.monotonic_ns()}"
    _, task, _ = prefork.outcome("command", ["bash", "-c", f"(exec -a {mark} sleep 600) & exit 0"])
    assert task["state"] == "SUCCESS"
    wait_for("its end", lambda: not _still_running(mark))


@pytest.mark.parametrize("pool", ["threads", "gevent", "eventlet"])
def test_a_command_is_live_in_pools_that_share_a_process(starter: Starter, pool: str) -> None:
    worker = starter.start(pool)
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)"
    for pty in (False, True):
        _, task, output = worker.outcome("command", [sys.executable, "-c", code], pty)
        assert (task["state"], output) == ("SUCCESS", b"out\nerr\n")


def test_outside_of_a_task_a_command_just_runs() -> None:
    assert run(["true"]) == 0
    assert run(["false"], check=False) == 1
    with pytest.raises(CommandFailed, match="false ended with exit status 1"):
        run(["false"])
    with pytest.raises(FileNotFoundError):
        run(["/no/such/command"])


def test_where_and_with_what_environment_a_command_runs(tmp_path: Path) -> None:
    run(
        'echo "$WORD $PYTHONUNBUFFERED" > here',
        cwd=tmp_path,
        env={"WORD": "yes", "PATH": "/usr/bin:/bin"},
    )
    assert (tmp_path / "here").read_text() == "yes 1\n"
