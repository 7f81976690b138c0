"""A server with a thousand viewers is replaced: it says goodbye and is gone at once, and all are back in time."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.oracle.crowd import Crowd
from tests.oracle.verdict import judging
from tests.real.writer import RunWriter
from tests.system.rig import Redis, Rig, free_port, rig_in

pytestmark = pytest.mark.alone

SIZE = 1000
GONE_WITHIN_S, BACK_WITHIN_S = 2.0, 5.0
BYE_S = 0.3
"""How long the server lets its goodbyes go out."""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        yield rig


async def test_a_thousand_viewers_are_told_goodbye_and_are_back_on_the_next_server(rig: Rig) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * SIZE)), hard))
    store: Redis = rig.redis("no")
    port = free_port()
    first = await asyncio.to_thread(rig.serve, store.url, port)
    with redis.Redis.from_url(store.url) as client:
        run = RunWriter(client, "t-1")
        run.begin()
        run.write(b"before\n" * 50)
        async with Crowd(first.url, "t-1", SIZE) as crowd:

            def all_at(connects: int) -> bool:
                return all(one.connects >= connects and one.byte == run.end.byte for one in crowd.members)

            await until(lambda: all_at(1), 60)
            spent_s = cpu_s(first.running.process.pid)
            reaped_s = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
            asked_s = time.monotonic()
            first.running.process.terminate()
            code = await asyncio.to_thread(first.running.process.wait, 30)
            gone_s = time.monotonic() - asked_s
            spent_s = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - reaped_s - spent_s
            run.write(b"meanwhile\n" * 50)
            began_s = time.monotonic()
            await asyncio.to_thread(rig.serve, store.url, port)
            ready_s = time.monotonic()
            await until(lambda: all_at(2), 60)
            back = sorted(one.back_s - ready_s for one in crowd.members)
            with judging():
                assert [one.faults for one in crowd.members if one.faults] == []
            assert [one.byes for one in crowd.members if one.byes != 1] == []
            assert len({one.asked_ms for one in crowd.members}) > SIZE / 4, "they were asked to come back all at once"
    print(f"\n{SIZE} viewers: gone after {gone_s:.2f} s ({spent_s:.2f} s of CPU)")
    print(f"the next server ready after {ready_s - began_s:.2f} s more,")
    print(f"half of them back {back[SIZE // 2]:.2f} s after that, all {back[-1]:.2f} s after it")
    assert code == 0
    assert spent_s < GONE_WITHIN_S - BYE_S
    # Alone on the machine it is 1 and the promise holds as it is; at five times as many runnable processes as cores it
    # was gone after 0.8 s and all were back after 2.3.
    crowded = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert gone_s < GONE_WITHIN_S * crowded
    assert back[-1] < BACK_WITHIN_S * crowded


def cpu_s(pid: int) -> float:
    """How much CPU a process has used, user and system."""
    words = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def until(seen: Callable[[], bool], within_s: float) -> None:
    """Ask until it is true."""
    ends_at = time.monotonic() + within_s
    while not seen():
        assert time.monotonic() < ends_at
        await asyncio.sleep(0.02)  # between two looks at the condition
