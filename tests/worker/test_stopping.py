"""Stopping tasks through the server, with real workers of every pool: what they do, and what the client is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import socketio

from tests.server.serving import Client, served
from tests.system.rig import wait_for
from tests.worker.conftest import Starter, Worker
from tests.worker.tasks import make_app

POOLS = ["prefork", "threads", "gevent", "eventlet", "solo"]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker answers is judged here, however long it takes."""
    monkeypatch.setattr("livetask.server.control._ANSWER_S", 30.0)


@asynccontextmanager
async def serving(starter: Starter, app: Any, **settings: Any) -> AsyncIterator[Client]:
    """A server beside the starter's workers, which may start all of their tasks."""
    given = {"prefix": starter.prefix, "available_tasks": "tests.*", "broker_timeout_s": 60, **settings}
    async with served(starter.url, app, **given) as client:
        yield client


async def stopped(client: Client, task_id: str, **query: Any) -> tuple[int, dict[str, Any]]:
    async with client.delete(f"/task/{task_id}", params={name: str(value) for name, value in query.items()}) as answer:
        return answer.status, await answer.json()


async def task_of(client: Client, task_id: str) -> dict[str, Any]:
    async with client.get(f"/api/tasks/{task_id}") as answer:
        found = await answer.json()
        assert isinstance(found, dict)
        return found


async def begun(worker: Worker, task_id: str, output: bytes = b"working\n") -> None:
    await waited("its output", lambda: worker.stored.output(task_id).startswith(output))


async def waited(what: str, seen: Any, within_s: float = 90) -> Any:
    return await asyncio.to_thread(wait_for, what, seen, within_s)


async def ended(worker: Worker, task_id: str) -> dict[str, str]:
    return await asyncio.to_thread(worker.stored.ended, task_id)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_with(mark: bytes) -> list[str]:
    """The processes that have it in their environment."""
    found = []
    for item in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in item.read_bytes().split(b"\0"):
                found.append(item.parent.name)
    return found


@pytest.mark.alone
@pytest.mark.parametrize("pool", POOLS)
async def test_a_cancelled_task_ends_at_its_next_checkpoint_within_a_second(
    starter: Starter, tmp_path: Path, pool: str
) -> None:
    worker = await asyncio.to_thread(starter.start, pool)
    async with serving(starter, worker.app) as client:
        task_id = worker.send("until_cancelled", str(tmp_path / "never"), "raise")
        await begun(worker, task_id)
        asked_s = time.monotonic()
        status, answer = await stopped(client, task_id)
        assert (status, answer["status"], answer["outcome"]) == (200, "success", "cancelling")
        await ended(worker, task_id)
        assert time.monotonic() - asked_s < 1.5
        task = await task_of(client, task_id)
    assert (task["state"], task["runs"][0]["how"]) == ("REVOKED", "REVOKED")
    assert task["runs"][0]["detail"] == {"reason": "cancelled by 127.0.0.1"}
    assert (task["revoked_by"], task["stopping_at"]) == ("127.0.0.1", None)
    assert worker.stored.output(task_id) == b"working\ncleaned up\n"
    assert task["runs"][0]["pool"] == pool


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
async def test_a_task_that_asks_whether_it_is_cancelled_may_end_as_it_likes(
    starter: Starter, tmp_path: Path, pool: str
) -> None:
    worker = await asyncio.to_thread(starter.start, pool)
    async with serving(starter, worker.app) as client:
        task_id = worker.send("until_cancelled", str(tmp_path / "never"), "return")
        await begun(worker, task_id)
        await stopped(client, task_id)
        task = await ended(worker, task_id)
    assert (task["state"], task["result"]) == ("SUCCESS", "'tidied up'")
    assert "stopping_at" not in task


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
async def test_a_pool_that_can_terminates_a_running_task_and_its_whole_tree(
    starter: Starter, tmp_path: Path, pool: str
) -> None:
    worker = await asyncio.to_thread(starter.start, pool)
    children = tmp_path / "children"
    async with serving(starter, worker.app) as client:
        task_id = worker.send("family", str(children))
        await waited("its children", lambda: children.exists() and children.read_text())
        await waited("its run is stored", lambda: "1.nonce" in worker.stored.task(task_id))
        mark = f"_LIVETASK_WITHIN={(await task_of_stored(worker, task_id))['1.nonce']}".encode()
        await waited("all of them", lambda: len(processes_with(mark)) >= 5)
        status, answer = await stopped(client, task_id, terminate=1)
        assert (status, answer["outcome"]) == (200, "terminated")
        await ended(worker, task_id)
        task = await task_of(client, task_id)
    assert task["state"] == "REVOKED"
    assert task["runs"][0]["detail"]["reason"] == "terminated by 127.0.0.1"
    pids = [int(text) for text in children.read_text().split()]
    assert len(pids) == (5 if pool == "prefork" else 4)
    await waited(f"the end of {pids}", lambda: not any(is_alive(pid) for pid in pids))
    await waited("the end of what they had started", lambda: not processes_with(mark))


