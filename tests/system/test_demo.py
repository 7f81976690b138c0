"""The mix of demo tasks: started by the command, run by a real worker, each with the output and the end it promises."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from livetask.demo import MIX
from livetask.demo.corpus import shown, stdlib_files
from livetask.demo.model import CONTEXT, Model
from tests.real import warm
from tests.server.serving import clean_environ
from tests.system.reading import asked, ended_task, output_by_offset
from tests.system.rig import CHECKOUT, Dashboard, Rig, free_port


def demo_command(*words: str) -> subprocess.CompletedProcess[str]:
    done = warm.ran([sys.executable, "-m", "livetask.demo", *words], clean_environ(), CHECKOUT)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def dashboard(rig: Rig) -> Dashboard:
    """A dashboard beside a worker with the demo's tasks."""
    redis = rig.redis()
    env = {"LIVETASK_REDIS_URL": redis.url, "LIVETASK_SPOOL_DIR": str(rig.place / "spool")}
    command = ["-m", "celery", "-A", "livetask.demo", "worker", "-c", "8", "-l", "INFO", "-I", "livetask.worker"]
    rig.run("worker", [*command, "--without-mingle", "--without-gossip"], env)
    port = free_port()
    command = ["-m", "celery", "-A", "livetask.demo", "livetask", "--port", str(port)]
    running = rig.run("dashboard", command, env)
    running.wait_for_log(f"livetask is at http://127.0.0.1:{port}/")
    return Dashboard(running, port)


@pytest.mark.timeout(900)
def test_the_mix_of_eight_runs_and_each_task_does_what_it_promises(dashboard: Dashboard) -> None:
    said = demo_command("start", "--quick", "--url", dashboard.url)
    assert said.returncode == 0, said.stderr
    ids = {line.split()[0]: line.rsplit("/", 1)[1] for line in said.stdout.splitlines()}
    assert tuple(ids) == MIX
    tasks = {name: ended_task(dashboard.url, task_id, 600) for name, task_id in ids.items()}
    outputs = {name: output_by_offset_of_last(dashboard.url, task) for name, task in tasks.items()}
    for name, task in tasks.items():
        assert task["name"] == name

    states = {name: task["state"] for name, task in tasks.items()}
    may_fail = {"demo.make_venv": states["demo.make_venv"]}
    failing = dict.fromkeys(("demo.fail", "demo.segfault"), "FAILURE")
    assert states == dict.fromkeys(MIX, "SUCCESS") | failing | may_fail

    whole_or_in_time(tasks["demo.hash_python"], outputs["demo.hash_python"], 10)
    assert b"files/s" in outputs["demo.hash_python"] or b"file/s" in outputs["demo.hash_python"]
    assert outputs["demo.compile_stdlib"].count(b"Compiling '") > 300
    assert b"modules compiled" in outputs["demo.compile_stdlib"]
    assert b"INFO" in outputs["demo.train"]
    assert b"it writes: " in outputs["demo.train"]
    assert tasks["demo.train"]["progress"]["total"] == tasks["demo.train"]["progress"]["current"]
    assert b"Fatal Python error: Segmentation fault" in outputs["demo.segfault"]
    assert b"ctypes/__init__.py" in outputs["demo.segfault"]
    assert last_run(tasks["demo.segfault"])["detail"]["signal"] == "SIGSEGV"
    detail = last_run(tasks["demo.fail"])["detail"]
    assert detail["exception"].startswith("ReportUnreadable: ")
    assert "JSONDecodeError" in detail["traceback"]
    assert "direct cause" in detail["traceback"]
    assert [run["how"] for run in tasks["demo.retry"]["runs"]] == ["RETRY", "RETRY", "SUCCESS"]
    assert b"is here" in outputs["demo.retry"]
    assert b"300,000 lines in" in outputs["demo.flood"]
    made_or_clear(tasks["demo.make_venv"], outputs["demo.make_venv"])


