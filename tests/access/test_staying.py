"""Who has come in is asked about again while they stay: a revoked one loses what it was looking at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import socketio

from livetask.errors import RedisUnavailable
from livetask.server.access.caller import NOBODY, ROLES, Caller
from livetask.server.access.gate import GATE
from livetask.server.access.presented import Presented
from livetask.server.access.standing import AGAIN_S, CHANGED, OVER, Loss, Standing
from tests.access.conftest import PASSWORD, Stored, bearer
from tests.server.serving import Client, Writer

Eventually = Callable[..., Awaitable[Any]]


async def _look(client: Client) -> None:
    await client.app[GATE].standing.look()


def test_a_revoked_one_is_out_within_a_minute() -> None:
    assert AGAIN_S <= 30


async def test_the_server_looks_by_itself(stored: Stored, monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    looked = asyncio.Event()
    standing = client.app[GATE].standing

    async def look(self: Standing) -> None:
        looked.set()

    monkeypatch.setattr(Standing, "look", look)
    monkeypatch.setattr(standing, "_again_s", 0.01)
    loop = asyncio.ensure_future(standing.run())
    async with asyncio.timeout(90):
        await looked.wait()
    loop.cancel()


async def test_a_stream_of_a_revoked_token_ends_when_the_server_looks_again(
    client: Client, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    Writer(stored.url, "task-1").begin().write(b"one\n")
    text, token = await stored.tokens.make("ci", "viewer")
    standing = client.app[GATE].standing
    monkeypatch.setattr(standing, "_again_s", 0.05)
    looking = asyncio.ensure_future(standing.run())
    try:
        async with client.get("/api/tasks/task-1/runs/1/log?live=sse", headers=bearer(text)) as answer:
            async with asyncio.timeout(90):
                while b"event: output" not in await answer.content.readline():
                    pass
                await stored.tokens.revoke(token.token_id)
                assert b"login_needed" in await answer.content.read()
    finally:
        looking.cancel()


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]])
async def test_a_socket_of_a_revoked_token_is_told_and_ended(
    client: Client, stored: Stored, transports: list[str]
) -> None:
    Writer(stored.url, "task-1").begin().write(b"one\n")
    text, token = await stored.tokens.make("ci", "viewer")
    byes: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    gone = asyncio.Event()
    viewer = socketio.AsyncClient(reconnection=False)
    viewer.on("bye", byes.put_nowait)
    viewer.on("disconnect", lambda *_: gone.set())
    await viewer.connect(str(client.make_url("/")), auth={"token": text}, transports=transports)
    assert (await viewer.call("subscribe", {"task_id": "task-1"}))["ok"]
    await _look(client)
    assert byes.empty()
    await stored.tokens.revoke(token.token_id)
    async with asyncio.timeout(90):
        await _look(client)
        assert (await byes.get())["code"] == "login_needed"
        await gone.wait()
    await viewer.disconnect()
    assert client.app[GATE].standing.here == 0


async def test_an_event_stream_of_a_session_that_is_over_is_told_and_ended(client: Client, stored: Stored) -> None:
    Writer(stored.url, "task-1").begin().write(b"one\n")
    await stored.users.make("anna", "viewer", PASSWORD)
    session = await stored.session("anna")
    async with client.get("/api/tasks/task-1/runs/1/log?live=sse", headers=session) as answer:
        assert answer.status == 200
        async with asyncio.timeout(90):
            while b"event: output" not in await answer.content.readline():
                pass
            await _look(client)
            await stored.users.log_out_everywhere("anna")
            await _look(client)
            rest = await answer.content.read()
    assert b"event: bye" in rest
    assert b'"code": "login_needed"' in rest


async def test_a_long_poll_of_a_revoked_token_is_answered_401(
    client: Client, stored: Stored, eventually: Eventually
) -> None:
    Writer(stored.url, "task-1").begin().write(b"one\n")
    text, token = await stored.tokens.make("ci", "viewer")
    url = "/api/tasks/task-1/runs/1/log"
    async with client.get(f"{url}?offset=-1", headers=bearer(text)) as answer:
        offset = answer.headers["Stream-Next-Offset"]
    poll = asyncio.ensure_future(client.get(f"{url}?live=long-poll&offset={offset}", headers=bearer(text)))
    await eventually(lambda: client.app[GATE].standing.here == 1)
    await stored.tokens.revoke(token.token_id)
    began = time.monotonic()
    await _look(client)
    answer = await poll
    assert answer.status == 401
    assert time.monotonic() - began < 10


async def test_a_file_that_grows_breaks_off_when_its_token_is_revoked(client: Client, stored: Stored) -> None:
    Writer(stored.url, "task-1").begin().write(b"one\n")
    text, token = await stored.tokens.make("ci", "viewer")
    async with client.get("/api/tasks/task-1/runs/1/log.txt?follow=1", headers=bearer(text)) as answer:
        async with asyncio.timeout(90):
            assert await answer.content.readline() == b"one\n"
            await stored.tokens.revoke(token.token_id)
            await _look(client)
            with pytest.raises(aiohttp.ClientPayloadError):  # it is not taken for the whole
                await answer.content.read()


async def test_who_may_do_other_things_now_is_told_so(client: Client, stored: Stored) -> None:
    Writer(stored.url, "task-1").begin().write(b"one\n")
    await stored.users.make("anna", "admin", PASSWORD)
    byes: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    viewer = socketio.AsyncClient(reconnection=False)
    viewer.on("bye", byes.put_nowait)
    await viewer.connect(str(client.make_url("/")), headers=await stored.session("anna"), transports=["websocket"])
    user = await stored.users.find("anna")
    assert user is not None
    await stored.users._ask([("HSET", stored.users._keys.users(), "anna", _as_viewer(user))])
    async with asyncio.timeout(90):
        await _look(client)
        assert (await byes.get())["code"] == "rights_changed"
    await viewer.disconnect()


def _as_viewer(user: Any) -> str:
    import dataclasses
    import json

    return json.dumps({**dataclasses.asdict(user), "role": "viewer"})


# ---- the looking itself


class _Answers:
    """A gate that says what it is told to say."""

    def __init__(self, answer: Caller | Exception) -> None:
        self.answer = answer
        self.asked = 0

    async def caller_of(self, presented: Presented) -> Caller:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ANNA = Caller("anna", "session", "viewer", ROLES["viewer"], "s-1")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ANNA, []),
        (NOBODY, [OVER] * 3),
        (Caller("anna", "session", "admin", ROLES["admin"], "s-1"), [CHANGED] * 3),
        (RedisUnavailable("away"), []),
    ],
)
async def test_each_is_told_what_has_changed_and_one_question_serves_all_of_a_session(
    answer: Caller | Exception, told: list[Loss]
) -> None:
    gate = _Answers(answer)
    standing = Standing(gate)
    heard: list[Loss] = []

    async def hear(loss: Loss) -> None:
        heard.append(loss)

    for _ in range(3):
        standing.enter(Presented(), ANNA, hear)
    await standing.look()
    assert (heard, gate.asked) == (told, 1)


async def test_one_who_does_not_take_the_news_keeps_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livetask.server.access.standing._TOLD_WITHIN_S", 0.05)
    standing = Standing(_Answers(NOBODY))
    heard: list[Loss] = []

    async def deaf(loss: Loss) -> None:
        await asyncio.Event().wait()

    async def hear(loss: Loss) -> None:
        heard.append(loss)

    for lost in (deaf, hear, deaf, hear):
        standing.enter(Presented(), ANNA, lost)
    await standing.look()
    assert heard == [OVER, OVER]
    assert standing.here == 0


async def test_all_of_a_revoked_token_are_put_out_together() -> None:
    standing = Standing(_Answers(NOBODY))
    together = asyncio.Barrier(50)

    async def wait_for_the_others(loss: Loss) -> None:
        await together.wait()

    for _ in range(50):
        standing.enter(Presented(), ANNA, wait_for_the_others)
    await standing.look()
    assert not together.broken
    assert together.n_waiting == 0


async def test_who_brings_the_same_is_one_question_and_who_brings_other_things_another() -> None:
    gate = _Answers(Caller("anna", "callable", "viewer", ROLES["viewer"]))
    standing = Standing(gate)
    assert isinstance(gate.answer, Caller)

    async def never(loss: Loss) -> None:
        raise AssertionError(loss)

    for cookie in ("a", "a", "b"):
        for number in range(2):
            headers = {"sec-websocket-key": (f"{cookie}{number}",), "accept": ("*/*",)}
            standing.enter(Presented("192.0.2.7", headers, {"sso": cookie}), gate.answer, never)
    await standing.look()
    assert gate.asked == 2