@pytest.mark.parametrize("pool", ["threads", "solo"])
async def test_a_pool_that_cannot_terminate_is_told_of_in_words_and_with_a_code(
    starter: Starter, tmp_path: Path, pool: str
) -> None:
    worker = await asyncio.to_thread(starter.start, pool)
    flag = tmp_path / "flag"
    async with serving(starter, worker.app) as client:
        task_id = worker.send("wait_until", str(flag))
        await begun(worker, task_id, b"waiting\n")
        status, answer = await stopped(client, task_id, terminate=1)
        assert (status, answer["status"], answer["code"]) == (409, "failed", "cannot_terminate")
        assert f"the {pool} pool of worker" in answer["data"]
        task = await task_of(client, task_id)
        assert (task["state"], task["stopping_by"], task["stopping_how"]) == ("RUNNING", "127.0.0.1", "terminate")
        assert "cannot terminate" in task["stopping_note"]
        flag.touch()
        assert (await ended(worker, task_id))["state"] == "SUCCESS"
        task = await task_of(client, task_id)
    assert (task["stopping_at"], task["stopping_note"], task["revoked_by"]) == (None, None, None)


async def test_a_worker_that_says_nothing_is_told_of(starter: Starter, tmp_path: Path) -> None:
    worker = await asyncio.to_thread(starter.start, "prefork")
    async with serving(starter, worker.app, broker_timeout_s=2) as client:
        task_id = worker.send("wait_until", str(tmp_path / "never"))
        await begun(worker, task_id, b"waiting\n")
        await asyncio.to_thread(worker.kill_all)
        status, answer = await stopped(client, task_id, terminate=1)
    assert (status, answer["code"]) == (409, "no_answer")
    assert "did not answer within 1 s" in answer["data"]


async def test_a_grace_ends_early_when_the_task_does(starter: Starter, tmp_path: Path) -> None:
    worker = await asyncio.to_thread(starter.start, "prefork")
    async with serving(starter, worker.app) as client:
        task_id = worker.send("until_cancelled", str(tmp_path / "never"), "raise")
        await begun(worker, task_id)
        _, answer = await stopped(client, task_id, terminate=1, grace_s=600)
        assert answer["outcome"] == "stopping"
        task = await ended(worker, task_id)
    assert task["state"] == "REVOKED"
    assert worker.stored.detail(task_id)["reason"] == "cancelled by 127.0.0.1"


@pytest.mark.alone
async def test_after_the_grace_a_task_is_terminated_although_its_client_is_gone(
    starter: Starter, tmp_path: Path
) -> None:
    worker = await asyncio.to_thread(starter.start, "prefork")
    async with serving(starter, worker.app) as client:
        task_id = worker.send("wait_until", str(tmp_path / "never"))
        await begun(worker, task_id, b"waiting\n")
        asked_s = time.monotonic()
        async with socketio.AsyncSimpleClient() as viewer:
            await viewer.connect(str(client.make_url("/")), transports=["websocket"])
            wish = {"task_id": task_id, "terminate": True, "grace_s": 1}
            assert (await viewer.call("revoke_task", wish))["outcome"] == "stopping"
        task = await task_of(client, task_id)
        assert (task["state"], task["stopping_by"], task["stopping_how"]) == ("RUNNING", "127.0.0.1", "cancel")
        stored = await ended(worker, task_id)
        assert 1 <= time.monotonic() - asked_s < 4
    assert stored["state"] == "REVOKED"
    assert worker.stored.detail(task_id)["signal"] == "SIGTERM"


async def test_a_server_that_stops_carries_out_what_it_has_promised(starter: Starter, tmp_path: Path) -> None:
    worker = await asyncio.to_thread(starter.start, "prefork")
    async with serving(starter, worker.app) as client:
        task_id = worker.send("wait_until", str(tmp_path / "never"))
        await begun(worker, task_id, b"waiting\n")
        await stopped(client, task_id, terminate=1, grace_s=600)
    assert (await ended(worker, task_id))["state"] == "REVOKED"


