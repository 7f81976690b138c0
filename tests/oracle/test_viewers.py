"""Viewers of every kind keep what they are given, and the checker finds nothing wrong with it; between them and the
server, everything that networks do."""

from __future__ import annotations

import asyncio
import random

from tests.oracle.house import House
from tests.oracle.verdict import judging
from tests.oracle.viewers import ScreenViewer


async def test_every_kind_of_viewer_is_given_a_run_exactly(shared: House) -> None:
    task_id = shared.send(4000, 4000.0)
    async with shared.watched(task_id) as viewers:
        await shared.all_exact(viewers, task_id)
        sizes = {viewer.name: viewer.record.size_bytes for viewer in viewers if not isinstance(viewer, ScreenViewer)}
    with judging():
        assert len(set(sizes.values())) == 1, sizes


async def test_every_kind_of_viewer_is_given_all_runs_of_a_task_that_retries_at_once(shared: House) -> None:
    task_id = shared.send(300, 300.0, 0, "retry:2", hold=True)
    async with shared.watched(task_id) as viewers:
        await shared.all_see(viewers)  # SSE begins at whichever run is the last one then
        shared.tell(task_id)
        await shared.all_exact(viewers, task_id)
    assert len(shared.journals(task_id)) == 3


async def test_viewers_that_are_cut_at_random_lose_nothing_and_see_nothing_twice(shared: House) -> None:
    chance = random.Random(5)
    task_id = shared.send(3000, 2000.0, 0, "until_told:300")
    async with shared.watched(task_id) as viewers:
        cuts = 0
        while cuts < 15 or not all(viewer.connects > 1 for viewer in viewers):
            # at any moment of a connection's life; where connecting takes long, connections live longer in the end
            await asyncio.sleep(chance.uniform(0.0, 0.3 + 0.1 * max(0, cuts - 15)))
            shared.server_proxy.cut()
            cuts += 1
        shared.tell(task_id)
        await shared.all_exact(viewers, task_id)


async def test_replies_lost_and_requests_halved_between_viewers_and_server_lose_nothing(shared: House) -> None:
    task_id = shared.send(4500, 2000.0, 0, "until_told:300")
    async with shared.watched(task_id) as viewers:
        before = shared.server_proxy.cuts
        shared.server_proxy.lost_replies = shared.server_proxy.halved_requests = 0.05
        try:
            await shared.until_printed(task_id, 4500)
            await shared.until("they are cut", lambda: shared.server_proxy.cuts > before + 10)
        finally:
            shared.server_proxy.lost_replies = shared.server_proxy.halved_requests = 0.0
        shared.tell(task_id)
        await shared.all_exact(viewers, task_id)
