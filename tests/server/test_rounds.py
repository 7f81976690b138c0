"""One timer for a crowd."""

from __future__ import annotations

import asyncio

from livetask.server.rounds import Rounds


async def test_everyones_turn_comes_once_in_order_and_about_in_time() -> None:
    loop, called, done = asyncio.get_running_loop(), [], asyncio.Event()

    def call(one: str) -> None:
        called.append((one, loop.time()))
        if len(called) == 1000:
            done.set()

    rounds, began_s = Rounds(0.2, call), loop.time()
    for number in range(1000):
        rounds.put(str(number))
    async with asyncio.timeout(90):
        await done.wait()
    assert [one for one, _ in called] == [str(number) for number in range(1000)]
    assert called[0][1] - began_s >= 0.2 * 0.97


async def test_who_is_put_in_again_by_its_turn_has_another_one_and_none_after_the_stop() -> None:
    turns: list[str] = []
    again = asyncio.Event()

    def call(one: str) -> None:
        turns.append(one)
        rounds.put(one)
        if len(turns) == 3:
            again.set()

    rounds = Rounds(0.01, call)
    rounds.put("a")
    async with asyncio.timeout(90):
        await again.wait()
    rounds.stop()
    seen = len(turns)
    await asyncio.sleep(0.05)  # several times the interval
    assert len(turns) == seen
