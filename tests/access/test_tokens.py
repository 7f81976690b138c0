"""Tokens: made, shown once, used everywhere, revoked."""

from __future__ import annotations

import time

import pytest
import redis
import socketio

from livetask.access_errors import CredentialUnknown
from livetask.errors import ArgumentInvalid
from livetask.keys import Keys
from tests.access.conftest import Stored, bearer
from tests.server.serving import Client, Writer


async def test_a_token_opens_the_api_to_its_holder(client: Client, stored: Stored) -> None:
    token = await stored.token("ci", "operator")
    async with client.get("/api/me", headers=bearer(token)) as answer:
        me = await answer.json()
    assert (me["name"], me["by"], me["role"]) == ("ci", "token", "operator")
    assert me["abilities"] == ["cancel", "download", "rerun", "start", "view"]


async def test_without_a_token_the_api_says_what_to_do(client: Client) -> None:
    async with client.get("/api/tasks") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        said = await answer.json()
    assert said["code"] == "login_needed"
    assert "LIVETASK_TOKEN" in said["error"]
    assert "livetask token new" in said["error"]


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "x", lambda t: t[:17] + "A" * 43, lambda t: "ltk_"])
async def test_a_token_that_is_not_quite_it_opens_nothing(client: Client, stored: Stored, change: object) -> None:
    wrong = change(await stored.token())  # type: ignore[operator]
    async with client.get("/api/tasks", headers=bearer(wrong)) as answer:
        assert answer.status == 401


async def test_a_token_in_the_address_opens_nothing(client: Client, stored: Stored) -> None:
    token = await stored.token()
    async with client.get("/api/tasks", params={"token": token, "access_token": token}) as answer:
        assert answer.status == 401


async def test_a_revoked_token_opens_nothing_from_then_on(client: Client, stored: Stored) -> None:
    text, token = await stored.tokens.make("ci", "viewer")
    async with client.get("/api/tasks", headers=bearer(text)) as answer:
        assert answer.status == 200
    await stored.tokens.revoke(token.token_id)
    async with client.get("/api/tasks", headers=bearer(text)) as answer:
        assert answer.status == 401
    with pytest.raises(CredentialUnknown):
        await stored.tokens.revoke(token.token_id)


async def test_a_token_expires(client: Client, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    text, token = await stored.tokens.make("ci", "viewer", days=1)
    assert token.expires_at_s - token.made_at_s == 24 * 3600
    now_s = time.time()
    monkeypatch.setattr("livetask.server.access.tokens.time.time", lambda: now_s + 24 * 3600 + 1)
    async with client.get("/api/tasks", headers=bearer(text)) as answer:
        assert answer.status == 401


async def test_what_is_stored_of_a_token_does_not_give_it_away(stored: Stored) -> None:
    text = await stored.token()
    secret = text.split("_", 2)[2].encode()
    with redis.Redis.from_url(stored.url) as client:
        held = client.hgetall(Keys().tokens())
    assert held
    assert not [value for value in held.values() if secret in value]


@pytest.mark.parametrize(
    ("name", "role", "days"), [("", "viewer", None), ("a\n", "viewer", None), ("a", "Admin!", None), ("a", "viewer", 0)]
)
async def test_a_token_that_makes_no_sense_is_refused(stored: Stored, name: str, role: str, days: int | None) -> None:
    with pytest.raises(ArgumentInvalid):
        await stored.tokens.make(name, role, days)


async def test_a_role_of_its_own_gives_nothing_by_itself(client: Client, stored: Stored) -> None:
    async with client.get("/api/me", headers=bearer(await stored.token("x", "analyst"))) as answer:
        assert (await answer.json())["abilities"] == []


async def test_a_socket_is_let_in_by_a_token_and_refused_without(client: Client, stored: Stored) -> None:
    Writer(stored.url, "task-1").begin()
    url = str(client.make_url("/")).rstrip("/")
    refusals: list[dict[str, object]] = []
    async with socketio.AsyncSimpleClient() as viewer:
        await viewer.connect(url, auth={"token": await stored.token()}, transports=["websocket"])
        assert (await viewer.call("subscribe", {"task_id": "task-1"}))["ok"] is True
    async with socketio.AsyncSimpleClient() as viewer:
        await viewer.connect(url, headers=bearer(await stored.token()), transports=["polling"])
        assert (await viewer.call("subscribe", {"task_id": "task-1"}))["ok"] is True
    for auth in (None, {"token": "ltk_wrong"}, {"token": 7}, ["token"], "token"):
        plain = socketio.AsyncClient(reconnection=False)
        plain.on("connect_error", refusals.append)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await plain.connect(url, auth=auth)
        await plain.disconnect()
    assert len(refusals) == 5
    assert all(refusal["data"]["code"] == "login_needed" for refusal in refusals)  # type: ignore[index]
