"""What tells callbacks that hold the loop up is itself tried."""

from __future__ import annotations

import asyncio
import re
import time

from tests.server.serving import slow_callbacks


async def test_a_callback_that_sleeps_or_computes_is_told_and_one_that_waits_is_not() -> None:
    async def waits() -> None:
        await asyncio.sleep(0.15)

    async def sleeps() -> None:
        time.sleep(0.15)  # noqa: ASYNC251 - which is what is to be found

    async def computes() -> None:
        began_s = time.thread_time()
        while time.thread_time() < began_s + 0.15:
            pass

    with slow_callbacks(0.1) as slow:
        for work in (waits, sleeps, computes):
            await asyncio.create_task(work())
    assert [re.findall(r"<locals>\.(\w+)\(\)", told)[0] for told in slow] == ["sleeps", "computes"]
