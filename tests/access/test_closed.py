"""A server that asks who one is shows nothing to nobody, whatever is asked for and whatever is away."""

from __future__ import annotations

import re

import pytest
import socketio

from livetask.keys import Keys
from tests.access.conftest import PASSWORD, Stored, bearer
from tests.real.redis_servers import RealRedis
from tests.server.serving import Client, served

PUBLIC = {"/static", "/healthz", "/login", "/logout", "/socket.io/", "/share", "/api/share", "/embed/tasks/{task_id}"}


async def test_every_route_but_the_named_ones_wants_to_know_who_asks(client: Client) -> None:
    asked = 0
    for route in client.app.router.routes():
        resource = route.resource
        assert resource is not None
        if resource.canonical in PUBLIC:
            continue
        path = re.sub(r"\{[^}]*\}", "x", resource.canonical)
        async with client.request(route.method.replace("*", "GET"), path, allow_redirects=False) as answer:
            assert answer.status == 401, (route.method, path)
        asked += 1
    assert asked > 20


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "/static/../api/tasks", "/API/tasks"])
async def test_what_does_not_exist_is_not_told_from_what_does(client: Client, path: str) -> None:
    async with client.get(path, allow_redirects=False) as answer:
        assert answer.status == 401


async def test_a_browser_is_led_to_the_login_and_back(client: Client) -> None:
    wanted = {"Accept": "text/html,application/xhtml+xml"}
    async with client.get("/tasks/a?run=2", headers=wanted, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/login?next=/tasks/a?run%3D2")


async def test_health_is_public_and_readiness_only_by_a_setting(client: Client, stored: Stored) -> None:
    async with client.get("/healthz") as answer:
        assert answer.status == 200
    for path in ("/readyz", "/metrics"):
        async with client.get(path) as answer:
            assert answer.status == 401
    async with served(stored.url, auth="required", public_metrics=True) as other:
        for path in ("/readyz", "/metrics"):
            async with other.get(path) as answer:
                assert answer.status == 200


async def test_an_empty_redis_opens_no_door(client: Client, stored: Stored) -> None:
    text = await stored.token()
    await stored.tokens._ask([("FLUSHALL",)])
    for headers in ({}, bearer(text)):
        async with client.get("/api/tasks", headers=headers) as answer:
            assert answer.status == 401


async def test_a_redis_that_is_away_opens_no_door(private_redis: RealRedis) -> None:
    async with served(private_redis.url, auth="required") as client:
        private_redis.stop()
        token = bearer("ltk_0123456789ab_" + "x" * 43)
        async with client.get("/api/startable", headers=token) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "redis_unavailable")
        async with client.get("/api/startable") as answer:
            assert answer.status == 401
        form = {"name": "anna", "password": PASSWORD}
        async with client.post("/login", data=form, allow_redirects=False) as answer:
            assert answer.status == 503
        plain = socketio.AsyncClient(reconnection=False)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await plain.connect(str(client.make_url("/")), auth={"token": token["Authorization"][7:]})
        await plain.disconnect()
        async with client.get("/login") as answer:
            assert answer.status == 200


@pytest.mark.parametrize("stale", [b"", b"{}", b"[]", b"null", b"\xff", b'{"name": 1}'])
async def test_what_cannot_be_read_in_redis_lets_nobody_in(client: Client, stored: Stored, stale: bytes) -> None:
    text, token = await stored.tokens.make("ci", "admin")
    await stored.tokens._ask([("HSET", Keys().tokens(), token.token_id, stale)])
    async with client.get("/api/tasks", headers=bearer(text)) as answer:
        assert answer.status == 401
