"""``python run.py`` as `make run` starts it: the whole of livetask, from a folder that stands for a checkout."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from livetask.service.trees import descendants
from tests.system.rig import Running, wait_for

RUN = """
import sys
from pathlib import Path
from livetask.service.parts import main
sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
"""


class Run:
    """``run.py`` with its data in ``place``."""

    def __init__(self, place: Path, what: str = "all", port: int = 0) -> None:
        self.place = place
        env = {"PORT": str(port), "LIVETASK_SPOOL_DIR": str(place / "spool")}
        line = ["-c", RUN, str(place), what]
        self.running = Running.start([sys.executable, *line], place / f"{what}-{time.monotonic_ns()}.log", env)

    def address(self) -> str:
        self.running.wait_for_log("livetask is at http://")
        return self.running.log.partition("livetask is at ")[2].split()[0]

    def ready(self) -> str:
        address = self.address()
        self.running.wait_for_log(" ready.")
        return address

    def tree(self) -> set[int]:
        return descendants([self.running.process.pid])


def asked(address: str, path: str, body: dict[str, str] | None = None) -> dict[str, object]:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=90) as answer:
        found: dict[str, object] = json.load(answer)
        return found


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        tree = run.tree()
        run.running.stop()
        for pid in descendants(tree):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.alone
def test_ctrl_c_with_tasks_running_ends_all_within_3_s_and_leaves_nothing(tmp_path: Path, runs: list[Run]) -> None:
    run = Run(tmp_path)
    runs.append(run)
    address = run.ready()
    asked(address, "task", {"task_name": "demo.train"})
    wait_for("the task runs", lambda: asked(address, "api/tasks?state=RUNNING")["tasks"])
    tree = run.tree()
    begun = time.monotonic()
    run.running.process.send_signal(signal.SIGINT)
    assert run.running.process.wait(90) == 0
    assert time.monotonic() - begun < 3
    wait_for("nothing is left", lambda: not descendants(tree))


def test_after_kill_9_nothing_runs_and_the_next_run_still_has_the_task(tmp_path: Path, runs: list[Run]) -> None:
    run = Run(tmp_path)
    runs.append(run)
    address = run.ready()
    asked(address, "task", {"task_name": "demo.fail"})
    failed = wait_for("the task has failed", lambda: asked(address, "api/tasks?state=FAILURE")["tasks"])
    tree = run.tree()
    run.running.kill()
    wait_for("all have ended", lambda: not descendants(tree))

    again = Run(tmp_path)
    runs.append(again)
    tasks = asked(again.address(), "api/tasks")["tasks"]
    assert [task["id"] for task in tasks] == [task["id"] for task in failed]


def test_a_second_run_on_the_same_data_is_told_where_the_first_one_is(tmp_path: Path, runs: list[Run]) -> None:
    first = Run(tmp_path)
    runs.append(first)
    address = first.ready()
    second = Run(tmp_path)
    runs.append(second)
    assert second.running.process.wait(90) == 1
    assert "livetask already runs" in second.running.log
    assert address in second.running.log


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(tmp_path: Path, runs: list[Run]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = Run(tmp_path, port=taken.getsockname()[1])
        runs.append(run)
        assert run.running.process.wait(90) == 2
    assert "PORT=0" in run.running.log
    assert "Traceback" not in run.running.log


def test_a_worker_that_is_killed_is_named_and_ends_the_run_with_1(tmp_path: Path, runs: list[Run]) -> None:
    run = Run(tmp_path)
    runs.append(run)
    run.ready()
    tree = run.tree()
    children = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in tree}
    leader = min(pid for pid, line in children.items() if b"celery" in line and b"worker" in line)
    os.kill(leader, signal.SIGKILL)
    assert run.running.process.wait(90) == 1
    assert "worker ended by itself, killed by SIGKILL" in run.running.log
    wait_for("nothing is left", lambda: not descendants(tree))


def test_the_parts_run_one_by_one_on_the_redis_that_one_of_them_started(tmp_path: Path, runs: list[Run]) -> None:
    store = Run(tmp_path, "redis")
    runs.append(store)
    store.running.wait_for_log("LIVETASK_REDIS_URL=redis://")
    web = Run(tmp_path, "web")
    runs.append(web)
    assert asked(web.address(), "api/tasks")["tasks"] == []


def test_a_part_without_a_redis_says_how_to_get_one(tmp_path: Path, runs: list[Run]) -> None:
    run = Run(tmp_path, "worker")
    runs.append(run)
    assert run.running.process.wait(90) == 2
    assert "make run-redis" in run.running.log
