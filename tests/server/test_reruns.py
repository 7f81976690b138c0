"""Running a task again: with the arguments that it had, or others, as a new task that is linked to the old one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio

from livetask.arguments import KEPT_BYTES
from tests.server.serving import Client, Writer, redis_of_the_module, served
from tests.server.small_app import make
from tests.system.rig import Redis

store = redis_of_the_module


@asynccontextmanager
async def serving(store: Redis, *available: str, **settings: Any) -> AsyncIterator[Client]:
    app = make(store.url)
    async with served(store.url, app, available_tasks=available or ("add",), **settings) as client:
        yield client
    app.pool.force_close_all()


async def started(client: Client, *args: Any, name: str = "add", **kwargs: Any) -> str:
    message = {"task_name": name, "args": args, "kwargs": kwargs}
    async with client.post("/task", json=message) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["data"])


async def rerun(client: Client, task_id: str, **body: Any) -> tuple[int, dict[str, Any]]:
    given = {"json": body} if body else {}
    async with client.post(f"/task/{task_id}/rerun", **given) as answer:
        return answer.status, await answer.json()


async def task_of(client: Client, task_id: str) -> dict[str, Any]:
    async with client.get(f"/api/tasks/{task_id}") as answer:
        found = await answer.json()
        assert isinstance(found, dict)
        return found


async def test_a_task_is_run_again_with_the_same_arguments_and_linked_to_the_old_one(store: Redis) -> None:
    async with serving(store) as client:
        old = await started(client, 1, y=2)
        status, answer = await rerun(client, old)
        assert (status, answer["status"], answer["rerun_of"]) == (201, "success", old)
        new = await task_of(client, answer["data"])
        assert (new["name"], new["args"], new["kwargs"]) == ("add", "(1,)", "{'y': 2}")
        assert (new["rerun_of"], new["can_rerun"], new["state"]) == (old, True, "QUEUED")
        _, second = await rerun(client, old)
        assert (await task_of(client, old))["reruns"] == [answer["data"], second["data"]]


async def test_edited_arguments_stand_for_the_old_ones(store: Redis) -> None:
    async with serving(store) as client:
        old = await started(client, 1, y=2)
        _, answer = await rerun(client, old, args=[7])
        new = await task_of(client, answer["data"])
        assert (new["args"], new["kwargs"]) == ("(7,)", "{'y': 2}")
        assert (await task_of(client, old))["args"] == "(1,)"


@pytest.mark.parametrize(("size", "code"), [(KEPT_BYTES - 30, None), (KEPT_BYTES, "arguments_unknown")])
async def test_arguments_are_kept_up_to_a_bound(store: Redis, size: int, code: str | None) -> None:
    async with serving(store, "say") as client:
        old = await started(client, "x" * size, name="say")
        assert (await task_of(client, old))["can_rerun"] is (code is None)
        status, answer = await rerun(client, old)
        assert answer.get("code") == code
        assert status == (409 if code else 201)
        assert code is None or "they are too large" in answer["data"]
        assert (await rerun(client, old, args=["short"], kwargs={}))[0] == 201


async def test_arguments_that_are_not_to_be_shown_are_not_kept(store: Redis) -> None:
    async with serving(store, "say", show_arguments=False) as client:
        old = await started(client, "secret", name="say")
        assert (await rerun(client, old))[1]["code"] == "arguments_unknown"
        assert b"secret" not in b"".join(Writer(store.url, old).redis.hgetall(f"{_key(store, old)}").values())


def _key(store: Redis, task_id: str) -> str:
    return Writer(store.url, task_id)._keys.task(task_id)


async def test_what_may_not_be_started_may_not_be_run_again_either(store: Redis) -> None:
    Writer(store.url, "ran-once").begin("hidden").finish()
    Writer(store.url, "gone").begin("nowhere").finish()
    async with serving(store, "add", "nowhere") as client:
        given = {"args": [], "kwargs": {}}
        assert (await rerun(client, "ran-once", **given))[0] == 403
        assert (await rerun(client, "gone", **given))[0] == 404
        assert (await rerun(client, "never-there", **given))[1]["code"] == "task_unknown"
        assert (await rerun(client, "ran-once", room="x"))[1]["code"] == "argument_invalid"
        assert (await rerun(client, "ran-once", args={}))[0] in (400, 409)
        assert (await rerun(client, "not%20an%20id"))[1]["code"] == "task_id_invalid"
        async with client.post("/task/ran-once/rerun", json=[1]) as answer:
            assert answer.status == 400


async def test_many_are_run_again_by_socket_io_with_one_answer_for_each(store: Redis) -> None:
    async with serving(store) as client, socketio.AsyncSimpleClient() as viewer:
        await viewer.connect(str(client.make_url("/")), transports=["websocket"])
        old = [await started(client, number) for number in range(2)]
        answer = await viewer.call("rerun_tasks", {"task_ids": [*old, "never-there", "not an id"]})
        assert [one["task_id"] for one in answer["data"]] == [*old, "never-there", "not an id"]
        assert [one["status"] for one in answer["data"]] == ["success", "success", "failed", "failed"]
        assert [one.get("code") for one in answer["data"]][2:] == ["task_unknown", "task_id_invalid"]
        single = await viewer.call("rerun_task", {"task_id": old[0], "args": [5]})
        assert (single["status"], single["rerun_of"]) == ("success", old[0])
        assert (await task_of(client, single["data"]))["args"] == "(5,)"
        for message in (None, {}, "x", {"task_id": old[0], "more": 1}):
            assert (await viewer.call("rerun_task", message))["status"] == "failed"
        assert (await viewer.call("rerun_tasks", {"task_ids": ["x"] * 101}))["code"] == "argument_invalid"
