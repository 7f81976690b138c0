"""The figures: what they tell of viewers, Redis and workers, and that the dashboard and the document know them all."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import redis

from livetask.errors import RedisUnavailable
from livetask.keys import Keys
from livetask.position import Position
from livetask.server.loop_lag import LoopLag
from livetask.server.store_figures import StoreFigures
from tests.conftest import Started
from tests.server.serving import Client, Writer, redis_of_the_module, served, until
from tests.server.test_health import figures
from tests.system.rig import CHECKOUT, Redis

DASHBOARD = CHECKOUT / "docs" / "grafana" / "livetask.json"
DOCUMENT = CHECKOUT / "docs" / "scaling.md"
NAME = re.compile(r"\blivetask_\w+")


store = redis_of_the_module


async def families(client: Client) -> dict[str, str]:
    """The names of all figures that there are, with the name of their label."""
    async with client.get("/metrics") as answer:
        text = await answer.text()
    names = re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)
    labels = dict(re.findall(r"^(\w+){(\w+)=", text, re.MULTILINE))
    return {name: labels.get(name, "") for name in names}


def told_of(store: Redis) -> None:
    """A worker that tells of its spools, so that all figures are there."""
    with redis.Redis.from_url(store.url) as client:
        text = json.dumps({"held": 4096, "waiting": 1000, "runs": 2})
        client.hset(Keys().spools(), "w1@host", f"{2**53} {text}")
        client.hset(Keys().spools(), "gone@host", f"1000 {text}")
        client.hset(Keys().spools(), "odd@host", f"{2**53} nonsense")


async def test_the_dashboard_and_the_document_name_figures_that_there_are(store: Redis) -> None:
    told_of(store)
    async with served(store.url) as client:
        there = await families(client)
    shown = json.loads(DASHBOARD.read_text("utf-8"))
    asked = [target["expr"] for panel in shown["panels"] for target in panel.get("targets", [])]
    assert len(asked) > 20
    used = {name for text in asked for name in NAME.findall(text)}
    assert used <= there.keys()
    rows = re.findall(r"^\| `(livetask_\w+)` \| (\S*) ?\| \S", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    archive = {name for name in there if name.startswith("livetask_archive")}
    assert {name for name, _ in rows} == there.keys() - archive
    nothing_yet = ("reason", "kind")  # no gap has been told of, nothing was noted
    labels = {name: label for name, label in rows if label not in nothing_yet}
    assert labels == {name: there[name] for name in labels}


async def test_workers_stand_in_the_figures_until_their_lease_is_over(store: Redis) -> None:
    told_of(store)
    async with served(store.url) as client:
        found = await figures(client)
    assert (found["livetask_workers", ""], found["livetask_spool_bytes", "w1@host"]) == (1, 4096)
    assert found["livetask_spool_waiting_bytes", "w1@host"] == 1000
    assert ("livetask_spool_bytes", "gone@host") not in found
    with redis.Redis.from_url(store.url) as client_of_redis:
        assert client_of_redis.hkeys(Keys().spools()) == [b"w1@host", b"odd@host"]


async def test_they_tell_of_redis_of_gaps_and_of_who_is_behind(store: Redis) -> None:
    writer = Writer(store.url, "told").begin().write(b"12345\n").drop(Position(5, 106))
    async with served(store.url, window_bytes=4096) as client:
        async with client.get("/api/tasks/told/runs/1/log?live=sse") as answer:
            while b"event: gap\n" not in await answer.content.readline():
                pass
            before = await figures(client)
            writer.finish()
            await answer.read()
        assert before["livetask_gaps_total", "dropped"] == 1
        assert before["livetask_gap_bytes_total", "dropped"] == 100
        assert before["livetask_delivered_bytes_total", ""] == 6
        assert before["livetask_viewers_behind", ""] == before["livetask_viewer_lag_bytes", ""] == 0
        assert before["livetask_store_memory_bytes", ""] > 0
        assert before["livetask_store_ping_seconds", ""] > 0
        assert before["livetask_store_keeps_all", ""] in (0, 1)
        async with client.get("/readyz") as ready:
            brief = await ready.json()
        assert {"store_ping_ms", "loop_lag_ms", "viewers", "windows_full", "lag_bytes"} <= brief.keys()


async def test_a_viewer_that_does_not_read_shows_as_a_full_window_and_a_lag(store: Redis) -> None:
    writer = Writer(store.url, "stalled").begin()
    for _ in range(400):
        writer.write(b"z" * 15_999 + b"\n")
    async with served(store.url) as client:
        _, out = await asyncio.open_connection("127.0.0.1", client.port, limit=4096)
        out.write(b"GET /api/tasks/stalled/runs/1/log?live=sse HTTP/1.0\r\nHost: localhost\r\n\r\n")

        async def shown() -> bool:
            found = await figures(client)
            return found["livetask_windows_full", ""] == 1 and found["livetask_viewer_lag_bytes_max", ""] > 1_000_000

        await until("its window is full", shown)
        out.close()
        await out.wait_closed()

        async def gone() -> bool:
            return (await figures(client))["livetask_windows_full", ""] == 0

        await until("it is forgotten", gone)


async def test_a_busy_event_loop_shows_as_lag() -> None:
    lag = LoopLag()
    async with asyncio.timeout(90):
        looking = asyncio.create_task(lag.run())
        while lag.worst_s < 0.3:
            await asyncio.sleep(0)
            _spin(0.4)
        looking.cancel()
    assert lag.worst_s >= 0.3


def _spin(seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        pass


async def test_a_redis_that_is_away_leaves_its_figures_out_and_no_more() -> None:
    async def away(_: object = None) -> list[object]:
        raise RedisUnavailable("away")

    found = StoreFigures(away, away, Keys())  # type: ignore[arg-type]
    await found.read()
    assert (found.ping_s, found.info, found.spools) == (None, {}, ())


async def test_a_worker_tells_of_its_spools_by_itself(
    worker: Callable[..., Awaitable[Started]], redis_url: str, eventually: Callable[..., Awaitable[Any]]
) -> None:
    started = await worker("livetask.demo", pool="solo", concurrency=1)
    with redis.Redis.from_url(redis_url) as client:
        found = await eventually(lambda: client.hgetall(Keys().spools()))
    (name, text), *more = found.items()
    assert not more, started.output()
    assert json.loads(text.partition(b" ")[2]).keys() == {"held", "waiting", "runs"}
    assert b"worker0@" in name or b":" in name
