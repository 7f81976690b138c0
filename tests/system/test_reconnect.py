"""Viewers in node and in Python, the pages' client among them, keep their place over all that can break on the way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.oracle.verdict import judging
from tests.real.fault_proxy import FaultProxy
from tests.system.apps.lines import text
from tests.system.follower import Follower
from tests.system.reading import asked, ended_task, output_by_offset, output_in_redis
from tests.system.rig import Dashboard, Redis, Rig, Running, wait_for
from tests.system.sending import sent
from tests.system.viewers import NodeViewer, must_equal

LINES = 10_000
A_SECOND = 1500.0
WAYS = (
    "node, text, acks",
    "node, binary, no acks",
    "python, binary, acks",
    "python, text, no acks",
    "node, polling",
    "node as a page, binary, acks",
    "node as a page, binary, polling",
)


@dataclass
class House:
    """All that runs: two Redis, so that Celery's own is not what is broken, a worker, a server, a proxy before it."""

    rig: Rig
    broker: Redis
    store: Redis
    worker: Running
    dashboard: Dashboard
    proxy: FaultProxy
    env: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"

    def restart_dashboard(self) -> None:
        self.dashboard.running.kill()
        self.dashboard = self.rig.serve(self.store.url, self.dashboard.port)

    def lines_stored(self, task_id: str) -> int:
        """How many lines the server knows of the task's first run, 0 when it cannot say."""
        with contextlib.suppress(OSError):
            answer = asked(f"{self.dashboard.url}/api/tasks/{task_id}")
            if answer.status == 200 and answer.json["runs"]:
                return int(answer.json["runs"][0]["lines"])
        return 0

    async def until_lines(self, task_id: str, lines: int, within_s: float = 90) -> None:
        def seen() -> bool:
            return self.lines_stored(task_id) >= lines

        await asyncio.to_thread(wait_for, f"{lines} lines of {task_id}", seen, within_s)


def build(rig: Rig, proxy_to: Callable[[int], FaultProxy], fsync: str = "everysec") -> House:
    """Start everything. ``proxy_to``: makes the running proxy before the server's port."""
    broker, store = rig.redis(), rig.redis(fsync)
    env = rig.app_env(broker.url, LIVETASK_REDIS_URL=store.url)
    worker = rig.worker("numbered", env)
    dashboard = rig.serve(store.url)
    return House(rig, broker, store, worker, dashboard, proxy_to(dashboard.port), env)


@pytest.fixture
def house(rig: Rig) -> Any:
    with contextlib.ExitStack() as stack:
        yield build(rig, lambda port: stack.enter_context(FaultProxy(port)))


@contextlib.asynccontextmanager
async def watching(house: House, *call: Any) -> AsyncIterator[tuple[str, dict[str, NodeViewer | Follower]]]:
    """A task that is sent when one viewer of each way has subscribed: its id, and the viewers. ``call``: its words."""
    task_id = str(uuid4())
    async with contextlib.AsyncExitStack() as stack:
        viewers: dict[str, NodeViewer | Follower] = {}
        for way in WAYS:
            binary, acks = "binary" in way, "no acks" not in way
            if "node" in way:
                transports = ["polling"] if "polling" in way else ["websocket"]
                options = {"binary": binary, "ack": acks, "transports": transports, "page": "page" in way}
                viewers[way] = await asyncio.to_thread(NodeViewer.start, house.rig, house.url, task_id, **options)
            else:
                follower = Follower(house.url, task_id, acks=acks, binary=binary)
                viewers[way] = await stack.enter_async_context(follower)
        sent(house.env, *call, task_id=task_id)
        yield task_id, viewers


async def all_have(viewers: dict[str, NodeViewer | Follower], wanted: bytes, house: House, task_id: str) -> None:
    """Raise NotExact unless all viewers, the HTTP interface and the store hold exactly ``wanted``, without a gap."""
    for way, viewer in viewers.items():
        if isinstance(viewer, Follower):
            await asyncio.wait_for(viewer.done.wait(), 90)
            with judging():
                assert (viewer.faults, viewer.gaps, viewer.resets) == ([], [], []), way
        else:
            done = await asyncio.to_thread(viewer.done)
            with judging():
                assert (done["faults"], done["gaps"]) == ([], []), way
                assert not [event for event in viewer.events if event["event"] == "reset"], way
        must_equal(viewer.output, wanted)
    must_equal(await asyncio.to_thread(output_by_offset, house.dashboard.url, task_id), wanted)
    with house.store.client() as client:
        must_equal(output_in_redis(client, task_id), wanted)


