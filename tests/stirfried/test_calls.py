"""Calls with Stirfried's meaning: chains, headers, what can be switched off, and tasks as plain functions."""

from __future__ import annotations

import subprocess
import sys

import aiohttp
import pytest

from tests.server.serving import clean_environ, served
from tests.stirfried.conftest import Client, Place
from tests.system.rig import CHECKOUT


async def test_a_chain_runs_in_reverse_order_and_the_events_of_all_of_it_are_told(place: Place) -> None:
    async with place.server() as server, Client(server.url) as client:
        chain = [{"task_name": "add", "args": ["c"]}, {"task_name": "add", "args": ["b"]}]
        answer = await client.ask("send_task", {"task_name": "add", "args": ["", "a"], "chain": chain})
        last, second = answer["chain"]
        results = [dict(await client.until(one))["on_success"]["retval"] for one in (answer["data"], second, last)]
        assert results == ["a", "ab", "abc"]


async def test_a_chain_nested_twice_is_refused_and_nothing_is_sent(place: Place) -> None:
    async with place.server() as server, Client(server.url) as client:
        inner = {"task_name": "add", "args": [1], "chain": [{"task_name": "add", "args": [1]}]}
        answer = await client.ask("send_task", {"task_name": "add", "args": [1, 1], "chain": [inner]})
        assert (answer["status"], answer["code"]) == ("failed", "argument_invalid")
        async with aiohttp.ClientSession() as http:
            message = {"task_name": "add", "args": [1, 1], "chain": [inner]}
            async with http.post(f"{server.url}task", json=message) as refused:
                assert (refused.status, (await refused.json())["status"]) == (400, "failed")
        assert client.told == []


async def test_a_header_becomes_the_argument_that_it_is_mapped_to(place: Place) -> None:
    async with place.server() as server, Client(server.url, **{"x-USER": "ann"}) as client:
        for kwargs in ({}, {"user": "mallory"}):
            task_id = await client.send("whoami", kwargs=kwargs)
            assert dict(await client.until(task_id))["on_success"]["retval"] == "ann"
        plain = await client.send("add", 1, 1)
        assert dict(await client.until(plain))["on_success"]["retval"] == 2
        async with aiohttp.ClientSession() as http:
            message = {"task_name": "whoami", "room": client.io.get_sid()}
            async with http.post(f"{server.url}task", json=message, headers={"X-User": "bob"}) as answer:
                task_id = (await answer.json())["data"]
        assert dict(await client.until(task_id))["on_success"]["retval"] == "bob"


async def test_a_task_that_wants_its_room_need_not_be_given_it(place: Place) -> None:
    async with place.server() as server, Client(server.url) as client:
        task_id = await client.send("wants_room")
        assert dict(await client.until(task_id))["on_success"]["retval"] == client.io.get_sid()
        answer = await client.ask("send_task", {"task_name": "wants_room", "args": [1, 2]})
        assert (answer["status"], answer["field"]) == ("failed", "args")
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}api/startable") as listed:
            found = {one["name"]: one for one in (await listed.json())["tasks"]}
        assert found["wants_room"]["doc"] == ""


@pytest.mark.parametrize("off", ["enable_http", "enable_socketio", "enable_task_info", "enable_revoke_task"])
async def test_what_is_switched_off_is_not_there(place: Place, off: str) -> None:
    async with served(place.url, available_tasks=["*"], **{off: False}) as client:
        async with Client(str(client.make_url("/"))) as viewer:
            asked = {
                "send_task": {"task_name": "add", "args": [1, 1]},
                "revoke_task": "some-id",
                "task_info": "some-id",
            }
            refused = {name for name, message in asked.items() if (await viewer.ask(name, message)).get("ok") is False}
        statuses = {
            "POST": (await client.post("/task", json={"task_name": "add", "args": [1, 1]})).status,
            "GET": (await client.get("/task/none")).status,
            "DELETE": (await client.delete("/task/none")).status,
        }
    there = {name for name, status in statuses.items() if status not in (404, 405) or name != "POST"}
    expected = {
        "enable_http": (set(), False),
        "enable_socketio": ({"send_task", "revoke_task", "task_info"}, True),
        "enable_task_info": ({"task_info"}, True),
        "enable_revoke_task": ({"revoke_task"}, True),
    }[off]
    assert refused == expected[0]
    assert ("POST" in there) == expected[1]


async def test_routes_that_are_switched_off_are_not_there_for_a_known_task_either(place: Place) -> None:
    async with served(place.url, available_tasks=["*"]) as client:
        task_id = (await (await client.post("/task", json={"task_name": "add", "args": [1, 1]})).json())["data"]
        assert (await client.get(f"/task/{task_id}")).status == 200
    for off, method in [("enable_task_info", "GET"), ("enable_revoke_task", "DELETE"), ("enable_http", "GET")]:
        async with served(place.url, available_tasks=["*"], **{off: False}) as client:
            assert (await client.request(method, f"/task/{task_id}")).status in (404, 405)


def test_without_a_redis_tasks_are_plain_functions() -> None:
    code = """
from tests.stirfried.app import app, add, count, fails, again
assert add(1, 2) == 3 and add(1, 2, room="r") == 3
assert count(3) == 3
assert count.apply((3,)).get() == 3
assert add.apply((1, 2)).get() == 3
assert fails.apply(("no",)).state == "FAILURE"
assert again.apply().get() == "done"
print("plain")
"""
    environ = clean_environ(LIVETASK_TEST_STIRFRIED_BACKEND="cache+memory://")
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, timeout=90, env=environ
    )
    assert answer.stdout.endswith("plain\n"), answer.stderr
    assert "livetask:" not in answer.stderr
