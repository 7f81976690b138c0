"""Tasks by HTTP, Stirfried's calls, and a table of everything that can be wrong with a request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import redis
import socketio

from livetask.server.store import Store
from tests.server import small_app
from tests.server.serving import Client, Writer, a_silent_broker, redis_of_the_module, served, until
from tests.system.rig import Redis, free_port

store = redis_of_the_module


@pytest.fixture(autouse=True)
def empty(store: Redis) -> None:
    with store.client() as client:
        client.flushall()


@pytest.fixture
async def client(store: Redis) -> AsyncIterator[Client]:
    async with served(store.url, small_app.make(store.url), available_tasks=("add", "fails", "nowhere")) as found:
        yield found


async def got(client: Client, url: str, **query: Any) -> tuple[int, Any]:
    async with client.get(url, params=query) as answer:
        return answer.status, await answer.json()


# ---- the list


async def test_tasks_are_listed_newest_first_with_counts(client: Client, store: Redis) -> None:
    ids = [uuid4().hex for _ in range(5)]
    for number, task_id in enumerate(ids):
        writer = Writer(store.url, task_id).begin(f"app.task{number}").write(b"x\n")
        if number % 2:
            writer.finish("FAILURE")
        await until("the clock has gone on", lambda: asyncio.sleep(0.002, True))
    status, found = await got(client, "/api/tasks")
    assert status == 200
    assert [task["id"] for task in found["tasks"]] == ids[::-1]
    assert found["counts"] == {"RUNNING": 3, "FAILURE": 2}
    assert (found["next"], found["total"]) == (None, 5)
    task = found["tasks"][0]
    assert (task["name"], task["state"], task["args"]) == ("app.task4", "RUNNING", "(1,)")
    assert task["runs"][0] | {"begun_at": 0} == {
        "run": 1,
        "nonce": "abcdefghijkl",
        "why": "first",
        "host": "here",
        "pid": 7,
        "worker": "w",
        "pool": None,
        "begun_at": 0,
        "ended_at": None,
        "how": None,
        "detail": None,
        "first": "1-0",
        "first_why": "",
        "end": "2-2",
        "lines": 1,
        "bytes": 2,
        "crc": None,
    }
    assert await got(client, f"/api/tasks/{ids[4]}") == (200, task)


async def test_the_list_is_filtered_by_state_and_text_and_goes_on_page_by_page(client: Client, store: Redis) -> None:
    ids = [f"{number:02}-{uuid4().hex}" for number in range(24)]
    for number, task_id in enumerate(ids):
        writer = Writer(store.url, task_id).begin("Mail.send" if number % 3 else "pay")
        if number % 2:
            writer.finish()
        await until("the clock has gone on", lambda: asyncio.sleep(0.002, True))
    newest = ids[::-1]
    _, found = await got(client, "/api/tasks", state="SUCCESS,FAILURE")
    assert [task["id"] for task in found["tasks"]] == [one for one in newest if int(one[:2]) % 2]
    _, found = await got(client, "/api/tasks", q="MAIL")
    assert [task["id"] for task in found["tasks"]] == [one for one in newest if int(one[:2]) % 3]
    assert [task["id"] for task in (await got(client, "/api/tasks", q="17-"))[1]["tasks"]] == [ids[17]]
    for query in ({}, {"state": "RUNNING"}, {"q": "mail"}):
        _, whole = await got(client, "/api/tasks", **query)
        pages: list[str] = []
        after: dict[str, str] = {}
        while True:
            _, page = await got(client, "/api/tasks", limit=5, **after, **query)
            assert len(page["tasks"]) <= 5
            pages += [task["id"] for task in page["tasks"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert pages == [task["id"] for task in whole["tasks"]]


async def test_a_task_of_another_format_is_told_and_hides_no_other(client: Client, store: Redis) -> None:
    Writer(store.url, "new-one").begin()
    Writer(store.url, "old-one").begin()
    with redis.Redis.from_url(store.url) as raw:
        raw.hset(Writer(store.url, "old-one")._keys.task("old-one"), "format", "9")
    _, found = await got(client, "/api/tasks")
    assert [task["id"] for task in found["tasks"]] == ["new-one"]
    assert (await got(client, "/api/tasks/old-one"))[1]["code"] == "format_unknown"


# ---- Stirfried's calls


async def test_a_task_is_started_asked_after_and_revoked_by_http(client: Client) -> None:
    async with client.post("/task", json={"task_name": "add", "args": [1], "kwargs": {"y": 2}}) as answer:
        assert answer.status == 201
        body = await answer.json()
    task_id = body.pop("data")
    assert body == {"status": "success"}
    assert await got(client, f"/task/{task_id}") == (200, {"id": task_id, "state": "PENDING", "result": None})
    _, task = await got(client, f"/api/tasks/{task_id}")
    assert (task["state"], task["name"], task["args"], task["kwargs"]) == ("QUEUED", "add", "(1,)", "{'y': 2}")
    async with client.delete(f"/task/{task_id}") as answer:
        body = await answer.json()
        assert (answer.status, body["status"], body["data"], body["outcome"]) == (200, "success", task_id, "revoked")
    assert (await got(client, f"/task/{task_id}"))[1]["state"] == "REVOKED"


async def test_the_same_by_socket_io_with_stirfrieds_answers(client: Client) -> None:
    async with socketio.AsyncSimpleClient() as viewer:
        await viewer.connect(str(client.make_url("/")), transports=["websocket"])
        sent = await viewer.call("send_task", {"task_name": "add", "args": [1]})
        assert sent["status"] == "success"
        info = await viewer.call("task_info", sent["data"])
        assert info == {"id": sent["data"], "state": "PENDING", "result": None}
        revoked = await viewer.call("revoke_task", sent["data"])
        assert (revoked["status"], revoked["data"], revoked["outcome"]) == ("success", sent["data"], "revoked")
        assert (await viewer.call("task_info", {"task_id": sent["data"]}))["state"] == "REVOKED"
        for name, message, code in [
            ("send_task", {"task_name": "hidden"}, "task_not_allowed"),
            ("send_task", {"task_name": "nowhere"}, "not_found"),
            ("send_task", "add", "argument_invalid"),
            ("send_task", None, "argument_invalid"),
            ("revoke_task", None, "task_id_invalid"),
            ("revoke_task", {"task_id": "x", "terminate": "yes"}, "argument_invalid"),
            ("task_info", [1], "task_id_invalid"),
        ]:
            failed = await viewer.call(name, message)
            assert (failed["status"], failed["code"]) == ("failed", code), (name, message)
            assert failed["data"]
        assert (await viewer.call("task_info", "never-sent"))["state"] == "PENDING"


async def test_revoking_a_task_that_runs_or_is_over_does_not_change_what_is_known(client: Client, store: Redis) -> None:
    Writer(store.url, "running").begin()
    Writer(store.url, "over").begin().finish()
    for task_id, state, status in [("running", "RUNNING", 409), ("over", "SUCCESS", 200)]:
        async with client.delete(f"/task/{task_id}", params={"terminate": "1"}) as answer:
            assert answer.status == status
        assert (await got(client, f"/api/tasks/{task_id}"))[1]["state"] == state
    assert (await got(client, "/task/running"))[1] == {"id": "running", "state": "STARTED", "result": None}


async def test_startable_lists_what_is_allowed_and_known(client: Client) -> None:
    _, found = await got(client, "/api/startable")
    assert [(task["name"], task["workers"]) for task in found["tasks"]] == [("add", []), ("fails", [])]
    assert [one["name"] for one in found["tasks"][0]["parameters"]] == ["x", "y"]
    assert found["tasks"][1]["parameters"] == []


# ---- what can be wrong

LOG = "/api/tasks/known/runs/1/log"
WRONG = [
    ("GET", "/api/tasks?limit=0", 400, "argument_invalid"),
    ("GET", "/api/tasks?limit=501", 400, "argument_invalid"),
    ("GET", "/api/tasks?limit=ten", 400, "argument_invalid"),
    ("GET", "/api/tasks?limit=%C2%B2", 400, "argument_invalid"),
    ("GET", "/api/tasks?limit=" + "9" * 5000, 400, "argument_invalid"),
    ("GET", "/api/tasks?state=HAPPY", 400, "argument_invalid"),
    ("GET", "/api/tasks?state=running", 400, "argument_invalid"),
    ("GET", "/api/tasks?q=" + "x" * 201, 400, "argument_invalid"),
    ("GET", "/api/tasks?before=1", 400, "argument_invalid"),
    ("GET", "/api/tasks?names=train", 400, "argument_invalid"),
    ("GET", "/api/tasks?sort=best", 400, "argument_invalid"),
    ("GET", "/api/tasks?after=nothing", 400, "argument_invalid"),
    ("GET", "/api/tasks?after=WyJuYW1lIiwxLCJhIl0&sort=name", 400, "argument_invalid"),
    ("GET", "/api/tasks?after=" + "W" * 3000, 400, "argument_invalid"),
    ("GET", "/api/tasks?q=colour:red", 400, "argument_invalid"),
    ("GET", "/api/tasks?q=state:happy", 400, "argument_invalid"),
    ("GET", "/api/tasks/unknown", 404, "task_unknown"),
    ("GET", "/api/tasks/a%20b", 400, "task_id_invalid"),
    ("GET", "/api/tasks/%2e%2e", 404, "not_found"),
    ("GET", "/api/tasks/%00", 400, "task_id_invalid"),
    ("GET", "/api/tasks/%F0%9F%92%A9", 400, "task_id_invalid"),
    ("GET", "/api/tasks/" + "x" * 201, 400, "task_id_invalid"),
    ("GET", "/api/tasks/known/nothing", 404, "not_found"),
    ("GET", "/api", 404, "not_found"),
    ("POST", "/api/tasks", 405, "method_not_allowed"),
    ("GET", "/api/tasks/unknown/runs/1/log", 404, "task_unknown"),
    ("GET", "/api/tasks/a%20b/runs/1/log", 400, "task_id_invalid"),
    ("GET", "/api/tasks/known/runs/2/log", 404, "run_unknown"),
    ("GET", "/api/tasks/known/runs/0/log", 404, "run_unknown"),
    ("GET", "/api/tasks/known/runs/first/log", 404, "run_unknown"),
    ("GET", "/api/tasks/known/runs/-1/log", 404, "run_unknown"),
    ("GET", f"/api/tasks/known/runs/{'9' * 5000}/log", 404, "run_unknown"),
    ("GET", "/api/tasks/known/runs/%C2%B2/log", 404, "run_unknown"),
    ("GET", "/api/tasks/queued/runs/last/log", 404, "run_unknown"),
    ("GET", f"{LOG}?offset=", 400, "cursor_invalid"),
    ("GET", f"{LOG}?offset=-2", 400, "cursor_invalid"),
    ("GET", f"{LOG}?offset=5", 400, "cursor_invalid"),
    ("GET", f"{LOG}?offset=0-0", 400, "cursor_invalid"),
    ("GET", f"{LOG}?offset=1.abcdefghijkl.x", 400, "cursor_invalid"),
    ("GET", f"{LOG}?offset=1.zzzzzzzzzzzz.1-0", 409, "position_unknown"),
    ("GET", f"{LOG}?offset=1-3", 200, ""),
    ("GET", f"{LOG}?offset=3-3", 409, "position_unknown"),
    ("GET", f"{LOG}?offset=2-1", 409, "position_unknown"),
    ("GET", f"{LOG}?live=always", 400, "argument_invalid"),
    ("GET", f"{LOG}?live=sse&encoding=rot13", 400, "argument_invalid"),
    ("GET", f"{LOG}?live=sse&offset=nowhere", 400, "cursor_invalid"),
    ("GET", f"{LOG}?live=sse&offset=9-9", 409, "position_unknown"),
    ("GET", f"{LOG}?live=long-poll&offset=9-9", 409, "position_unknown"),
    ("GET", f"{LOG}?live=long-poll&offset=soon", 400, "cursor_invalid"),
    ("GET", f"{LOG}?line=0", 400, "argument_invalid"),
    ("GET", f"{LOG}?line=-5", 400, "argument_invalid"),
    ("GET", f"{LOG}?line=1.5", 400, "argument_invalid"),
    ("GET", f"{LOG}?line=", 400, "argument_invalid"),
    ("GET", f"{LOG}?line=1&count=0", 400, "argument_invalid"),
    ("GET", f"{LOG}?line=1&count=1001", 400, "argument_invalid"),
    ("GET", f"{LOG}?line=99999", 200, ""),
    ("GET", f"{LOG}?tail=0", 400, "argument_invalid"),
    ("GET", f"{LOG}?tail=many", 400, "argument_invalid"),
    ("GET", "/api/tasks/known/runs/7/log.txt", 404, "run_unknown"),
    ("GET", "/api/tasks/unknown/runs/1/log.txt?follow=1", 404, "task_unknown"),
    ("GET", "/api/tasks/known/runs/7/log.gz", 404, "run_unknown"),
    ("POST", LOG, 405, "method_not_allowed"),
    ("POST", "/healthz", 405, "method_not_allowed"),
]


@pytest.fixture
async def known(store: Redis) -> None:
    Writer(store.url, "known").begin().write(b"one\ntwo").finish()
    async with Store(store.url) as notes:
        await notes.note("queued", "queued", {"name": "add"})


@pytest.mark.usefixtures("known")
async def test_whatever_is_wrong_with_a_request_has_its_status_and_code(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for method, url, status, code in WRONG:
        async with client.request(method, url) as answer:
            assert answer.status == status, (url, await answer.text())
            if status >= 400:
                body = await answer.json()
                assert (set(body) - {"field"}, body["code"]) == ({"code", "error"}, code), url
                assert ("field" in body) == (code == "argument_invalid"), url
                assert len(body["error"]) < 400
    assert caplog.records == []


BODIES: list[tuple[bytes | str, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b"null", 400),
    (b"7", 400),
    (b'"add"', 400),
    (b"\xff\xfe", 400),
    (b"[" * 20_000, 400),
    (b"1" * 20_000, 400),
    (b"{}", 400),
    ('{"task_name": 5}', 400),
    ('{"task_name": "add", "args": "x"}', 400),
    ('{"task_name": "add", "kwargs": [1]}', 400),
    ('{"task_name": "add", "argz": []}', 400),
    ('{"task_name": "add", "chain": [{"task_name": "add", "chain": [{"task_name": "add"}]}]}', 400),
    ('{"task_name": "hidden"}', 403),
    ('{"task_name": "\\ud800"}', 400),
    ('{"task_name": "add"}', 400),
    ('{"task_name": "add", "args": ["1"]}', 400),
    ('{"task_name": "add", "args": [1, 2, 3]}', 400),
    ('{"task_name": "add", "args": [1], "kwargs": {"x": 1}}', 400),
    ('{"task_name": "add", "args": [1], "kwargs": {"z": 1}}', 400),
    ('{"task_name": "add", "args": [1], "queue": "a b"}', 400),
    ('{"task_name": "add", "args": [1], "queue": 7}', 400),
    ('{"task_name": "add", "args": [1], "countdown": -1}', 400),
    ('{"task_name": "add", "args": [1], "countdown": "soon"}', 400),
    ('{"task_name": "add", "args": [1], "countdown": 1e300}', 400),
    ('{"task_name": "add", "args": [1], "countdown": NaN}', 400),
    ('{"task_name": "add", "args": [1], "priority": 256}', 400),
    ('{"task_name": "add", "args": [1], "priority": 1.5}', 400),
    ('{"task_name": "add", "args": [1], "priority": true}', 400),
    ('{"task_name": "nowhere"}', 404),
    ('{"task_name": "add", "args": ["' + "x" * 40_000 + '"]}', 413),
]


async def test_a_bad_body_is_refused_and_nothing_is_sent(client: Client, store: Redis) -> None:
    for body, status in BODIES:
        async with client.post("/task", data=body) as answer:
            assert answer.status == status, (body[:60], await answer.text())
            found = await answer.json()
            assert (set(found) - {"field"}, found["status"]) == ({"status", "data", "code"}, "failed")
    for method, url, status in [
        ("GET", "/task/unknown", 404),
        ("DELETE", "/task/unknown", 404),
        ("DELETE", "/task/a%20b", 400),
        ("GET", "/task/a%20b", 400),
        ("DELETE", "/task/unknown?terminate=yes", 400),
        ("PUT", "/task/unknown", 405),
        ("GET", "/task", 405),
    ]:
        async with client.request(method, url) as answer:
            assert (answer.status, (await answer.json())["status"]) == (status, "failed"), url
    with store.client() as raw:
        assert raw.llen(small_app.QUEUE) == 0
    assert (await got(client, "/api/tasks"))[1]["tasks"] == []


async def test_a_broker_that_is_away_or_hangs_is_503_and_nobody_else_waits(store: Redis) -> None:
    away = small_app.make(f"redis://127.0.0.1:{free_port()}/0")
    async with served(store.url, away, available_tasks=("*",)) as client:
        async with client.post("/task", json={"task_name": "add", "args": [1]}) as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "failed")
        assert answer.headers["Retry-After"] == "2"
        async with client.get("/task/abc") as answer:
            assert answer.status == 503
    async with (
        a_silent_broker() as url,
        served(store.url, small_app.make(url), available_tasks=("*",), broker_timeout_s=3) as client,
    ):
        posts = [asyncio.create_task(client.post("/task", json={"task_name": "add", "args": [1]})) for _ in range(6)]
        while not all(post.done() for post in posts):
            async with asyncio.timeout(2.5), client.get("/api/tasks") as answer:
                assert answer.status == 200
            await asyncio.sleep(0.02)  # between two looks at whether others are answered
        assert [post.result().status for post in posts] == [503] * 6
        assert json.loads(await posts[0].result().text())["data"].startswith("the Celery broker does not answer")
