"""Task ids, runs, rooms and cursors that want to be paths, patterns, scripts or other keys."""

from __future__ import annotations

from urllib.parse import quote

import pytest
import redis
import socketio

from tests.server.serving import Client, until
from tests.system.rig import Redis

HOSTILE = [
    "../../etc/passwd",
    "..",
    ".",
    "*",
    "{0}",
    "}{",
    "livetask:{0}:task:x",
    "a\nSET canary 1",
    "a\r\nX-Injected: 1",
    "a\0b",
    "a b",
    "\u202eabc",
    "\ud83d\ude00",
    "a" * 201,
    "a" * 8000,
    "%2e%2e%2f",
    "';return redis.call('FLUSHALL')--",
    "]]..redis.call('KEYS','*')..[[",
    "<script>",
    "$(touch /tmp/x)",
    "-1",
    "",
]


@pytest.fixture
def guarded_redis(store: Redis) -> redis.Redis:
    """The server's Redis, with something in it that belongs to others."""
    client = redis.Redis.from_url(store.url)
    client.set("canary", "untouched")
    client.hset("others:task:x", mapping={"name": "theirs", "state": "SUCCESS"})
    return client


def state(client: redis.Redis) -> dict[bytes, bytes | None]:
    """All keys but those whose change is ordinary: leases and the list of what is watched."""
    return {key: client.dump(key) for key in client.scan_iter() if b"watched" not in key}


@pytest.mark.parametrize("hostile", HOSTILE, ids=[repr(one[:30]) for one in HOSTILE])
async def test_an_id_is_nothing_but_an_id_over_http(client: Client, guarded_redis: redis.Redis, hostile: str) -> None:
    before = state(guarded_redis)
    text = quote(hostile.encode("utf-8", "surrogatepass"), safe="")
    for method, path in (
        ("GET", f"/api/tasks/{text}"),
        ("GET", f"/api/tasks/{text}/runs/1/log"),
        ("GET", f"/api/tasks/{text}/runs/{text}/log.txt"),
        ("GET", f"/api/tasks/x/runs/{text}/log?line=1"),
        ("GET", f"/api/tasks/x/runs/1/log?offset={text}"),
        ("GET", f"/tasks/{text}"),
        ("GET", f"/tasks/{text}/log"),
        ("GET", f"/embed/tasks/{text}"),
        ("GET", f"/task/{text}"),
        ("GET", f"/static/{text}"),
        ("DELETE", f"/task/{text}"),
        ("DELETE", f"/api/tasks/{text}"),
        ("POST", f"/task/{text}/rerun"),
    ):
        async with client.request(method, path, allow_redirects=False) as answer:
            body = await answer.text()
            assert answer.status < 500 or answer.status == 503, (method, path, body)
            assert "X-Injected" not in answer.headers
            assert "root:" not in body
            assert "theirs" not in body
            if method != "GET":
                assert answer.status in (400, 403, 404, 405, 409, 200), (method, path, answer.status)
    after = state(guarded_redis)
    assert guarded_redis.get("canary") == b"untouched"
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert all(key.startswith(b"livetask:") or b"livetask" in key for key in changed), changed


async def test_an_id_is_nothing_but_an_id_over_socketio(client: Client, guarded_redis: redis.Redis) -> None:
    viewer = socketio.AsyncSimpleClient(reconnection=False)
    await viewer.connect(str(client.make_url("/")), transports=["websocket"])

    values: list[object] = [*HOSTILE, None, 7, True, [], {}, ["x"], {"x": 1}]
    for value in values:
        for event, message in (
            ("subscribe", {"task_id": value}),
            ("subscribe", {"task_id": "x", "from": value}),
            ("subscribe", value),
            ("unsubscribe", {"task_id": value}),
            ("ack", {"task_id": value, "cursor": value}),
            ("task_info", {"task_id": value}),
            ("join", {"room": value}),
            ("watch", value),
            ("send_task", {"task_name": value, "args": value, "kwargs": value}),
            ("revoke_task", {"task_id": value}),
            ("rerun_tasks", {"task_ids": [value]}),
            ("cancel_tasks", {"task_ids": value}),
        ):
            if isinstance(value, str) and ("\ud83d" in value or len(value) > 7000):
                continue
            answer = await viewer.call(event, message, timeout=90)
            assert isinstance(answer, dict), (event, value)
            assert answer.get("code") != "internal", (event, value, answer)
            assert "theirs" not in str(answer)

    async def answered() -> bool:
        answer = await viewer.call("watch", {}, timeout=90)
        return bool(answer["ok"]) or answer["code"] != "too_many"

    await until("it may send again", answered)
    last = await viewer.call("watch", {})
    assert last["ok"], ("the connection has outlived it all", last)
    assert guarded_redis.get("canary") == b"untouched"
    assert guarded_redis.hgetall("others:task:x") == {b"name": b"theirs", b"state": b"SUCCESS"}
    await viewer.disconnect()
