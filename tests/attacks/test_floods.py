"""Who asks for too much: it is refused with the time to wait, and others are served all the while."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st

from livetask.server import engine as engine_of
from livetask.server.app import LIVE
from livetask.server.armour.rates import Rates, place_of
from tests.attacks.conftest import TASK
from tests.server import small_app
from tests.server.serving import Client, Writer, served, until
from tests.system.rig import Redis


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 3)), max_size=200),
    st.integers(1, 100),
)
def test_no_minute_has_more_than_two_buckets_and_whoever_waits_is_served(
    asked: list[tuple[float, int]], limit: int
) -> None:
    rates, now_s, taken = Rates({"starts": limit}), 0.0, []
    for later_s, cost in asked:
        now_s += later_s
        wait_s = rates.take("starts", "anna", now_s, cost)
        if wait_s:
            assert rates.take("starts", "anna", now_s + wait_s + 1e-6, 0) == 0.0 or wait_s <= 60
            assert rates.take("starts", "anna", now_s, cost) > 0, "refusing costs nothing and changes nothing"
        else:
            taken.append((now_s, cost))
    for began_s, _ in taken:
        within = sum(cost for at_s, cost in taken if began_s <= at_s < began_s + 60)
        assert within <= 2 * limit + 3
    assert rates.take("starts", "ben", now_s) == 0.0


def test_the_table_of_callers_is_bounded() -> None:
    rates = Rates({"starts": 2}, most=100)
    for number in range(10_000):
        assert rates.take("starts", f"192.0.2.{number}", number / 1000) == 0.0
    assert len(rates) == 100


def test_one_household_is_one_caller() -> None:
    assert place_of("2001:db8:1:2:aaaa::1") == place_of("2001:db8:1:2:bbbb::9") != place_of("2001:db8:1:3::1")
    assert place_of("::ffff:192.0.2.1") == "192.0.2.1" == place_of("192.0.2.1")
    assert place_of("fe80::1%eth0") == "fe80::"
    assert place_of("anna") == "anna"


async def test_starts_beyond_the_limit_are_refused_with_the_time_to_wait_by_http_and_socketio(store: Redis) -> None:
    async with served(store.url, small_app.make(store.url), available_tasks=("add",), starts_per_minute=3) as client:
        for status in (201, 201):
            async with client.post("/task", json={"task_name": "add", "args": [1]}) as answer:
                assert answer.status == status
        viewer = socketio.AsyncSimpleClient(reconnection=False)
        await viewer.connect(str(client.make_url("/")), transports=["websocket"])
        assert (await viewer.call("send_task", {"task_name": "add", "args": [1]}))["status"] == "success"
        refused = await viewer.call("send_task", {"task_name": "add", "args": [1]})
        assert refused["code"] == "too_fast"
        assert "starts_per_minute" in refused["data"]
        assert (await viewer.call("watch", {}))["ok"], "other things go on"
        many = await viewer.call("rerun_tasks", {"task_ids": [TASK] * 50})
        assert many["code"] == "too_fast"
        await viewer.disconnect()
        async with client.post("/task", json={"task_name": "add", "args": [1]}) as answer:
            assert answer.status == 429
            assert 1 <= int(answer.headers["Retry-After"]) <= 21
            assert (await answer.json())["code"] == "too_fast"
        async with client.post(f"/task/{TASK}/rerun") as answer:
            assert answer.status == 429


async def test_a_chain_counts_as_many_starts_as_it_has_tasks(store: Redis) -> None:
    chain = {"task_name": "add", "args": [1], "chain": [{"task_name": "add"}] * 4}
    async with served(store.url, small_app.make(store.url), available_tasks=("add",), starts_per_minute=3) as client:
        async with client.post("/task", json=chain) as answer:
            assert answer.status == 429, "one of three is taken, and four more are wanted"
        viewer = socketio.AsyncSimpleClient(reconnection=False)
        await viewer.connect(str(client.make_url("/")), transports=["websocket"])
        assert (await viewer.call("send_task", chain))["code"] == "too_fast"
        assert (await viewer.call("send_task", {**chain, "chain": chain["chain"][:1]}))["status"] == "success"
        await viewer.disconnect()


async def test_who_comes_through_a_trusted_proxy_is_counted_by_its_own_address(store: Redis) -> None:
    some = {"trusted_proxies": ("127.0.0.1",), "subscriptions_per_minute": 1}
    async with served(store.url, **some) as client:
        for address, status in (("192.0.2.1", 404), ("192.0.2.1", 429), ("192.0.2.2", 404), ("x, 192.0.2.2", 429)):
            async with client.get("/api/tasks/x/runs/1/log.txt", headers={"X-Forwarded-For": address}) as answer:
                assert answer.status == status, address
    async with served(store.url, subscriptions_per_minute=1) as client:
        for address, status in (("192.0.2.1", 404), ("192.0.2.2", 429)):
            async with client.get("/api/tasks/x/runs/1/log.txt", headers={"X-Forwarded-For": address}) as answer:
                assert answer.status == status, "nobody is believed who was not named as a proxy"


async def test_a_flood_of_subscriptions_is_refused_and_the_connection_lives(
    store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    Writer(store.url, TASK).begin()
    async with served(store.url, subscriptions_per_minute=20) as client:
        viewer = socketio.AsyncSimpleClient(reconnection=False)
        await viewer.connect(str(client.make_url("/")), transports=["websocket"])
        meter = client.server.app[LIVE].sockets._meter  # type: ignore[attr-defined]
        monkeypatch.setattr(meter, "_clock", lambda: 100.0)  # however long it takes: nothing is allowed anew meanwhile
        answers = [await viewer.call("subscribe", {"task_id": f"flood-{number}", "wait": True}) for number in range(40)]
        assert [answer["ok"] for answer in answers] == [True] * 20 + [False] * 20
        assert {answer["code"] for answer in answers[20:]} == {"too_fast"}
        assert (await viewer.call("unsubscribe", {"task_id": "flood-0"}))["ok"]
        async with client.get(f"/api/tasks/{TASK}/runs/1/log.txt") as answer:
            assert answer.status == 429
        async with client.get(f"/api/tasks/{TASK}") as answer:
            assert answer.status == 200
        await viewer.disconnect()


async def test_one_viewer_has_only_so_many_subscriptions_at_once(store: Redis) -> None:
    async with served(store.url, max_subscriptions=5) as client:
        viewer = socketio.AsyncSimpleClient(reconnection=False)
        await viewer.connect(str(client.make_url("/")), transports=["websocket"])
        answers = [await viewer.call("subscribe", {"task_id": f"many-{number}", "wait": True}) for number in range(8)]
        assert [answer["ok"] for answer in answers] == [True] * 5 + [False] * 3
        await viewer.disconnect()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_connection_that_never_becomes_a_viewer_is_ended(
    client: Client, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_of, "MUTE_S", 0.3)
    async with served("redis://127.0.0.1:1/0") as hasty, aiohttp.ClientSession() as session:
        url = hasty.make_url(f"/socket.io/?EIO=4&transport={transport}")
        engine = hasty.server.app[LIVE].sockets._server.eio  # type: ignore[attr-defined]
        if transport == "websocket":
            async with session.ws_connect(url) as socket:
                await socket.receive_str(timeout=90)
                assert (await socket.receive(timeout=90)).type in (
                    aiohttp.WSMsgType.CLOSE,
                    aiohttp.WSMsgType.CLOSED,
                    aiohttp.WSMsgType.ERROR,
                )
            await until("it is forgotten", lambda: _true(not engine.sockets))
        else:
            async with session.get(url) as answer:
                sid = (await answer.text()).split('"sid":"')[1].split('"')[0]
            await until("it is ended", lambda: _true(sid not in engine.sockets or engine.sockets[sid].closed))


async def _true(found: bool) -> bool:
    return found


async def test_connections_beyond_the_bound_are_refused(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_of, "SPARE", 2)
    async with served(store.url, max_viewers=1) as client, aiohttp.ClientSession() as session:
        url = client.make_url("/socket.io/?EIO=4&transport=websocket")
        sockets = [await session.ws_connect(url) for _ in range(3)]
        for _ in range(3):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(url)
        assert len(client.server.app[LIVE].sockets._server.eio.sockets) == 3  # type: ignore[attr-defined]
        await asyncio.gather(*(socket.close() for socket in sockets))
