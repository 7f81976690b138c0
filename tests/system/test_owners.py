"""A task belongs to whoever started it by livetask, and so do those that it starts and those chained onto it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from tests.system.rig import Rig

Eventually = Callable[..., Awaitable[Any]]


async def test_the_owner_goes_with_the_message_to_chained_tasks_and_to_those_that_a_task_starts(
    rig: Rig, eventually: Eventually
) -> None:
    url = rig.redis("no").url
    env = rig.app_env(url, LIVETASK_AUTH="tests.server.callers:resolve", LIVETASK_AVAILABLE_TASKS="owned.*")
    rig.worker("owned", env)
    server = rig.celery_livetask("owned", env)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer anna"}) as anna:
        call = {"task_name": "owned.parent", "chain": [{"task_name": "owned.child"}]}
        async with anna.post(f"{server.url}/task", json=call) as answer:
            assert answer.status == 201, await answer.text()

        async def all_three() -> bool:
            async with anna.get(f"{server.url}/api/tasks") as answer:
                tasks = (await answer.json())["tasks"]
            ended = [(task["name"], task["owner"]) for task in tasks if task["state"] == "SUCCESS"]
            return sorted(ended) == [("owned.child", "anna"), ("owned.child", "anna"), ("owned.parent", "anna")]

        await eventually(all_three, timeout_s=90)
    ben = {"Authorization": "Bearer ben"}
    async with aiohttp.ClientSession(headers=ben) as session, session.get(f"{server.url}/api/tasks") as answer:
        assert (await answer.json())["total"] == 0
