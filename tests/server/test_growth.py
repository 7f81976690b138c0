"""The way of a line costs the same however many other tasks and viewers there are, and however long the log is.

Steps are counted, not timed: the commands that Redis runs, and the calls of livetask's own functions. What Redis does
within one command on this way is a look-up in a hash, or in a radix tree by a stream's ID: O(log n) at most.
"""

from __future__ import annotations

from collections import Counter

import redis

from livetask.server.frames import Told
from livetask.server.hub import Hub
from livetask.server.store import Store
from livetask.server.subscription import Wish
from tests.real.counting import Counted
from tests.real.redis_servers import RealRedis
from tests.real.writer import RunWriter


class _Sink:
    """A viewer that takes everything."""

    drained = True
    way = None

    def __init__(self) -> None:
        self.told: list[Told] = []

    def tell(self, told: Told) -> None:
        self.told.append(told)


def _commands(client: redis.Redis) -> Counter[str]:
    stats: dict[str, dict[str, int]] = client.info("commandstats")
    return Counter({name: held["calls"] for name, held in stats.items() if name != "cmdstat_info"})


async def _cost_of_a_line(
    hub: Hub, run: RunWriter, sink: _Sink, client: redis.Redis
) -> tuple[Counter[str], Counter[str]]:
    """The commands, from the append on, and the calls, from the bell on, that bring one line to one viewer."""
    ends = await hub.store.bell_ends()
    for warm in (True, False):  # what is loaded and learnt once is not the line's
        before = _commands(client)
        run.write(b"one more line\n")
        rung = await hub.store.bells(ends, 1000)
        ends = rung.last_ids
        told = len(sink.told)
        with Counted() as calls:
            hub._heard(rung)
            await hub._pump.round()
        assert [one.event.data for one in sink.told[told:]] == [b"one more line\n"]  # type: ignore[attr-defined]
        commands = _commands(client) - before
        if not warm:
            assert sum(calls.values()) > 20
            assert {"cmdstat_evalsha", "cmdstat_xadd", "cmdstat_xrange"} <= set(commands)
            return calls, commands
    raise AssertionError


async def _following(hub: Hub, runs: list[RunWriter], whence: str) -> _Sink:
    """Have each run followed by a viewer of its own, up to its end; the sink of the last."""
    sink = _Sink()
    for run in runs:
        sink = _Sink()
        hub.begin(await hub.subscribe(run.task_id, sink, Wish(), whence))
    while hub._pump._ready or hub._pump._stale:
        await hub._pump.round()
    return sink


async def test_other_tasks_and_their_viewers_add_no_step(own_valkey: RealRedis) -> None:
    """Of 4 tasks and of 400, each with a viewer, on a Redis whose commands nobody else makes."""
    assert await _measured(own_valkey, 3, b"") == await _measured(own_valkey, 399, b"")


async def test_the_log_behind_adds_no_step(own_valkey: RealRedis) -> None:
    """After 1 KB, and after 20 MB of it."""
    short = await _measured(own_valkey, 0, b"x" * 999 + b"\n")
    long = await _measured(own_valkey, 0, (b"x" * 99 + b"\n") * 160, entries=1250)
    assert short == long


async def _measured(
    valkey: RealRedis, others: int, behind: bytes, entries: int = 1
) -> tuple[Counter[str], Counter[str]]:
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
        async with Store(valkey.url) as store:
            runs = [RunWriter(client, f"task-{number}", cap_bytes=1 << 40) for number in range(others + 1)]
            for run in runs:
                run.begin()
            for _ in range(entries if behind else 0):
                runs[-1].write(behind)
            hub = Hub(store)
            sink = await _following(hub, runs, "now")
            return await _cost_of_a_line(hub, runs[-1], sink, client)