def test_hashing_ends_with_all_files_or_when_its_time_is_over(dashboard: Dashboard) -> None:
    """With one round it is a matter of reading the files; with no time none is read."""
    limits = {"all": {"seconds": 120, "rounds": 1}, "none": {"seconds": 0}}
    ids = {}
    for name, kwargs in limits.items():
        answer = asked(f"{dashboard.url}/task", {"task_name": "demo.hash_python", "kwargs": kwargs})
        assert answer.status == 201, answer
        ids[name] = answer.json["data"]
    tasks = {name: ended_task(dashboard.url, task_id, 300) for name, task_id in ids.items()}
    outputs = {name: output_by_offset_of_last(dashboard.url, task) for name, task in tasks.items()}
    assert whole_or_in_time(tasks["all"], outputs["all"], 120) == len(stdlib_files())
    assert whole_or_in_time(tasks["none"], outputs["none"], 0) == 0


def whole_or_in_time(task: dict[str, Any], output: bytes, seconds: int) -> int:
    """How many files it says were hashed: all, with a full bar; or fewer, because its own time was over."""
    assert task["state"] == "SUCCESS"
    total = len(stdlib_files())
    assert output.startswith(f"{total} files of Python".encode())
    said = re.search(rb"^(\d+) files, [\d,]+ bytes: [0-9a-f]{64}\r?$", output, re.MULTILINE)
    assert said is not None, output[-500:]
    done = int(said[1])
    assert (b"100%|" in output) == (done == total)
    assert (f"stopped after {seconds} s".encode() in output) == (done < total)
    return done


def made_or_clear(task: dict[str, Any], output: bytes) -> None:
    """A machine without a package index gets a clear failure, any other one an environment."""
    if task["state"] == "SUCCESS":
        assert b"Successfully installed packaging" in output
        assert b"No broken requirements found" in output
    else:
        assert last_run(task)["detail"]["exception"].startswith("NoIndexReachable: pip could not install")


def last_run(task: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = task["runs"][-1]
    return found


def output_by_offset_of_last(url: str, task: dict[str, Any]) -> bytes:
    """The last run's output from the first byte that is kept."""
    run = last_run(task)
    if run["first"] == "1-0":
        return output_by_offset(url, task["id"])
    answer = asked(f"{url}/api/tasks/{task['id']}/runs/last/log?tail=100")
    return "\n".join(answer.json["lines"]).encode()


def test_the_command_says_what_to_do_when_no_dashboard_answers() -> None:
    said = demo_command("start", "--url", f"http://127.0.0.1:{free_port()}")
    assert said.returncode == 1
    assert "make run" in said.stderr
    assert "Traceback" not in said.stderr


def test_the_command_tells_why_a_task_was_refused(rig: Rig) -> None:
    redis = rig.redis()
    dashboard = rig.serve(redis.url)
    said = demo_command("start", "--url", dashboard.url, "demo.flood")
    assert said.returncode == 1
    assert said.stderr.startswith("demo.flood: ")
    assert "Traceback" not in said.stderr


def test_the_app_lists_exactly_its_own_tasks_and_takes_no_pickle() -> None:
    shows = (
        "import json; from livetask.demo import app; import livetask.demo.tasks; app.finalize(); "
        "print(json.dumps([sorted(n for n in app.tasks if not n.startswith('celery.')), "
        "app.conf.livetask_available_tasks, app.conf.accept_content, app.conf.result_accept_content]))"
    )
    said = subprocess.run([sys.executable, "-c", shows], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    tasks, available, accepted, results_accepted = json.loads(said.stdout)
    assert sorted(MIX) == tasks == sorted(available)
    assert accepted == results_accepted == ["json"]


def test_the_corpus_is_the_standard_library_without_installed_packages() -> None:
    files = stdlib_files(".py")
    assert {"json/decoder.py", "asyncio/events.py", "ast.py"} <= {shown(path) for path in files}
    assert files == sorted(files)
    assert not [path for path in files if {"site-packages", "__pycache__"} & set(Path(shown(path)).parts)]


def test_the_model_learns_what_always_follows() -> None:
    model = Model("abc")
    numbers = model.encoded("abc" * 200)
    before = model.loss(numbers, 50)
    for _ in range(3):
        for place in range(CONTEXT, len(numbers)):
            model.learn(numbers[place - CONTEXT : place], numbers[place], 0.5)
    assert model.loss(numbers, 50) < before / 10
    assert "abcabcabc" in model.written(30, 1)
