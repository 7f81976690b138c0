"""The server as a whole: what its edge lets in, what it gives away, how it stops."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from aiohttp.test_utils import TestServer

from livetask.keys import Keys
from livetask.server.app import LIVE, STOPPING, check_address, make_app
from livetask.server.store import Store
from livetask.setting_errors import SettingInvalid
from livetask.settings import Settings
from tests.server import small_app
from tests.server.serving import Client, Writer, a_server, clean_environ, redis_of_the_module, served, until
from tests.system.rig import Redis

store = redis_of_the_module


@pytest.fixture
async def client(store: Redis) -> AsyncIterator[Client]:
    app = small_app.make(store.url)
    async with served(
        store.url, app, available_tasks=("add", "say"), cors_allowed_origins=("https://ours.example",)
    ) as found:
        yield found


# ---- who may


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Origin": "http://SELF"}, 201),
        ({"Origin": "http://SELF", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Origin": "https://ours.example", "Sec-Fetch-Site": "cross-site"}, 201),
        ({"Origin": "https://theirs.example"}, 403),
        ({"Origin": "https://ours.example.theirs.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://SELF", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_pages_of_other_origins_cannot_start_or_stop_anything(
    client: Client, headers: dict[str, str], status: int
) -> None:
    sent = {name: value.replace("SELF", f"127.0.0.1:{client.port}") for name, value in headers.items()}
    async with client.post("/task", json={"task_name": "add", "args": [1]}, headers=sent) as answer:
        assert answer.status == status, await answer.text()
    async with client.delete("/task/unknown", headers=sent) as answer:
        assert answer.status == (404 if status == 201 else 403)


async def test_a_listed_origin_may_read_and_asks_first(client: Client) -> None:
    ours = {"Origin": "https://ours.example"}
    async with client.get("/api/tasks", headers=ours) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://ours.example"
        assert "Stream-Next-Offset" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]
    async with client.options("/task", headers=ours | {"Access-Control-Request-Method": "POST"}) as answer:
        assert answer.status == 204
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    async with client.get("/api/tasks", headers={"Origin": "https://theirs.example"}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_another_name_is_for_servers_that_ask() -> None:
    named = Settings(allowed_hosts=("ops.example.org",), redis_url="redis://x")
    with pytest.raises(SettingInvalid, match=r"allowed_hosts.*--auth required"):
        check_address(named)
    check_address(Settings(allowed_hosts=("ops.example.org",), auth="required", redis_url="redis://x"))
    check_address(Settings(allowed_hosts=("ops.example.org",), insecure=True, redis_url="redis://x"))


@pytest.mark.parametrize(
    "auth",
    [
        {"auth": "required"},
        {"auth": "proj.auth:resolve"},
        {"proxy_user_header": "X-Remote-User", "trusted_proxies": ("10.0.0.5",)},
    ],
)
def test_with_authentication_any_address_may_be_listened_on(auth: dict[str, Any]) -> None:
    check_address(Settings(host="0.0.0.0", redis_url="redis://x", **auth))


@pytest.mark.parametrize(
    ("host", "insecure", "allowed"),
    [
        ("127.0.0.1", False, True),
        ("127.8.8.8", False, True),
        ("::1", False, True),
        ("localhost", False, True),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("192.0.2.7", False, False),
        ("", False, False),
        ("localhost.example", False, False),
        ("0.0.0.0", True, True),
    ],
)
def test_an_address_that_others_reach_must_be_wanted(host: str, insecure: bool, allowed: bool) -> None:
    settings = Settings(host=host, insecure=insecure, redis_url="redis://x")
    if allowed:
        check_address(settings)
        return
    with pytest.raises(SettingInvalid, match=r"--auth required.*reverse proxy.*--insecure"):
        check_address(settings)


@pytest.mark.parametrize(
    ("words", "is_loud"),
    [
        (["--host", "0.0.0.0", "--insecure"], True),
        (["--allowed-hosts", "ops.example.org", "--insecure"], True),
        (["--host", "0.0.0.0", "--auth", "required"], False),
    ],
)
async def test_a_server_that_others_reach_and_that_asks_nobody_says_so_loudly(words: list[str], is_loud: bool) -> None:
    command = ["-m", "livetask", "serve", "--redis-url", "redis://127.0.0.1:1", "--port", "0", *words]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environ()
    )
    try:
        assert process.stdout is not None
        assert b"livetask is at" in await asyncio.wait_for(process.stdout.readline(), 90)
    finally:
        process.terminate()
        _, said = await asyncio.wait_for(process.communicate(), 90)
    assert (b"INSECURE" in said) is is_loud


# ---- what it gives away


async def test_pages_carry_a_strict_policy_and_everything_nosniff(client: Client) -> None:
    for url in ("/", "/tasks/unknown", "/nowhere", "/tasks/a%20b"):
        async with client.get(url) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.content_type == "text/html"
    async with client.get("/api/tasks") as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with client.get("/nowhere") as answer:
        assert answer.status == 404


async def test_a_bug_is_answered_without_details_and_logged_without_texts(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(("hun", "ter2"))

    async def broken(self: Store, task_id: str) -> None:
        raise ZeroDivisionError(text)

    monkeypatch.setattr(Store, "task", broken)
    async with served("redis://127.0.0.1:1/0") as alone:
        for url in ("/api/tasks/abc", "/tasks/abc", "/task/abc"):
            caplog.clear()
            async with alone.get(url) as answer:
                assert answer.status == 500, url
                assert "ZeroDivision" not in await answer.text()
        caplog.clear()
        async with alone.get("/api/tasks/abc") as answer:
            assert await answer.json() == {
                "code": "internal",
                "error": "something went wrong inside livetask; its log says where",
            }
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "unexpected ZeroDivisionError" in logged
    assert "in broken" in logged
    assert "hunter2" not in logged + caplog.text


async def test_nothing_of_arguments_or_output_is_logged(
    client: Client, store: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    Writer(store.url, "quiet").begin().write(b"hunter2 in the output\n").finish()
    async with client.post("/task", json={"task_name": "say", "args": ["hunter2"]}) as answer:
        assert answer.status == 201
    async with client.post("/task", data=b'{"task_name": "hunter2", ') as answer:
        assert answer.status == 400
    for url in ("/api/tasks/quiet/runs/1/log.txt", "/api/tasks/quiet/runs/1/log?live=sse"):
        async with client.get(url) as answer:
            assert "hunter2" in await answer.text()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("livetask")]
    assert not [text for text in ours if "hunter2" in text]


# ---- how it stops


@pytest.mark.alone
async def test_viewers_are_told_goodbye_and_the_server_is_gone_within_2_s(store: Redis) -> None:
    Writer(store.url, "watched").begin().write(b"text\n")
    async with a_server("--redis-url", store.url) as server:
        viewers = [socketio.AsyncSimpleClient(reconnection=False) for _ in range(5)]
        for viewer in viewers:
            await viewer.connect(server.url, transports=["websocket"])
            assert (await viewer.call("subscribe", {"task_id": "watched"}))["ok"]
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for viewer in viewers:
            while (event := await viewer.receive(timeout=90))[0] != "bye":
                pass
            assert event[1]["retry_ms"] > 0
        assert await server.ended(10) == 0
        assert time.monotonic() - began < 2
        for viewer in viewers:
            await viewer.disconnect()


async def test_a_cancelled_look_at_the_store_always_ends(store: Redis) -> None:
    """redis-py under Python 3.11 forgets some cancellations, and the server then never stopped."""

    async def look(found: Store) -> None:
        while True:
            await found.expired()
            await asyncio.sleep(0.001)

    chance = random.Random(7)
    for _ in range(60):
        async with Store(store.url) as found:
            task = asyncio.create_task(look(found))
            await asyncio.sleep(chance.random() * 0.012)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=60)
            assert done


async def test_a_loop_that_fails_ends_the_server_with_status_1(
    store: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Store, limit: int = 100) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Store, "expired", broken)
    settings = Settings.load(flags={"redis_url": store.url, "port": 0})
    from livetask.server import app as server

    async def asked() -> bool:
        return made[0][STOPPING].asked.is_set()

    made = []
    monkeypatch.setattr(server, "make_app", lambda *given: made.append(make_app(*given)) or made[-1])
    assert await asyncio.wait_for(server.serve(settings, None), 90) == 1
    assert await asked()
    assert made[0][LIVE].sockets.viewers == 0


async def test_many_servers_start_and_stop_in_one_process(store: Redis) -> None:
    for _ in range(5):
        async with served(store.url) as client:
            async with client.get("/readyz") as answer:
                assert answer.status == 200

            async def heard() -> bool:
                async with client.get("/metrics") as figures:
                    return "livetask_store_up 1.0" in await figures.text()

            await until("the store is seen", heard)


@pytest.mark.parametrize(
    ("shut", "opened", "said"),
    [
        (("ACL", "SETUSER", "shut", "-xread"), ("ACL", "SETUSER", "shut", "+xread"), "the 'xread' command"),
        (("SET", Keys("shut").recent(3), "another's"), ("DEL", Keys("shut").recent(3)), "another prefix"),
    ],
)
async def test_what_an_operator_shuts_in_redis_is_told_and_the_server_goes_on_when_it_is_open_again(
    store: Redis, caplog: pytest.LogCaptureFixture, shut: tuple[str, ...], opened: tuple[str, ...], said: str
) -> None:
    store.do("ACL", "SETUSER", "shut", "reset", "on", "nopass", "~*", "&*", "+@all", "-info")
    store.do(*shut)
    async with served(store.url.replace("://", "://shut:any@"), prefix="shut") as client:
        server = client.server
        assert isinstance(server, TestServer)

        async def heard(words: str) -> bool:
            return words in caplog.text

        async def listed() -> bool:
            async with client.get("/api/tasks") as answer:
                return answer.status == 200

        await until("the log says why", lambda: heard(said))
        store.do(*opened)
        await until("tasks are listed", listed)
        async with client.get("/metrics") as answer:
            assert answer.status == 200
        assert not server.app[STOPPING].failed
