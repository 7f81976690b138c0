"""Events outlive what happens to Redis, to the worker and to the server between the task and its sender."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import redis

from tests.stirfried.conftest import Client, a_place


async def test_a_redis_that_forgets_all_is_sent_the_events_again_and_the_sender_is_told_each_once(
    tmp_path: Path,
) -> None:
    with a_place(tmp_path) as place:
        async with place.server() as server, Client(server.url) as client:
            task_id = await client.send("gate", str(tmp_path / "go"))
            await client.until(task_id, "on_progress")
            with redis.Redis.from_url(place.url) as store:
                store.delete(*[key for key in store.keys("livetask*") if b"bell" not in key])  # type: ignore[union-attr]
            (tmp_path / "go").touch()
            await client.until(task_id)
            assert client.names(task_id) == ["on_progress"] * 3 + ["on_success", "on_return"]


async def test_a_worker_that_is_killed_leaves_its_events_to_the_next_one(tmp_path: Path) -> None:
    with a_place(tmp_path, LIVETASK_LEASE_S="3") as place:
        async with place.server() as server, Client(server.url) as client:
            task_id = await client.send("gate", str(tmp_path / "never"))
            await client.until(task_id, "on_progress")
            place.kill_worker()
            place.start_worker()
            told = await client.until(task_id)
            assert client.names(task_id) == ["on_progress", "on_failure", "on_return"]
            assert told[-1][1]["status"] == "FAILURE"


@pytest.mark.parametrize("pool", ["threads", "gevent", "solo"])
async def test_events_are_told_in_every_pool(tmp_path: Path, pool: str) -> None:
    with a_place(tmp_path, pool=pool) as place:
        async with place.server() as server, Client(server.url) as client:
            ids = [await client.send("interleave", 30) for _ in range(3)]
            for task_id in ids:
                await client.until(task_id)
                assert client.names(task_id) == ["on_progress"] * 30 + ["on_success", "on_return"]
            failed = await client.send("fails", "no")
            await client.until(failed)
            assert client.names(failed) == ["on_failure", "on_return"]


async def test_a_server_that_stops_loses_no_event_for_a_sender_that_comes_back(tmp_path: Path) -> None:
    with a_place(tmp_path) as place:
        async with place.server() as first, Client(first.url) as client:
            task_id = await client.send("gate", str(tmp_path / "go"))
            await client.until(task_id, "on_progress")
            await first.stop(signal.SIGKILL)
            (tmp_path / "go").touch()
        async with place.server() as second, Client(second.url) as back:
            cursor = client.of(task_id)[-1][1]["cursor"]
            await back.ask("subscribe", {"task_id": task_id, "mode": "events", "events_from": cursor})
            await back.until(task_id)
            assert back.names(task_id) == ["on_progress"] * 2 + ["on_success", "on_return"]
