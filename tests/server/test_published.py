"""What workers publish decides what may be started and with which arguments; nothing is guessed without it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from livetask.errors import RedisUnavailable
from livetask.keys import Keys, publisher_member
from livetask.scripts import script
from livetask.server import published
from livetask.signature import TaskForm, parameters_of
from tests.server.serving import Client, redis_of_the_module, served, until
from tests.system.rig import Redis

store = redis_of_the_module


@pytest.fixture(autouse=True)
def empty(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "BELIEVED_S", 0.0)
    with store.client() as client:
        client.flushall()


def publish(store: Redis, worker: str, *forms: TaskForm, text: str = "", ttl_ms: int = 60_000) -> None:
    text = text or json.dumps([form.as_json() for form in forms])
    digest = f"{abs(hash(text)):x}"
    keys = [Keys().publishers(), Keys().forms(digest)]
    with store.client() as client:
        client.eval(script("publish").text, 2, *keys, publisher_member(digest, worker), ttl_ms, text)


def old(count: int) -> None:
    """Counts."""


def new(count: int, name: str = "x") -> None:
    """Counts by name."""


def form(function: Callable[..., Any], name: str = "far.count") -> TaskForm:
    return TaskForm(name, function.__doc__ or "", parameters_of(function), queue="far-queue")


async def listed(client: Client) -> list[Any]:
    async with client.get("/api/startable") as answer:
        assert answer.status == 200
        found: list[Any] = (await answer.json())["tasks"]
        return found


async def sent(client: Client, **message: Any) -> tuple[int, Any]:
    async with client.post("/task", json={"task_name": "far.count", **message}) as answer:
        return answer.status, await answer.json()


async def test_without_an_app_the_forms_are_those_of_the_workers(store: Redis) -> None:
    publish(store, "one@host", form(old), form(old, "secret.count"))
    publish(store, "two@host", form(old), form(old, "secret.count"))
    async with served(store.url, available_tasks=("far.*", "bare")) as client:
        bare, count = await listed(client)
        assert (bare["name"], bare["parameters"], bare["workers"]) == ("bare", None, [])
        assert (count["name"], count["doc"], count["queue"]) == ("far.count", "Counts.", "far-queue")
        assert count["workers"] == ["one@host", "two@host"]
        assert [one["name"] for one in count["parameters"]] == ["count"]


async def test_what_fits_no_form_is_refused_with_the_field_and_nothing_is_sent(store: Redis) -> None:
    publish(store, "one@host", form(old))
    async with served(store.url, available_tasks=("far.*",)) as client:
        for message, field in [
            ({}, "count"),
            ({"args": ["three"]}, "count"),
            ({"args": [3], "kwargs": {"nmae": "y"}}, "nmae"),
            ({"args": [1, 2]}, "args"),
        ]:
            status, answer = await sent(client, **message)
            assert (status, answer["status"], answer["code"], answer["field"]) == (
                400,
                "failed",
                "argument_invalid",
                field,
            )
            assert answer["data"].startswith(f"{field}: expected")
        with store.client() as raw:
            assert not raw.exists("far-queue", "celery")
        assert (await sent(client, args=[3]))[0] == 201
        with store.client() as raw:
            assert raw.llen("far-queue") == 1, "it went where its worker listens"


async def test_queue_countdown_and_priority_travel_with_the_task(store: Redis) -> None:
    publish(store, "one@host", form(old))
    async with served(store.url, available_tasks=("far.*",)) as client:
        status, answer = await sent(client, args=[3], queue="other", countdown=60, priority=0)
        assert status == 201
        with store.client() as raw:
            message = json.loads(raw.lpop("other"))  # type: ignore[arg-type]
        assert message["headers"]["eta"]
        assert message["properties"]["priority"] == 0
        async with client.get(f"/api/tasks/{answer['data']}") as found:
            assert (await found.json())["queue"] == "other"


async def test_while_workers_of_two_versions_run_a_call_that_fits_one_of_them_is_sent(store: Redis) -> None:
    publish(store, "old@host", form(old))
    for number in range(2):
        publish(store, f"new{number}@host", form(new))
    async with served(store.url, available_tasks=("*",)) as client:
        (found,) = await listed(client)
        assert [one["name"] for one in found["parameters"]] == ["count", "name"], "the form of most workers"
        assert found["workers"] == ["new0@host", "new1@host", "old@host"]
        assert (await sent(client, args=[1]))[0] == 201
        assert (await sent(client, args=[1, "y"]))[0] == 201
        assert (await sent(client, args=[1, 2]))[0] == 400


async def test_a_worker_whose_lease_is_over_has_no_tasks(store: Redis) -> None:
    publish(store, "gone@host", form(old), ttl_ms=300)
    async with served(store.url, available_tasks=("*",)) as client:

        async def is_gone() -> bool:
            return await listed(client) == []

        await until("its lease is over", is_gone)


@pytest.mark.parametrize("text", ["[", "7", "[7]", '[{"name": "x"}, {}]', '[{"name": "x", "parameters": 7}]', "{}"])
async def test_what_cannot_be_read_is_as_if_it_were_not_there(store: Redis, text: str) -> None:
    publish(store, "odd@host", text=text)
    publish(store, "one@host", form(old))
    async with served(store.url, available_tasks=("*",)) as client:
        assert [task["name"] for task in await listed(client)] == ["far.count"]


async def test_many_who_ask_at_once_cost_one_reading(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "BELIEVED_S", 60.0)
    asked: list[Any] = []

    async def ask(commands: Any) -> list[Any]:
        asked.extend(commands)
        await asyncio.sleep(0)
        with store.client() as raw:
            raw.response_callbacks.clear()
            return [raw.execute_command(*command) for command in commands]

    publish(store, "one@host", form(old))
    known = published.Published(ask, Keys())
    answers: list[Awaitable[Any]] = [known.forms_of("far.count") for _ in range(20)]
    assert all(len(forms) == 1 for forms in await asyncio.gather(*answers))
    assert [command[0] for command in asked] == ["TIME", "ZRANGEBYSCORE", "GET"]


async def test_while_redis_is_away_one_asks_and_nobody_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "BELIEVED_S", 60.0)
    asked: list[Any] = []

    async def ask(commands: Any) -> list[Any]:
        asked.append(commands)
        await asyncio.sleep(0)
        raise RedisUnavailable("no answer")

    known = published.Published(ask, Keys())
    assert await asyncio.gather(*(known.forms_of("far.count") for _ in range(20))) == [()] * 20
    assert len(asked) == 1
    with pytest.raises(RedisUnavailable):
        await known.known()


async def test_forms_are_checked_by_the_app_where_no_worker_says_anything(store: Redis) -> None:
    from tests.server import small_app

    async with served(store.url, small_app.make(store.url), available_tasks=("*",)) as client:
        status, answer = await sent(client, task_name="add", kwargs={"y": 2})
        assert (status, answer["field"]) == (400, "x")
        # shared tasks of other test modules come to every app of this process
        names = [task["name"] for task in await listed(client)]
        assert [name for name in names if "." not in name] == ["add", "fails", "hidden", "say"]
