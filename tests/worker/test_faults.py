"""livetask broken on purpose: no task suffers, and what can be healed is healed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real.redis_servers import RealRedis
from tests.system.rig import wait_for
from tests.worker.conftest import Starter, Worker


def _result(worker: Worker, task_id: str) -> bool:
    return f"{task_id}] succeeded" in worker.log


def _run_tasks_uncaptured(worker: Worker) -> None:
    """The worker runs a task as if there were no livetask."""
    task_id = worker.send("say", "still here")
    wait_for("the task's end", lambda: _result(worker, task_id))
    assert "still here" in worker.log


def test_with_a_bad_setting_the_worker_says_so_once_and_works(starter: Starter) -> None:
    worker = starter.start("prefork", "--loglevel", "INFO", flush_ms="soon")
    _run_tasks_uncaptured(worker)
    assert worker.log.count("livetask does not capture the output of tasks: setting flush_ms") == 1


def test_with_an_unknown_setting_the_worker_names_the_nearest(starter: Starter) -> None:
    worker = starter.start("prefork", "--loglevel", "INFO", flush_mss="1")
    _run_tasks_uncaptured(worker)
    assert "did you mean livetask_flush_ms?" in worker.log.lower()


def test_without_a_place_for_spools_the_worker_says_so_and_works(starter: Starter) -> None:
    worker = starter.start("prefork", "--loglevel", "INFO", spool_dir="/proc/nowhere")
    _run_tasks_uncaptured(worker)
    assert worker.log.count("livetask does not capture the output of tasks: setting spool_dir: expected a place") == 1


def test_capture_can_be_switched_off(starter: Starter) -> None:
    worker = starter.start("prefork", "--loglevel", "INFO", capture="off")
    _run_tasks_uncaptured(worker)
    assert not list(worker.spool_dir.glob("livetask-*"))


def test_a_redis_that_is_away_delays_no_task_and_gets_everything_later(
    valkey: RealRedis, own_valkey: RealRedis, tmp_path: Path
) -> None:
    starter = Starter(own_valkey.url, tmp_path)
    try:
        worker = starter.start("prefork", "--loglevel", "INFO", broker=valkey.url)
        own_valkey.kill()
        ids = [worker.send("number_lines", 2000) for _ in range(6)]
        for task_id in ids:
            wait_for("the task's end", lambda task_id=task_id: _result(worker, task_id))  # type: ignore[misc]
        wait_for("the shipper to say so", lambda: "output is kept in the spool" in worker.log)
        own_valkey.start()
        for task_id in ids:
            assert worker.stored.ended(task_id)["state"] == "SUCCESS"
            assert worker.stored.output(task_id).count(b"\n") == 2000
        wait_for("the shipper to say that it is back", lambda: "Redis answers again" in worker.log)
        assert worker.log.count("output is kept in the spool") == 1
        assert worker.log.count("Redis answers again") == 1
        assert own_valkey.plan.password not in worker.log
    finally:
        starter.end()


def test_a_task_that_ended_while_redis_was_away_ended_then_and_not_when_redis_came_back(
    valkey: RealRedis, own_valkey: RealRedis, tmp_path: Path
) -> None:
    starter = Starter(own_valkey.url, tmp_path)
    try:
        worker = starter.start("prefork", "--loglevel", "INFO", broker=valkey.url)
        own_valkey.kill()
        task_id = worker.send("say", "x")
        wait_for("the task's end", lambda: _result(worker, task_id))
        ended_ms = time.time() * 1000
        came_back_ms = wait_for("a while", lambda: time.time() * 1000 if time.time() * 1000 > ended_ms + 1500 else None)
        own_valkey.start()
        assert float(worker.stored.ended(task_id)["ended_at"]) < came_back_ms - 500
    finally:
        starter.end()


def test_a_flush_in_the_middle_of_a_run_and_after_one_is_healed(own_starter: Starter, tmp_path: Path) -> None:
    worker = own_starter.start("prefork", "--loglevel", "INFO")
    ended, _, output = worker.outcome("number_lines", 100)
    flag = tmp_path / "flag"
    task_id = worker.send("wait_until", str(flag))
    wait_for("its output", lambda: worker.stored.output(task_id) == b"waiting\n")
    for key in worker.stored.client.scan_iter(f"{own_starter.prefix}:*"):
        worker.stored.client.delete(key)
    wait_for("the finished run to be back", lambda: worker.stored.output(ended) == output)
    assert worker.stored.task(ended)["1.how"] == "SUCCESS"
    wait_for("the silent run to be back", lambda: worker.stored.output(task_id) == b"waiting\n")
    flag.touch()
    assert worker.stored.ended(task_id)["state"] == "SUCCESS"


def test_a_redis_that_is_killed_and_comes_back_has_everything(
    valkey: RealRedis, own_valkey: RealRedis, tmp_path: Path
) -> None:
    starter = Starter(own_valkey.url, tmp_path)
    try:
        worker = starter.start("prefork", broker=valkey.url)
        task_id = worker.send("number_lines", 1500, 0.002)
        for lines in (100, 500, 900):
            wait_for(f"{lines} lines", lambda lines=lines: worker.stored.output(task_id).count(b"\n") > lines)  # type: ignore[misc]
            own_valkey.kill()
            own_valkey.start()
        assert worker.stored.ended(task_id)["state"] == "SUCCESS"
        assert worker.stored.output(task_id) == b"".join(b"line %d\n" % number for number in range(1500))
    finally:
        starter.end()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_shipper_that_is_killed_is_started_again_and_goes_on(starter: Starter, tmp_path: Path, pool: str) -> None:
    """Also where no other task comes, and the worker sends no heartbeats."""
    worker = starter.start(pool, "--without-heartbeat")
    flag = tmp_path / "flag"
    task_id = worker.send("wait_until", str(flag))
    wait_for("its output", lambda: worker.stored.output(task_id) == b"waiting\n")
    first = worker.shipper_pid()
    os.kill(first, signal.SIGKILL)
    wait_for("another shipper", lambda: worker.shipper_pid() != first)
    flag.touch()
    assert worker.stored.ended(task_id)["state"] == "SUCCESS"
    assert worker.stored.output(task_id) == b"waiting\nover\n"


def test_what_a_killed_worker_and_shipper_left_is_shipped_by_the_next_worker(starter: Starter, tmp_path: Path) -> None:
    worker = starter.start("prefork")
    shipper = worker.shipper_pid()
    os.kill(shipper, signal.SIGSTOP)
    task_id = worker.send("wait_until", str(tmp_path / "never"))
    out = "livetask-*/*/*/*.out"
    wait_for("its spool", lambda: [path for path in tmp_path.glob(out) if path.read_bytes() == b"waiting\n"])
    worker.kill_all()
    assert not worker.stored.task(task_id).get("runs")
    second = starter.start("prefork")
    task = second.stored.ended(task_id)
    assert (task["state"], task["1.how"]) == ("FAILURE", "KILLED")
    assert second.stored.detail(task_id)["reason"] == "the worker died"
    assert second.stored.output(task_id) == b"waiting\n"
    wait_for("the directory to be gone", lambda: len(list(tmp_path.glob("livetask-*/*/[0-9]*"))) == 1)


def test_a_worker_that_stops_ships_the_rest_and_leaves_nothing(starter: Starter) -> None:
    worker = starter.start("prefork")
    ids = [worker.send("number_lines", 5000) for _ in range(4)]
    wait_for("all to be taken", lambda: all(worker.stored.task(task_id).get("runs") for task_id in ids))
    worker.stop()
    for task_id in ids:
        assert worker.stored.task(task_id)["state"] == "SUCCESS"
        assert worker.stored.output(task_id).count(b"\n") == 5000
    assert not list(worker.spool_dir.glob("livetask-*/*/[0-9]*"))


def test_nothing_reaches_a_task_when_livetask_fails_within_it(starter: Starter) -> None:
    worker = starter.start("prefork", "--loglevel", "INFO")
    [directory] = worker.spool_dir.glob("livetask-*/*/[0-9]*")
    directory.rename(directory.with_name("elsewhere"))
    _run_tasks_uncaptured(worker)
    _run_tasks_uncaptured(worker)
    assert "the output of a task could not be captured; the task goes on" in worker.log


def test_importing_the_worker_half_outside_of_a_worker_captures_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, livetask.worker\n"
        "from celery import Celery\n"
        "app = Celery('x', broker='memory://')\n"
        "app.conf.task_always_eager = True\n"
        "def t():\n    print('eager')\n"
        "app.task(name='x.t')(t).delay()\n"
        "livetask.worker.emit_progress(1, 2)\n"
        "assert 'aiohttp' not in sys.modules\n"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=90)
    assert (answer.returncode, answer.stdout) == (0, "eager\n"), answer.stderr
    assert not list(tmp_path.iterdir())
