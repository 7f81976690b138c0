"""Six tasks at once in every pool: each character arrives once, in order, under its own task, and under no other."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.oracle.verdict import judging
from tests.system.apps.plan import KINDS, Step, steps
from tests.system.pools import NOT_SHOWN, POOLS, ROWS, table
from tests.system.reading import asked, ended_task, output_as_text, output_by_offset, output_in_redis
from tests.system.rig import CHECKOUT, Rig, Running, wait_for
from tests.system.sending import sent
from tests.system.viewers import must_equal

MARKS = "ABCDEF"
ROUNDS = 6
CONCURRENCY = {"prefork": 3, "solo": 1, "threads": 6, "gevent": 6, "eventlet": 6}


@pytest.mark.parametrize("pool", POOLS)
def test_six_tasks_at_once_each_show_exactly_what_they_wrote(rig: Rig, pool: str) -> None:
    redis = rig.redis()
    # broker and result backend on other databases: what is read below is livetask's alone
    env = rig.app_env(redis.url, LIVETASK_CAPTURE_LEVEL="DEBUG", LIVETASK_AVAILABLE_TASKS="sixfold.*")
    worker = rig.worker("sixfold", env, pool, CONCURRENCY[pool])
    dashboard = rig.celery_livetask("sixfold", env)
    task_ids = {mark: started(dashboard.url, mark) for mark in MARKS}

    outputs = {}
    for mark, task_id in task_ids.items():
        task = ended_task(dashboard.url, task_id, 200)
        assert task["state"] == "SUCCESS", (task, worker.log[-3000:])
        assert len(task["runs"]) == 1
        outputs[mark] = output_by_offset(dashboard.url, task_id)
        stderr_must_be_told_apart(dashboard.url, task_id, outputs[mark])
        must_equal(output_as_text(dashboard.url, task_id), outputs[mark])
        with redis.client() as client:
            must_equal(output_in_redis(client, task_id), outputs[mark])

    if pool != "solo":
        assert overlapping(dashboard.url, list(task_ids.values())), "the tasks did not run at once"
    for mark, output in outputs.items():
        shown = [step for step in steps(mark, ROUNDS) if step.kind not in NOT_SHOWN[pool]]
        with judging():
            must_hold_exactly(output, shown)
            for other in MARKS.replace(mark, ""):
                assert f"<{other}:".encode() not in output
    elsewhere(worker, pool)


def started(url: str, mark: str) -> str:
    """Start the task that writes the steps of this mark, and return its id."""
    answer = asked(f"{url}/task", {"task_name": "sixfold.write", "args": [mark, ROUNDS], "kwargs": {}})
    assert answer.json["status"] == "success", answer
    return str(answer.json["data"])


def stderr_must_be_told_apart(url: str, task_id: str, output: bytes) -> None:
    """Lines that Python wrote to stderr are told to be stderr's, and no others."""
    tokens = [step.token.encode() for mark in MARKS for step in steps(mark, ROUNDS) if step.kind == "stderr"]
    wanted = [number for number, line in enumerate(output.split(b"\n"), 1) if any(token in line for token in tokens)]
    told = asked(f"{url}/api/tasks/{task_id}/runs/1/marks").json["stderr"]
    assert wanted
    assert [line for first, last in told for line in range(first, last + 1)] == wanted


def overlapping(url: str, task_ids: list[str]) -> bool:
    """Whether at least two of the tasks ran at the same time."""
    tasks = [asked(f"{url}/api/tasks/{task_id}").json for task_id in task_ids]
    spans = sorted((task["began_at"], task["ended_at"]) for task in tasks)
    return any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))


def must_hold_exactly(output: bytes, wanted: list[Step]) -> None:
    """Fail unless ``output`` is these steps, one after another, and nothing else."""
    at = 0
    for step in wanted:
        if step.is_record:
            end = output.find(b"\n", at) + 1
            record = output[at:end]
            assert record.endswith(step.data), (step, record, output[at : at + 300])
            assert step.level.encode() in record, (step, record)
            # only the formatter's words stand before it
            assert record.count(b"<") == 1, record
            assert len(record) < 200, record
            at = end
        else:
            assert output[at : at + len(step.data)] == step.data, (step, output[max(0, at - 100) : at + 300])
            at += len(step.data)
    assert output[at:] == b"", output[at : at + 1000]


def elsewhere(worker: Running, pool: str) -> None:
    """The worker's own output holds every piece, shown or not, exactly once, as without livetask.

    But for log records below the console's level, which it never had. It gets them a moment later.
    """
    for mark in MARKS:
        worker.wait_for_log(f"<{mark}:c_write:{len(KINDS) * ROUNDS - 1:05}:")
    console = worker.log_file.read_bytes()
    for mark in MARKS:
        for step in steps(mark, ROUNDS):
            quiet = step.is_record and step.level in ("DEBUG", "INFO")
            found = console.count(step.token.encode())
            assert found == (0 if quiet else 1), (pool, step, found)


def test_every_kind_of_writing_stands_in_the_table_once() -> None:
    assert sorted(kind for row in ROWS for kind in row.kinds) == sorted(KINDS)
    assert set(NOT_SHOWN) == set(POOLS)
    assert all(kind in KINDS for kinds in NOT_SHOWN.values() for kind in kinds)


def test_the_readme_shows_the_table_that_the_tests_assert() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    found = re.search(r"<!-- pools -->\n(.*?)\n?<!-- /pools -->", readme, re.DOTALL)
    assert found, "no markers <!-- pools --> in the README"
    assert found[1].strip() == table()


def test_a_worker_without_livetask_stores_nothing(rig: Rig) -> None:
    """The check of the checks: what is seen above comes from livetask and from nothing else."""
    redis = rig.redis()
    env = rig.app_env(redis.url)
    rig.worker("sixfold", env, "threads", 2, livetask=False)
    task_id = sent(env, "sixfold.simple", 10)
    with redis.client() as client:
        wait_for("the result", lambda: client.get(f"celery-task-meta-{task_id}"))
        assert list(client.keys("livetask:*")) == []
