"""The dashboard beside a worker, by both of its commands, and with brokers that are not Redis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.reading import asked, ended_task, output_by_offset
from tests.system.rig import CHECKOUT, Rig, free_port
from tests.system.sending import result_of, sent

SIMPLE = b"".join(b"line %d\n" % number for number in range(50))


def without_redis(place: Path) -> dict[str, str]:
    """The environment of an app whose broker and result backend are directories."""
    for name in ("queue", "results"):
        (place / name).mkdir()
    return {
        "SYSTEM_BROKER_URL": "filesystem://",
        "SYSTEM_FILESYSTEM": str(place / "queue"),
        "SYSTEM_BACKEND_URL": f"file://{place}/results",
        "LIVETASK_SPOOL_DIR": str(place / "spool"),
    }


def test_both_commands_show_the_same_task_beside_its_worker(rig: Rig) -> None:
    redis = rig.redis()
    env = rig.app_env(redis.url)
    rig.worker("sixfold", env)
    by_celery, by_itself = rig.celery_livetask("sixfold", env), rig.serve(redis.url)
    task_id = sent(env, "sixfold.simple", 50)
    for dashboard in (by_celery, by_itself):
        assert ended_task(dashboard.url, task_id)["name"] == "sixfold.simple"
        assert output_by_offset(dashboard.url, task_id) == SIMPLE
        assert task_id in asked(f"{dashboard.url}/api/tasks").body.decode()


def test_another_broker_works_with_a_redis_of_livetasks_own_in_the_environment(rig: Rig) -> None:
    redis = rig.redis()
    env = without_redis(rig.place) | {"LIVETASK_REDIS_URL": redis.url, "LIVETASK_AVAILABLE_TASKS": "sixfold.*"}
    rig.worker("sixfold", env)
    dashboard = rig.celery_livetask("sixfold", env)
    started = asked(f"{dashboard.url}/task", {"task_name": "sixfold.simple", "args": [50], "kwargs": {}})
    task_id = started.json["data"]
    assert ended_task(dashboard.url, task_id)["state"] == "SUCCESS"
    assert output_by_offset(dashboard.url, task_id) == SIMPLE


def test_another_broker_works_with_a_redis_of_livetasks_own_in_the_configuration(rig: Rig) -> None:
    redis = rig.redis()
    env = without_redis(rig.place) | {"SYSTEM_LIVETASK_REDIS_URL": redis.url}
    rig.worker("configured", env)
    dashboard = rig.celery_livetask("configured", env)
    task_id = sent(env, "sixfold.simple", 50)
    assert ended_task(dashboard.url, task_id)["state"] == "SUCCESS"
    assert output_by_offset(dashboard.url, task_id) == SIMPLE


def test_another_broker_without_a_redis_is_a_clear_error_and_tasks_run_as_before(rig: Rig) -> None:
    env = without_redis(rig.place)
    worker = rig.worker("sixfold", env)
    task_id = sent(env, "sixfold.simple", 50)
    assert result_of(env, task_id) == sum(range(50))
    worker.wait_for_log("livetask_redis_url")
    assert worker.log.count("livetask needs a Redis or Valkey server") == 1
    code, said = said_by(rig, ["-m", "celery", "-A", "tests.system.apps.sixfold", "livetask"], env)
    assert code != 0
    assert "livetask needs a Redis or Valkey server" in said
    assert "livetask_redis_url" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        (["--host", "0.0.0.0"], "--insecure"),
        (["--redis-url", "amqp://localhost"], "redis"),
        (["--port", "70000"], "port"),
    ],
)
def test_serve_refuses_what_cannot_be_with_one_sentence(rig: Rig, flags: list[str], hint: str) -> None:
    base = ["-m", "livetask", "serve", "--redis-url", "redis://127.0.0.1:1/0", "--port", str(free_port())]
    code, said = said_by(rig, base + flags, {})
    assert code != 0
    assert hint in said.lower()
    assert "Traceback" not in said


def said_by(rig: Rig, command: list[str], more_env: dict[str, str]) -> tuple[int, str]:
    """Run a command that ends by itself; its exit code, and all that it wrote."""
    running = rig.run("command", command, more_env)
    try:
        code = running.process.wait(90)
    except subprocess.TimeoutExpired:
        pytest.fail(f"still runs: {[sys.executable, *command]} in {CHECKOUT}\n{running.log}")
    return code, running.log
