"""livetask broken on purpose never changes what a task does, returns or raises."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.disks import fill, small_disk
from tests.system.reading import ended_task, output_by_offset
from tests.system.rig import Redis, Rig, free_port, wait_for
from tests.system.sending import result_of, sent

LINES = 3000
SIMPLE = b"".join(b"line %d\n" % number for number in range(LINES))


def tasks_do_what_they_do(env: dict[str, str], within_s: float = 90) -> None:
    """Run a task of each sort and check its result."""
    simple = [sent(env, "sixfold.simple", LINES) for _ in range(3)]
    write, fail = sent(env, "sixfold.write_plainly", "A", 3), sent(env, "sixfold.fail", "as it should")
    for task_id in simple:
        assert result_of(env, task_id, within_s) == sum(range(LINES))
    assert result_of(env, write, within_s) == "A"
    with pytest.raises(ValueError, match="as it should"):
        result_of(env, fail, within_s)


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_the_tasks_do_the_same_without_livetask(rig: Rig, broker: Redis, pool: str) -> None:
    """The check of the checks: what must not change is so without livetask."""
    env = rig.app_env(broker.url)
    rig.worker("sixfold", env, pool, livetask=False)
    tasks_do_what_they_do(env)


@pytest.fixture
def broker(rig: Rig) -> Redis:
    return rig.redis()


@pytest.mark.alone
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_redis_that_is_away_is_waited_for_by_no_task_and_gets_all_when_it_comes(
    rig: Rig, broker: Redis, pool: str
) -> None:
    store = Redis(rig.place / "late")
    rig.started.append(store)
    env = rig.app_env(broker.url, LIVETASK_REDIS_URL=store.url)
    worker = rig.worker("sixfold", env, pool)
    tasks_do_what_they_do(env)
    began = time.monotonic()
    task_id = sent(env, "sixfold.simple", LINES)
    assert result_of(env, task_id) == sum(range(LINES))
    assert time.monotonic() - began < 5
    worker.wait_for_log("Traceback")
    assert worker.log.count("Traceback") == 1, "of the task that fails, and no other"
    store.start()
    dashboard = rig.serve(store.url)
    assert ended_task(dashboard.url, task_id)["state"] == "SUCCESS"
    assert output_by_offset(dashboard.url, task_id) == SIMPLE


def test_redis_that_swallows_everything_is_waited_for_by_no_task(rig: Rig, broker: Redis) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = rig.app_env(broker.url, LIVETASK_REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        rig.worker("sixfold", env)
        tasks_do_what_they_do(env)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIVETASK_NO_SUCH_SETTING", "1"),
        ("LIVETASK_CHUNK_BYTES", "many"),
        ("LIVETASK_CAPTURE_LEVEL", "LOUD"),
        ("LIVETASK_REDIS_URL", "amqp://localhost"),
        ("LIVETASK_REDIS_URL", "redis://127.0.0.1:notaport/0"),
        ("LIVETASK_SPOOL_DIR", "/proc/no/such/place"),
        ("LIVETASK_SPOOL_DIR", "/dev/null"),
    ],
)
def test_a_bad_setting_is_told_once_and_changes_no_task(rig: Rig, broker: Redis, name: str, value: str) -> None:
    env = rig.app_env(broker.url) | {name: value}
    worker = rig.worker("sixfold", env)
    tasks_do_what_they_do(env)
    worker.wait_for_log("livetask")


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", 24) as place:
        yield place


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_full_disk_changes_no_task(rig: Rig, broker: Redis, full_disk: Path, pool: str) -> None:
    fill(full_disk)
    env = rig.app_env(broker.url) | {"LIVETASK_SPOOL_DIR": str(full_disk / "spool")}
    rig.worker("sixfold", env, pool)
    tasks_do_what_they_do(env)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
@pytest.mark.parametrize("task", ["print_and_log", "write_plainly"])
def test_a_disk_that_fills_up_in_the_middle_of_a_task_changes_no_task(
    rig: Rig, broker: Redis, full_disk: Path, pool: str, task: str
) -> None:
    # nothing is shipped, so nothing is freed
    gone = f"redis://127.0.0.1:{free_port()}/0"
    env = rig.app_env(broker.url, LIVETASK_REDIS_URL=gone) | {"LIVETASK_SPOOL_DIR": str(full_disk / "spool")}
    rig.worker("sixfold", env, pool)
    task_id = sent(env, f"sixfold.{task}", "A", 60, 0.005)
    wait_for("the run has begun", lambda: list(full_disk.rglob("*.run")))
    fill(full_disk)
    assert result_of(env, task_id) == "A"
    tasks_do_what_they_do(env)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_files_that_may_not_grow_change_no_task(rig: Rig, broker: Redis, pool: str) -> None:
    gone = f"redis://127.0.0.1:{free_port()}/0"
    env = rig.app_env(broker.url, LIVETASK_REDIS_URL=gone, SYSTEM_FILE_BYTES=str(2 * 1024 * 1024))
    rig.worker("sixfold", env, pool, imports=("tests.system.apps.small_files",), console=False)
    big = sent(env, "sixfold.simple", 250_000)
    assert result_of(env, big) == sum(range(250_000))
    tasks_do_what_they_do(env)


def test_a_redis_that_is_full_changes_no_task(rig: Rig, broker: Redis) -> None:
    store = rig.redis()
    with store.client() as client:
        client.config_set("maxmemory", "1")
        client.config_set("maxmemory-policy", "noeviction")
    env = rig.app_env(broker.url, LIVETASK_REDIS_URL=store.url)
    rig.worker("sixfold", env)
    tasks_do_what_they_do(env)


def test_a_redis_with_a_wrong_password_changes_no_task_and_is_told_without_it(rig: Rig, broker: Redis) -> None:
    store = rig.redis()
    with store.client() as client:
        client.config_set("requirepass", "right")
    url = store.url.replace("redis://", "redis://:wr0ngw0rd@")
    env = rig.app_env(broker.url, LIVETASK_REDIS_URL=url)
    worker = rig.worker("sixfold", env)
    tasks_do_what_they_do(env)
    assert "wr0ngw0rd" not in worker.log


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads", "gevent", "eventlet"])
def test_exceptions_inside_livetask_change_no_task(rig: Rig, broker: Redis, pool: str) -> None:
    """Now and then at first, then wherever livetask does anything."""
    begins = rig.place / "sabotage"
    env = rig.app_env(broker.url, SYSTEM_SABOTAGE="0.05", SYSTEM_SABOTAGE_FROM=str(begins))
    worker = rig.worker("sixfold", env, pool, 4, imports=("tests.system.apps.sabotage",))
    dashboard = rig.serve(broker.url)
    task_id = sent(env, "sixfold.simple", LINES)
    assert ended_task(dashboard.url, task_id)["state"] == "SUCCESS"
    assert output_by_offset(dashboard.url, task_id) == SIMPLE
    for when, rounds in ((begins, 3), (begins.with_suffix(".always"), 2)):
        when.touch()
        for _ in range(rounds):
            tasks_do_what_they_do(env)
        worker.wait_for_log("Sabotaged")  # else nothing was broken, and nothing is shown


@pytest.mark.alone
def test_a_silent_redis_does_not_hold_up_the_next_task(rig: Rig, broker: Redis) -> None:
    """Many short tasks, one after another: with a Redis that never answers they take as long as without livetask."""
    env = rig.app_env(broker.url)
    rig.worker("sixfold", env, concurrency=1, livetask=False)
    plain_s = seconds_for_each(env, 40)
    rig.started.pop().stop()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = rig.app_env(broker.url, LIVETASK_REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        rig.worker("sixfold", env, concurrency=1)
        broken_s = seconds_for_each(env, 40)
    # opening and closing a spool takes about a millisecond; a wait for Redis would be far more
    assert broken_s < plain_s + 0.025, f"{broken_s * 1000:.1f} ms a task, without livetask {plain_s * 1000:.1f} ms"


def seconds_for_each(env: dict[str, str], count: int) -> float:
    """How long each of so many short tasks takes, from the end of the first to the end of the last."""
    result_of(env, sent(env, "sixfold.simple", 1))
    began = time.monotonic()
    for task_id in [sent(env, "sixfold.simple", 1) for _ in range(count)]:
        result_of(env, task_id)
    return (time.monotonic() - began) / count
