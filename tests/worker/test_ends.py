"""Every way in which a run can end is told as what it was, with all of its output, in time."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.system.rig import wait_for
from tests.worker.conftest import Starter, Worker


@pytest.mark.parametrize(
    ("name", "arguments", "state", "how", "detail", "output"),
    [
        ("say", ("x",), "SUCCESS", "SUCCESS", {}, b"x\n"),
        ("fail", (), "FAILURE", "FAILURE", {"exception": "ValueError: bad thing"}, b"going\n"),
        ("ignore", (), "IGNORED", "IGNORED", {}, b"ignored\n"),
        ("reject", (), "REJECTED", "REJECTED", {}, b"rejected\n"),
        ("leave", (3,), "FAILURE", "KILLED", {"exit_code": 3}, b"leaving\n"),
        ("die", (signal.SIGKILL,), "FAILURE", "KILLED", {"signal": "SIGKILL"}, b"last words"),
        ("die", (signal.SIGSEGV,), "FAILURE", "KILLED", {"signal": "SIGSEGV"}, b"last words"),
        ("exit_at_once", (5,), "FAILURE", "KILLED", {"exit_code": 5}, b"last words"),
        ("too_long", (), "FAILURE", "KILLED", {"limit_s": 1}, b"too long\n"),
    ],
)
def test_a_run_ends_as_what_it_was(
    prefork: Worker, name: str, arguments: tuple[Any], state: str, how: str, detail: dict[str, Any], output: bytes
) -> None:
    task_id, task, found = prefork.outcome(name, *arguments)
    assert (task["state"], task["1.how"]) == (state, how)
    assert detail.items() <= prefork.stored.detail(task_id).items()
    assert found.startswith(output)
    assert name in ("die", "fail") or found == output


def test_a_failure_carries_its_traceback(prefork: Worker) -> None:
    task_id, _, output = prefork.outcome("fail")
    assert 'raise ValueError("bad thing")' in prefork.stored.detail(task_id)["traceback"]
    assert output.startswith(b"going\n[")
    assert output.endswith(b"ValueError: bad thing\n"), "the log ends with what went wrong, once"
    assert output.count(b"Traceback") == 1


def test_a_retry_is_a_run_of_its_own(prefork: Worker) -> None:
    task_id, task, output = prefork.outcome("again", 1)
    assert (task["1.how"], task["2.how"], task["2.why"]) == ("RETRY", "SUCCESS", "retry")
    assert prefork.stored.output(task_id, 1) == b"attempt 0\n"
    assert output == b"attempt 1\n"
    assert prefork.stored.detail(task_id)["retry_in_s"] == 1


def test_a_soft_limit_reaches_a_task_that_prints_all_the_time(prefork: Worker) -> None:
    _, task, output = prefork.outcome("softly_limited")
    assert (task["state"], task["result"]) == ("SUCCESS", "'handled'")
    assert output.startswith(b"begin\n...")
    assert output.endswith(b".limit seen\n")


@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_a_revoked_run_says_so(prefork: Worker, tmp_path: Path, number: str) -> None:
    task_id = prefork.send("wait_until", str(tmp_path / "never"))
    wait_for("its output", lambda: prefork.stored.output(task_id) == b"waiting\n")
    prefork.app.control.revoke(task_id, terminate=True, signal=number)
    task = prefork.stored.ended(task_id)
    assert (task["state"], task["1.how"]) == ("REVOKED", "REVOKED")
    assert prefork.stored.detail(task_id)["signal"] == number
    assert prefork.stored.output(task_id) == b"waiting\n"


@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.9])
def test_a_kill_in_the_middle_of_printing_loses_nothing(prefork: Worker, tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "printed"
    _, task, output = prefork.outcome("count_and_die", str(path), seconds)
    printed = int(path.read_bytes())
    *lines, last = output.split(b"\n")
    assert task["1.how"] == "KILLED"
    assert len(lines) - printed in (0, 1)
    assert lines == [b"line %d of some output" % number for number in range(len(lines))]
    assert b"line %d of some output".replace(b"%d", b"%d" % len(lines)).startswith(last)


def test_a_revoked_task_that_never_ran_is_revoked(starter: Starter, tmp_path: Path) -> None:
    worker = starter.start("prefork", concurrency=1)
    flag = tmp_path / "flag"
    first = worker.send("wait_until", str(flag))
    second = worker.send("say", "never")
    wait_for("both to be known", lambda: worker.stored.task(second).get("state") == "QUEUED")
    worker.app.control.revoke(second)
    flag.touch()
    assert worker.stored.ended(first)["state"] == "SUCCESS"
    task = worker.stored.ended(second)
    assert task["state"] == "REVOKED"
    assert "runs" not in task


def test_an_expired_task_is_revoked(prefork: Worker) -> None:
    task_id = prefork.send("say", "late", expires=-1)
    task = prefork.stored.ended(task_id)
    assert (task["state"], task["result"]) == ("REVOKED", "expired")


def test_a_run_whose_worker_is_killed_is_shipped_and_ended_at_once(starter: Starter, tmp_path: Path) -> None:
    worker = starter.start("prefork")
    task_id = worker.send("wait_until", str(tmp_path / "never"))
    wait_for("its output", lambda: worker.stored.output(task_id) == b"waiting\n")
    worker.process.kill()
    task = worker.stored.ended(task_id)
    assert (task["state"], task["1.how"]) == ("FAILURE", "KILLED")
    assert worker.stored.detail(task_id)["reason"] == "the worker died"


def test_the_shipper_ends_with_a_killed_worker(starter: Starter) -> None:
    worker = starter.start("prefork")
    shipper = worker.shipper_pid()
    worker.process.kill()
    wait_for("the end of the shipper", lambda: not Path(f"/proc/{shipper}/fd/0").exists())
    wait_for("an empty spool", lambda: not list(worker.spool_dir.glob("livetask-*/*/[0-9]*")))


def test_sys_exit_in_a_threads_pool_ends_the_run(starter: Starter) -> None:
    worker = starter.start("threads")
    task_id, task, output = worker.outcome("leave", 3)
    assert (task["1.how"], output) == ("KILLED", b"leaving\n")
    assert worker.stored.detail(task_id) == {"exit_code": 3}