async def test_fifty_cuts_at_random_lose_nothing_and_show_nothing_twice(house: House) -> None:
    chance = random.Random(50)
    enough = house.rig.place / "enough"
    async with watching(house, "numbered.write_until", LINES, A_SECOND, str(enough)) as (task_id, viewers):
        cuts = 0
        while cuts < 50 or min(viewer.connects for viewer in viewers.values()) <= 5:
            await asyncio.to_thread(wait_for, "somebody is connected", lambda: house.proxy.open_connections)
            # at any moment of a connection's life, its first messages included; a slow client has longer in the end
            await asyncio.sleep(chance.uniform(0.0, 0.35 + 0.1 * max(0, cuts - 50)))
            house.proxy.cut()
            cuts += 1
        enough.touch()
        task = await asyncio.to_thread(ended_task, house.dashboard.url, task_id)
        await all_have(viewers, text(int(task["result"])), house, task_id)


async def test_slow_and_silent_networks_lose_nothing(house: House) -> None:
    async with watching(house, "numbered.write", LINES, A_SECOND) as (task_id, viewers):
        house.proxy.delay_s = 0.05
        await house.until_lines(task_id, LINES // 4)
        house.proxy.delay_s = 0.0
        house.proxy.black_hole = True
        await house.until_lines(task_id, LINES // 2)
        house.proxy.black_hole = False
        await house.until_lines(task_id, LINES * 3 // 4)
        house.proxy.black_hole = True
        house.proxy.cut()
        house.proxy.refusing = True
        await house.until_lines(task_id, LINES * 7 // 8)
        house.proxy.black_hole = False
        house.proxy.refusing = False
        await all_have(viewers, text(LINES), house, task_id)


async def test_a_server_killed_and_started_again_three_times_loses_nothing(house: House) -> None:
    async with watching(house, "numbered.write", LINES, A_SECOND) as (task_id, viewers):
        for part in (1, 2, 3):
            await house.until_lines(task_id, LINES * part // 5)
            await asyncio.to_thread(house.restart_dashboard)
        await all_have(viewers, text(LINES), house, task_id)


async def test_redis_killed_and_started_again_from_its_file_loses_nothing(house: House) -> None:
    async with watching(house, "numbered.write", LINES, A_SECOND) as (task_id, viewers):
        for part in (1, 2, 3):
            await house.until_lines(task_id, LINES * part // 5)
            house.store.kill()
            await asyncio.to_thread(house.store.start, "everysec")
        await all_have(viewers, text(LINES), house, task_id)


async def test_a_redis_that_comes_back_without_its_last_writes_is_healed(house: House) -> None:
    async with watching(house, "numbered.write", LINES, A_SECOND) as (task_id, viewers):
        await house.until_lines(task_id, LINES // 3)
        house.store.kill()
        shortened = house.store.forget_last_bytes(100_000)
        assert shortened > 0
        await asyncio.to_thread(house.store.start, "everysec")
        await all_have(viewers, text(LINES), house, task_id)


async def test_a_redis_that_lost_everything_is_healed_or_shows_an_exact_gap(house: House) -> None:
    task_id = sent(house.env, "numbered.write", LINES, A_SECOND)
    async with Follower(house.url, task_id) as viewer:
        await house.until_lines(task_id, LINES // 3)
        with house.store.client() as client:
            client.flushall()
        await asyncio.wait_for(viewer.done.wait(), 90)
    with judging():
        assert viewer.faults == []
    # what it has, and the gaps it was told of, are the whole text without overlap
    wanted = text(LINES)
    with judging():
        assert viewer.byte == len(wanted)
    for _, at, data in viewer.pieces:
        must_equal(data, wanted[at : at + len(data)])
    told = sum(gap["bytes"] for gap in viewer.gaps)
    skipped = sum(int(reset["cursor"].rsplit("-", 1)[1]) for reset in viewer.resets[-1:])
    with judging():
        assert len(viewer.output) + told + skipped == len(wanted)


async def test_a_child_that_kills_itself_leaves_every_byte_and_the_true_reason(house: House) -> None:
    lines = 6000
    async with watching(house, "numbered.write_and_die", lines, A_SECOND) as (task_id, viewers):
        await all_have(viewers, text(lines), house, task_id)
    run = ended_task(house.dashboard.url, task_id)["runs"][0]
    assert (run["how"], run["detail"]["signal"]) == ("KILLED", "SIGKILL")


async def test_a_child_killed_from_outside_in_the_middle_of_its_output_ends_where_it_stopped(house: House) -> None:
    async with watching(house, "numbered.write", LINES, A_SECOND) as (task_id, viewers):
        await house.until_lines(task_id, LINES // 4)
        pid = int(asked(f"{house.dashboard.url}/api/tasks/{task_id}").json["runs"][0]["pid"])
        assert pid != house.worker.process.pid
        os.kill(pid, signal.SIGKILL)
        task = await asyncio.to_thread(ended_task, house.dashboard.url, task_id)
        end_byte = int(task["runs"][0]["end"].split("-")[1])
        assert end_byte > len(text(LINES // 4))
        await all_have(viewers, text(LINES)[:end_byte], house, task_id)
    assert (task["state"], task["runs"][0]["how"]) == ("FAILURE", "KILLED")


async def test_a_worker_whose_main_process_is_killed_shows_all_that_was_printed(house: House) -> None:
    async with watching(house, "numbered.write", LINES, A_SECOND) as (task_id, viewers):
        await house.until_lines(task_id, LINES // 4)
        house.worker.kill()
        task = await asyncio.to_thread(ended_task, house.dashboard.url, task_id)
        end_byte = int(task["runs"][0]["end"].split("-")[1])
        assert end_byte > len(text(LINES // 4))
        await all_have(viewers, text(LINES)[:end_byte], house, task_id)
    assert task["runs"][0]["how"] in ("KILLED", "LOST")


async def test_a_worker_killed_with_all_it_has_is_lost_and_its_spool_is_shipped_by_the_next_one(rig: Rig) -> None:
    broker, store = rig.redis(), rig.redis()
    env = rig.app_env(broker.url, LIVETASK_REDIS_URL=store.url, LIVETASK_LEASE_S="2")
    worker = rig.worker("numbered", env)
    dashboard = rig.serve(store.url, env={"LIVETASK_LEASE_S": "2"})
    task_id = sent(env, "numbered.write", LINES, A_SECOND)
    async with Follower(dashboard.url, task_id) as viewer:
        await asyncio.to_thread(wait_for, "some output", lambda: viewer.byte > 100_000)
        store.kill()  # so that the spool holds what Redis has not
        before = viewer.byte
        wanted = text(LINES)

        def spooled() -> int:
            return sum(file.stat().st_size for file in (rig.place / "spool").rglob("*.out"))

        await asyncio.to_thread(wait_for, "more in the spool", lambda: spooled() > before + 50_000)
        worker.kill_all()
        await asyncio.to_thread(store.start, "everysec")
        task = await asyncio.to_thread(ended_task, dashboard.url, task_id)
        assert task["runs"][0]["how"] == "LOST"
        rig.worker("numbered", env)
        await asyncio.to_thread(wait_for, "the rest", lambda: viewer.byte > before + 50_000)
        await asyncio.to_thread(
            wait_for, "an end that is not LOST", lambda: viewer.ends and viewer.ends[-1]["how"] != "LOST"
        )
        with judging():
            assert viewer.faults == []
            assert viewer.gaps == []
        must_equal(viewer.output, wanted[: viewer.byte])
        assert viewer.ends[-1]["bytes"] == viewer.byte


async def test_everything_breaks_at_once_and_nothing_is_lost(house: House) -> None:
    chance = random.Random(8)
    async with watching(house, "numbered.write", LINES, A_SECOND) as (task_id, viewers):
        for part in range(1, 9):
            await house.until_lines(task_id, LINES * part // 10)
            house.proxy.cut()
            if chance.random() < 0.5:
                await asyncio.to_thread(house.restart_dashboard)
            if chance.random() < 0.5:
                house.store.kill()
                await asyncio.to_thread(house.store.start, "everysec")
            house.proxy.cut()
        await all_have(viewers, text(LINES), house, task_id)
