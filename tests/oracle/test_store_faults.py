"""Whatever happens to Redis, what it forgot is sent again from the spool, and no viewer is given anything twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from livetask.keys import Keys, bucket_of
from tests.oracle.house import House
from tests.system.rig import Redis

pytestmark = pytest.mark.timeout(120)

LINES, A_SECOND = 3000, 1500.0


async def broken(house: House, fault: Callable[[str], None], times: int = 1, *, healed: bool = True) -> None:
    """Do that to the house while a task prints and viewers of every kind watch; all of them must be given it all.

    ``healed``: False: a viewer may be told of a gap.
    """
    task_id = house.send(LINES, A_SECOND)
    async with house.watched(task_id) as viewers:
        for part in range(1, times + 1):
            await house.until_printed(task_id, LINES * part // (times + 1))
            fault(task_id)
        await house.all_exact(viewers, task_id, within_s=30, healed=healed)


async def test_everything_flushed_is_sent_again(shared: House) -> None:
    await broken(shared, lambda _: shared.store.do("FLUSHALL"))


async def test_everything_flushed_after_the_end_is_sent_again(shared: House) -> None:
    task_id = shared.send(500)
    await shared.until("its end", lambda: shared.task(task_id).get("state") == "SUCCESS")
    shared.store.do("FLUSHALL")
    async with shared.watched(task_id) as viewers:
        await shared.all_exact(viewers, task_id, within_s=30)


async def test_scripts_flushed_are_loaded_again(shared: House) -> None:
    await broken(shared, lambda _: shared.store.do("SCRIPT", "FLUSH"), 3)


async def test_killed_connections_are_made_again(shared: House) -> None:
    def kill(_: str) -> None:
        for kind in ("normal", "pubsub"):
            shared.store.do("CLIENT", "KILL", "TYPE", kind)

    await broken(shared, kill, 8)


@pytest.mark.parametrize("what", ["task", "output", "bell", "watched", "alive", "recent"])
async def test_a_key_that_was_evicted_is_made_good(shared: House, what: str) -> None:
    def evict(task_id: str) -> None:
        keys, bucket = Keys("livetask"), bucket_of(task_id)
        nonce = shared.task(task_id)["runs"][0]["nonce"]
        names = {"task": keys.task(task_id), "output": keys.output(task_id, nonce)}
        name = names.get(what) or getattr(keys, what)(bucket)
        assert shared.store.do("DEL", name) == 1

    # who reads just before it is sent again is told that it is lost, as it is then
    await broken(shared, evict, healed=what != "output")


async def test_a_store_that_is_full_takes_the_rest_when_it_has_room_again(shared: House) -> None:
    task_id = shared.send(LINES, A_SECOND)
    async with shared.watched(task_id) as viewers:
        await shared.until_printed(task_id, LINES // 3)
        shared.store.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
        shared.store.do("CONFIG", "SET", "maxmemory", "1")
        try:
            await shared.until_printed(task_id, LINES)
        finally:
            shared.store.do("CONFIG", "SET", "maxmemory", "0")
        await shared.all_exact(viewers, task_id, within_s=30)


async def test_replies_lost_and_requests_halved_between_worker_and_store_store_nothing_twice(shared: House) -> None:
    task_id = shared.send(LINES, A_SECOND)
    async with shared.watched(task_id) as viewers:
        shared.ship_proxy.lost_replies = shared.ship_proxy.halved_requests = 0.2
        try:
            await shared.until_printed(task_id, LINES)
        finally:
            shared.ship_proxy.lost_replies = shared.ship_proxy.halved_requests = 0.0
        assert shared.ship_proxy.cuts >= 3
        await shared.all_exact(viewers, task_id, within_s=30)


async def test_replies_lost_between_server_and_store_lose_nothing(shared: House) -> None:
    task_id = shared.send(LINES, A_SECOND)
    async with shared.watched(task_id) as viewers:
        shared.read_proxy.lost_replies = 0.1
        try:
            await shared.until_printed(task_id, LINES)
        finally:
            shared.read_proxy.lost_replies = 0.0
        assert shared.read_proxy.cuts >= 3
        await shared.all_exact(viewers, task_id, within_s=30)


async def test_a_store_that_falls_silent_for_worker_and_server_is_waited_for(shared: House) -> None:
    task_id = shared.send(LINES, A_SECOND)
    async with shared.watched(task_id) as viewers:
        await shared.until_printed(task_id, LINES // 4)
        shared.ship_proxy.black_hole = shared.read_proxy.black_hole = True
        await shared.until_printed(task_id, LINES)
        shared.ship_proxy.black_hole = shared.read_proxy.black_hole = False
        await shared.all_exact(viewers, task_id, within_s=30)


async def test_a_store_that_is_killed_and_comes_back_without_its_last_second_is_healed(lived_in: House) -> None:
    task_id = lived_in.send(LINES, A_SECOND)
    async with lived_in.watched(task_id) as viewers:
        for part in (1, 2):
            await lived_in.until_printed(task_id, LINES * part // 3)
            lived_in.store.kill()
            assert lived_in.store.forget_last_bytes(60_000) > 0
            lived_in.store.start("everysec")
        await lived_in.all_exact(viewers, task_id, within_s=30)


async def test_a_replica_that_is_promoted_without_acknowledged_writes_is_healed(lived_in: House) -> None:
    """The replica hears nothing for a while, then becomes the master: what was acknowledged meanwhile is gone."""
    replica: Redis = lived_in.rig.redis("no")
    replica.do("REPLICAOF", "127.0.0.1", str(lived_in.store.port))
    await lived_in.until("they are one", lambda: replica.do("INFO")["master_link_status"] == "up")
    task_id = lived_in.send(LINES, A_SECOND)
    async with lived_in.watched(task_id) as viewers:
        await lived_in.until_printed(task_id, LINES // 3)
        replica.do("REPLICAOF", "NO", "ONE")  # from here on it hears nothing
        await lived_in.until_printed(task_id, LINES * 2 // 3)
        before, behind = (end_of(redis, task_id) for redis in (lived_in.store, replica))
        assert before > behind > 0, "nothing that was acknowledged was lost, so nothing is shown"
        for proxy in (lived_in.ship_proxy, lived_in.read_proxy):
            proxy.upstream_port = replica.port
            proxy.cut()
        lived_in.store.kill()
        await lived_in.all_exact(viewers, task_id, within_s=30)


def end_of(redis: Redis, task_id: str) -> int:
    """How many bytes of the first run it has."""
    return int((redis.do("HGET", Keys("livetask").task(task_id), "1.end") or b"1-0").split(b"-")[1])
