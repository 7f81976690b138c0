"""Share links: a log for somebody without an account, for a while, until the link is revoked."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livetask.keys import Keys
from livetask.server.access.gate import GATE
from livetask.server.access.presented import Presented
from livetask.server.access.secret import ServerSecret
from livetask.server.access.shares import Shares, secret_of
from livetask.server.store import Store
from tests.server.callers import as_caller, connected, guarded, linked
from tests.server.serving import Client, Writer


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    Writer(redis_url, "shown").begin("say").write(b"one\ntwo\n").finish()
    Writer(redis_url, "other", "nonceofother").begin("say").write(b"hush\n").finish()
    async with guarded(redis_url) as found:
        yield found


@pytest.fixture
async def shares(store: Store, prefix: str) -> Shares:
    keys = Keys(prefix)
    return Shares(store.commands, keys, ServerSecret(store.commands, keys).key)


async def got(client: Client, path: str, secret: str) -> tuple[int, str]:
    async with client.get(path, headers={"Authorization": f"Share {secret}"}, allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def test_a_link_opens_the_log_of_its_task_and_nothing_else(client: Client) -> None:
    secret = (await linked(client, "shown"))["secret"]
    status, text = await got(client, "/api/share", secret)
    assert (status, json.loads(text)["task_id"]) == (200, "shown")
    assert (await got(client, "/api/tasks/shown", secret))[0] == 200
    status, text = await got(client, "/api/tasks/shown/runs/last/log?line=1", secret)
    assert (status, json.loads(text)["lines"]) == (200, ["one", "two"])
    for path in ("/", "/api/tasks", "/api/tasks/other", "/api/tasks/other/runs/1/log?offset=-1", "/tasks/shown"):
        status, text = await got(client, path, secret)
        assert status in (303, 404), path
        assert "hush" not in text
    for path in ("/api/startable", "/api/audit", "/api/shares"):
        assert (await got(client, path, secret))[0] == 404


async def test_a_link_gives_its_log_as_a_file_too_and_no_other(client: Client) -> None:
    secret = (await linked(client, "shown"))["secret"]
    assert await got(client, "/api/tasks/shown/runs/1/log.txt?download=1", secret) == (200, "one\ntwo\n")
    headers = {"Authorization": f"Share {secret}"}
    async with client.get("/api/tasks/shown/runs/1/log.gz", headers=headers) as answer:
        assert (answer.status, gzip.decompress(await answer.read())) == (200, b"one\ntwo\n")
    for kind in ("txt", "gz"):
        assert (await got(client, f"/api/tasks/other/runs/1/log.{kind}", secret))[0] == 404
    async with client.post("/api/tasks/shown/shares", headers=headers) as answer:
        assert answer.status == 404, "who has a link makes no other"


async def test_a_link_follows_a_task_that_runs(client: Client, redis_url: str) -> None:
    writer = Writer(redis_url, "runs", "nonceofruns1").begin("say").write(b"begun\n")
    secret = (await linked(client, "runs"))["secret"]
    io = socketio.AsyncClient(reconnection=False)
    text = ""
    ended = asyncio.Event()

    async def output(data: dict[str, Any]) -> None:
        nonlocal text
        text += data["text"]

    io.on("output", output)
    io.on("end", lambda data: ended.set())
    await io.connect(str(client.make_url("/")), auth={"share": secret}, transports=["websocket"])
    try:
        assert (await io.call("subscribe", {"task_id": "runs"}, timeout=90))["ok"]
        answer = await io.call("subscribe", {"task_id": "other"}, timeout=90)
        assert answer["code"] == "task_unknown"
        writer.write(b"more\n").finish()
        await asyncio.wait_for(ended.wait(), 90)
    finally:
        await io.disconnect()
    assert text == "begun\nmore\n"


async def test_a_revoked_link_is_over_at_once_for_requests(client: Client) -> None:
    made = await linked(client, "shown")
    place = f"/api/shares/{made['id']}"
    async with client.delete(place, headers=as_caller(client, "admin")) as answer:
        assert answer.status == 200
    for path in ("/api/share", "/api/tasks/shown", "/api/tasks/shown/runs/1/log?line=1"):
        assert (await got(client, path, made["secret"]))[0] == 401
    async with client.delete(place, headers=as_caller(client, "admin")) as answer:
        assert answer.status == 404


async def test_the_live_streams_of_a_revoked_link_end_when_the_server_looks_again(
    client: Client, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Writer(redis_url, "runs", "nonceofruns2").begin("say").write(b"begun\n")
    made = await linked(client, "runs")
    byes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    io = socketio.AsyncClient(reconnection=False)
    io.on("bye", byes.put_nowait)
    await io.connect(str(client.make_url("/")), auth={"share": made["secret"]}, transports=["websocket"])
    assert (await io.call("subscribe", {"task_id": "runs"}, timeout=90))["ok"]
    standing = client.app[GATE].standing
    monkeypatch.setattr(standing, "_again_s", 0.05)
    looking = asyncio.ensure_future(standing.run())
    place = "/api/tasks/runs/runs/1/log?live=sse"
    try:
        async with client.get(place, headers={"Authorization": f"Share {made['secret']}"}) as stream:
            async with asyncio.timeout(90):
                while b"event: output" not in await stream.content.readline():
                    pass
                assert byes.empty()
                async with client.delete(f"/api/shares/{made['id']}", headers=as_caller(client, "admin")) as answer:
                    assert answer.status == 200
                assert b"login_needed" in await stream.content.read()
                assert (await byes.get())["code"] == "login_needed"
    finally:
        looking.cancel()
        await io.disconnect()


async def test_links_are_listed_and_ended_by_who_made_them_and_by_administrators(client: Client) -> None:
    async with client.post("/api/tasks/shown/shares", headers=as_caller(client, "operator")) as answer:
        mine = await answer.json()
        assert answer.status == 201

    async def listed(name: str) -> list[str]:
        async with client.get("/api/shares?task_id=shown", headers=as_caller(client, name)) as answer:
            return [one["id"] for one in (await answer.json())["shares"]]

    assert await listed("operator") == [mine["id"]]
    assert await listed("viewer") == []
    assert mine["id"] in await listed("admin")
    async with client.delete(f"/api/shares/{mine['id']}", headers=as_caller(client, "viewer")) as answer:
        assert answer.status == 404
    async with client.delete(f"/api/shares/{mine['id']}", headers=as_caller(client, "operator")) as answer:
        assert answer.status == 200
    assert await listed("operator") == []
    assert mine["path"].partition("#")[2] not in json.dumps(mine["id"])


@pytest.mark.parametrize("body", [{"hours": 0}, {"hours": 1000}, {"hours": "1"}, {"hours": True}, {"days": 1}, [1]])
async def test_a_link_that_cannot_be_made_says_why(client: Client, body: Any) -> None:
    async with client.post("/api/tasks/shown/shares", json=body, headers=as_caller(client, "admin")) as answer:
        assert answer.status == 400
        assert (await answer.json())["code"] == "argument_invalid"


async def test_nobody_makes_a_link_to_what_they_may_not_view(client: Client) -> None:
    for name, task_id in (("anna", "shown"), ("linked", "shown"), ("admin", "absent")):
        place = f"/api/tasks/{task_id}/shares"
        async with client.post(place, headers=as_caller(client, name)) as answer:
            assert answer.status == 404


async def test_the_secret_is_in_no_address_that_the_server_is_told(client: Client) -> None:
    made = await linked(client, "shown")
    place, _, secret = made["path"].partition("#")
    assert place == "/share"
    async with client.get(place) as answer:
        page = await answer.text()
        assert answer.status == 200
        assert "no-referrer" in answer.headers["Referrer-Policy"] or "same-origin" in answer.headers["Referrer-Policy"]
    assert secret
    assert "shown" not in page
    async with client.get(f"/api/share?share={secret}") as answer:
        assert answer.status == 401


async def test_two_schemes_at_once_are_no_link(client: Client) -> None:
    made = await linked(client, "shown")
    double = Presented("", {"authorization": (f"Share {made['secret']}", "Bearer x")})
    assert secret_of(double) == ""


async def test_a_link_is_over_when_its_time_is(shares: Shares) -> None:
    share, secret = await shares.make("shown", "anna", 2)
    assert await shares.opened(secret) == share
    await asyncio.sleep(max(0.0, share.until / 1000 - time.time()) + 0.02)  # until the clock says so
    assert await shares.opened(secret) is None
    assert share not in await shares.listed()


async def test_a_flush_of_redis_ends_all_links(shares: Shares, store: Store, prefix: str) -> None:
    share, secret = await shares.make("shown", "anna", 60)
    await store.commands([("DEL", Keys(prefix).share(share.id))])
    assert await shares.opened(secret) is None


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_change_of_a_secret_opens_anything(shares: Shares, data: st.DataObject) -> None:
    _, secret = await shares.make("shown", "anna", 60)
    at = data.draw(st.integers(0, len(secret) - 1))
    sign = data.draw(st.sampled_from("AZaz09._-=é \n"))
    other = secret[:at] + sign + secret[at + data.draw(st.integers(0, 1)) :]
    if other != secret:
        assert await shares.opened(other) is None


async def test_a_link_to_one_task_says_nothing_of_others_by_its_events(client: Client) -> None:
    async with connected(client, "linked") as io:
        for event in ("watch", "join", "send_task", "revoke_task", "task_info", "rerun_task", "cancel_tasks"):
            answer = await io.call(event, {"task_id": "other", "task_ids": ["other"], "room": "r"}, timeout=90)
            assert answer["code"] == "forbidden"
