"""Whatever happens to Redis, what it forgot is sent again from the spool, and no viewer is given anything twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from livetask.keys import Keys, bucket_of
from tests.oracle.house import House
from tests.system.rig import Redis, wait_for

LINES, A_SECOND = 3000, 1500.0
GOES_ON = "until_told:300"
"""Behind its lines the task prints on, slowly, so that on no machine it is over before what is done to it."""


async def broken(house: House, fault: Callable[[str], None], times: int = 1, *, healed: bool = True) -> None:
    """Do that to the house while a task prints and viewers of every kind watch; all of them must be given it all.

    ``healed``: False: a viewer may be told of a gap.
    """
    task_id = house.send(LINES, A_SECOND, 0, GOES_ON)
    async with house.watched(task_id) as viewers:
        await house.all_see(viewers)
        for part in range(1, times + 1):
            await house.until_printed(task_id, LINES * part // (times + 1))
            await house.in_thread(fault, task_id)
        house.tell(task_id)
        await house.all_exact(viewers, task_id, healed=healed)


async def test_everything_flushed_is_sent_again(shared: House) -> None:
    await broken(shared, lambda _: shared.store.do("FLUSHALL"))


async def test_everything_flushed_after_the_end_is_sent_again(shared: House) -> None:
    task_id = shared.send(500)
    await shared.until("its end", lambda: shared.task(task_id).get("state") == "SUCCESS")
    shared.store.do("FLUSHALL")
    async with shared.watched(task_id) as viewers:
        await shared.all_exact(viewers, task_id)


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
        nonce = wait_for("the run is known", lambda: shared.task(task_id)["runs"][0]["nonce"])
        names = {"task": keys.task(task_id), "output": keys.output(task_id, nonce)}
        name = names.get(what) or getattr(keys, what)(bucket)
        wait_for(f"there is a key {what}", lambda: shared.store.do("DEL", name))

    # who reads just before it is sent again is told that it is lost, as it is then
    await broken(shared, evict, healed=what != "output")


async def test_a_store_that_is_full_takes_the_rest_when_it_has_room_again(shared: House) -> None:
    task_id = shared.send(LINES // 3, A_SECOND, 0, GOES_ON)
    async with shared.watched(task_id) as viewers:
        await shared.all_see(viewers)
        shared.store.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
        shared.store.do("CONFIG", "SET", "maxmemory", "1")
        try:
            stored = end_of(shared.store, task_id)
            await shared.until("more is printed than it can take", lambda: printed(shared, task_id) > stored + 20_000)
        finally:
            shared.store.do("CONFIG", "SET", "maxmemory", "0")
        shared.tell(task_id)
        await shared.all_exact(viewers, task_id)


async def test_replies_lost_and_requests_halved_between_worker_and_store_store_nothing_twice(shared: House) -> None:
    task_id = shared.send(LINES, A_SECOND, 0, GOES_ON)
    async with shared.watched(task_id) as viewers:
        before = shared.ship_proxy.cuts
        shared.ship_proxy.lost_replies = shared.ship_proxy.halved_requests = 0.2
        try:
            await shared.until_printed(task_id, LINES)
            await shared.until("it is cut", lambda: shared.ship_proxy.cuts >= before + 3)
        finally:
            shared.ship_proxy.lost_replies = shared.ship_proxy.halved_requests = 0.0
        shared.tell(task_id)
        await shared.all_exact(viewers, task_id)


async def test_replies_lost_between_server_and_store_lose_nothing(shared: House) -> None:
    task_id = shared.send(LINES, A_SECOND, 0, GOES_ON)
    async with shared.watched(task_id) as viewers:
        before = shared.read_proxy.cuts
        shared.read_proxy.lost_replies = 0.1
        try:
            await shared.until_printed(task_id, LINES)
            await shared.until("it is cut", lambda: shared.read_proxy.cuts >= before + 3)
        finally:
            shared.read_proxy.lost_replies = 0.0
        shared.tell(task_id)
        await shared.all_exact(viewers, task_id)


async def test_a_store_that_falls_silent_for_worker_and_server_is_waited_for(shared: House) -> None:
    task_id = shared.send(LINES // 4, A_SECOND, 0, GOES_ON)
    async with shared.watched(task_id) as viewers:
        await shared.all_see(viewers)
        shared.ship_proxy.black_hole = shared.read_proxy.black_hole = True
        try:
            lines = max(journal.lines for journal in shared.journals(task_id).values())
            await shared.until_printed(task_id, lines + 400)
        finally:
            shared.ship_proxy.black_hole = shared.read_proxy.black_hole = False
        shared.tell(task_id)
        await shared.all_exact(viewers, task_id)


async def test_a_store_that_is_killed_and_comes_back_without_its_last_second_is_healed(lived_in: House) -> None:
    task_id = lived_in.send(LINES, A_SECOND, 0, GOES_ON)
    async with lived_in.watched(task_id) as viewers:
        await lived_in.all_see(viewers)
        for part in (1, 2):
            await lived_in.until_printed(task_id, LINES * part // 3)
            lived_in.store.kill()
            assert lived_in.store.forget_last_bytes(60_000) > 0
            await lived_in.in_thread(lived_in.store.start, "everysec")
        lived_in.tell(task_id)
        await lived_in.all_exact(viewers, task_id)


async def test_a_replica_that_is_promoted_without_acknowledged_writes_is_healed(lived_in: House) -> None:
    """The replica hears nothing for a while, then becomes the master: what was acknowledged meanwhile is gone."""
    replica: Redis = lived_in.rig.redis("no")
    replica.do("REPLICAOF", "127.0.0.1", str(lived_in.store.port))
    await lived_in.until("they are one", lambda: replica.do("INFO")["master_link_status"] == "up")
    task_id = lived_in.send(LINES, A_SECOND, 0, GOES_ON)
    async with lived_in.watched(task_id) as viewers:
        await lived_in.all_see(viewers)
        await lived_in.until("the replica has some of it", lambda: end_of(replica, task_id))
        replica.do("REPLICAOF", "NO", "ONE")  # from here on it hears nothing
        behind = end_of(replica, task_id)
        # what is acknowledged meanwhile will be lost
        await lived_in.until("the master has more", lambda: end_of(lived_in.store, task_id) > behind + 20_000)
        for proxy in (lived_in.ship_proxy, lived_in.read_proxy):
            proxy.upstream_port = replica.port
            proxy.cut()
        lived_in.store.kill()
        lived_in.tell(task_id)
        await lived_in.all_exact(viewers, task_id)


def printed(house: House, task_id: str) -> int:
    """How many bytes the task has printed."""
    return max(journal.size_of(journal.lines) for journal in house.journals(task_id).values())


def end_of(redis: Redis, task_id: str) -> int:
    """How many bytes of the first run it has."""
    return int((redis.do("HGET", Keys("livetask").task(task_id), "1.end") or b"1-0").split(b"-")[1])