@pytest.mark.parametrize("pool", POOLS)
async def test_a_worker_that_starts_later_obeys_a_revoke(starter: Starter, tmp_path: Path, pool: str) -> None:
    app = make_app(starter.url, f"{starter.prefix}-0")
    async with serving(starter, app) as client:
        async with client.post("/task", json={"task_name": "tests.say", "args": ["never"]}) as answer:
            known = (await answer.json())["data"]
        unknown = app.send_task("tests.say", ("never",), task_id=f"unknown-{starter.prefix}").id
        async with socketio.AsyncSimpleClient() as viewer:
            await viewer.connect(str(client.make_url("/")), transports=["websocket"])
            for task_id in (known, unknown):
                answer = await viewer.call("revoke_task", task_id)
                assert (answer["status"], answer["outcome"]) == ("success", "revoked")
        task = await task_of(client, known)
        assert (task["state"], task["revoked_by"]) == ("REVOKED", "127.0.0.1")
        assert task["revoked_at"] == task["ended_at"]
        worker = await asyncio.to_thread(starter.start, pool)
        last = worker.send("say", "after them")
        assert (await ended(worker, last))["state"] == "SUCCESS"
        assert "never" not in worker.log
        assert (await ended(worker, unknown))["state"] == "REVOKED"
        task = await task_of(client, unknown)
        assert (task["state"], task["revoked_by"], task["runs"]) == ("REVOKED", "127.0.0.1", [])
    app.close()
    assert (await task_of_stored(worker, known))["state"] == "REVOKED"


async def task_of_stored(worker: Worker, task_id: str) -> dict[str, str]:
    return await asyncio.to_thread(worker.stored.task, task_id)


async def test_a_worker_that_missed_what_celery_told_hears_it_from_redis(starter: Starter, tmp_path: Path) -> None:
    worker = await asyncio.to_thread(starter.start, "prefork")
    from livetask.keys import Keys, bucket_of
    from livetask.scripts import script

    task_id, keys = f"missed-{starter.prefix}", Keys(starter.prefix)
    bucket = bucket_of(task_id)
    names = [keys.task(task_id), keys.stops(bucket), keys.recent(bucket), keys.bell(bucket)]
    words = [task_id, "cancel", "somebody", "86400000", "100", "100"]
    assert worker.stored.client.eval(script("stop").text, 4, *names, *words) == [b"UNKNOWN"]
    await waited(
        "the shipper has told", lambda: any(task_id in path.read_text() for path in starter.directory.rglob("stops"))
    )
    worker.app.send_task("tests.say", ("never",), task_id=task_id)
    task = await ended(worker, task_id)
    assert (task["state"], task["revoked_by"]) == ("REVOKED", "somebody")
    assert "runs" not in task


async def test_a_worker_starts_although_redis_cannot_say_what_was_revoked(starter: Starter) -> None:
    worker = await asyncio.to_thread(starter.start, "threads", redis_url="redis://127.0.0.1:1/0")
    await waited("it says so", lambda: "what was revoked is not known yet" in worker.log)


async def test_many_tasks_are_cancelled_with_one_answer_for_each(starter: Starter, tmp_path: Path) -> None:
    worker = await asyncio.to_thread(starter.start, "threads")
    async with serving(starter, worker.app) as client:
        running = [worker.send("until_cancelled", str(tmp_path / "never"), "raise") for _ in range(2)]
        for task_id in running:
            await begun(worker, task_id)
        over = worker.send("say", "x", countdown=0)
        async with socketio.AsyncSimpleClient() as viewer:
            await viewer.connect(str(client.make_url("/")), transports=["websocket"])
            waiting = over
            answer = await viewer.call("cancel_tasks", {"task_ids": [*running, waiting, "not an id"]})
            assert answer["status"] == "success"
            by_id = {one["task_id"]: one for one in answer["data"]}
            assert [by_id[task_id]["outcome"] for task_id in running] == ["cancelling", "cancelling"]
            assert by_id[waiting]["outcome"] == "revoked"
            assert (by_id["not an id"]["status"], by_id["not an id"]["code"]) == ("failed", "task_id_invalid")
            for message in ({"task_ids": []}, {"task_ids": ["x"] * 101}, {}, None, {"task_ids": [1]}):
                refused = await viewer.call("cancel_tasks", message)
                assert (refused["status"], refused["code"]) == ("failed", "argument_invalid")
        for task_id in running:
            assert (await ended(worker, task_id))["state"] == "REVOKED"


@pytest.mark.parametrize(
    "message",
    [
        {"task_id": "x", "grace_s": 5},
        {"task_id": "x", "terminate": True, "grace_s": -1},
        {"task_id": "x", "terminate": True, "grace_s": "5"},
        {"task_id": "x", "terminate": True, "grace_s": True},
        {"task_id": "x", "terminate": 1},
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(starter: Starter, message: dict[str, Any]) -> None:
    async with serving(starter, None) as client, socketio.AsyncSimpleClient() as viewer:
        await viewer.connect(str(client.make_url("/")), transports=["websocket"])
        answer = await viewer.call("revoke_task", message)
        assert (answer["status"], answer["code"]) == ("failed", "argument_invalid")
