"""More than one of everything: a cluster of Redis, a master that fails over, servers that share their viewers."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from uuid import uuid4

import redis

from livetask.keys import BUCKETS, Keys
from livetask.server.store import Store
from tests.oracle.verdict import judging
from tests.system.apps.lines import text
from tests.system.follower import Follower
from tests.system.many_redis import Cluster, cluster_in, guarded_in
from tests.system.reading import asked, ended_task, output_by_offset
from tests.system.rig import Rig, wait_for
from tests.system.sending import sent
from tests.system.viewers import must_equal

LINES = 4000
A_SECOND = 1500.0


async def followed(viewers: dict[str, Follower], wanted: bytes) -> None:
    """Raise NotExact unless each viewer was given exactly this, once."""
    for name, viewer in viewers.items():
        await asyncio.wait_for(viewer.done.wait(), 90)
        with judging():
            assert (viewer.faults, viewer.gaps, viewer.resets) == ([], [], []), name
        must_equal(viewer.output, wanted)


async def test_a_cluster_of_three_masters_carries_tasks_for_two_servers_by_its_url(rig: Rig, tmp_path: Path) -> None:
    broker = rig.redis("no")
    with cluster_in(tmp_path) as cluster:
        env = rig.app_env(broker.url, LIVETASK_REDIS_URL=cluster.url)
        one, two = rig.serve(cluster.url), rig.serve(cluster.url)
        worker = rig.worker("numbered", env)
        ids = [sent(env, "numbered.write", LINES, A_SECOND * 2, task_id=task_id) for task_id in everywhere(cluster)]
        async with contextlib.AsyncExitStack() as stack:
            viewers = {}
            for number, task_id in enumerate(ids):
                for name, server in (("one", one), ("two", two)):
                    follower = Follower(server.url, task_id, binary=number % 2 == 0)
                    viewers[f"{task_id} at {name}"] = await stack.enter_async_context(follower)
            await followed(viewers, text(LINES))
        for task_id in ids:
            task = await asyncio.to_thread(ended_task, two.url, task_id)
            assert task["state"] == "SUCCESS", worker.log[-2000:]
            must_equal(await asyncio.to_thread(output_by_offset, one.url, task_id), text(LINES))
        listed = (await asyncio.to_thread(asked, f"{one.url}/api/tasks")).json
        assert {task["id"] for task in listed["tasks"]} == set(ids)
        assert (await asyncio.to_thread(asked, f"{one.url}/readyz")).status == 200
        revoked = await asyncio.to_thread(asked, f"{two.url}/task/{ids[0]}-never-sent", None, "DELETE")
        assert (revoked.status, revoked.json["code"]) == (503, "broker_unavailable")
        assert "is a cluster" in revoked.json["data"]
        used = [node for node in cluster.nodes if node.do("DBSIZE") > 0]
        assert used == cluster.nodes


def everywhere(cluster: Cluster) -> list[str]:
    """Ids for a task on each master, and for one more."""
    homes: dict[int, str] = {}
    with contextlib.closing(cluster.client()) as client:
        while len(homes) < len(cluster.nodes):
            task_id = str(uuid4())
            homes[client.get_node_from_key(Keys().task(task_id)).port] = task_id
    return [*homes.values(), str(uuid4())]


async def test_every_master_of_a_cluster_has_its_share_of_the_buckets(tmp_path: Path) -> None:
    with cluster_in(tmp_path) as cluster, contextlib.closing(cluster.client()) as client:
        homes = [client.get_node_from_key(Keys().bell(bucket)).port for bucket in range(BUCKETS)]
        assert sorted(homes.count(node.port) for node in cluster.nodes) == [5, 5, 6]
        async with Store(cluster.url) as store:
            ends = await store.bell_ends()
            waiting = asyncio.create_task(store.bells(ends))
            rung = set()
            for bucket in range(BUCKETS):
                client.xadd(Keys().bell(bucket), {"task": f"t{bucket}", "run": "1", "what": "output"})
            while len(rung) < BUCKETS:
                found = await asyncio.wait_for(waiting, 90)
                rung |= {bell.task_id for bell in found.bells}
                waiting = asyncio.create_task(store.bells(found.last_ids))
            assert rung == {f"t{bucket}" for bucket in range(BUCKETS)}
            quiet = await asyncio.wait_for(waiting, 90)
            assert quiet.bells == ()


async def test_a_master_that_fails_over_while_tasks_print_is_healed_for_every_viewer(rig: Rig, tmp_path: Path) -> None:
    broker = rig.redis("no")
    with guarded_in(tmp_path) as guarded:
        env = rig.app_env(broker.url, LIVETASK_REDIS_URL=guarded.url)
        server = rig.serve(guarded.url)
        rig.worker("numbered", env)
        lines = LINES * 3
        task_id = sent(env, "numbered.write", lines, A_SECOND)
        async with Follower(server.url, task_id) as viewer:

            def written() -> bool:
                return viewer.byte > len(text(lines)) // 4

            await asyncio.to_thread(wait_for, "a part of it is seen", written, 60)
            # what the master takes from here on, the replica does not hear of
            with redis.Redis(port=guarded.nodes[1].port) as replica:
                replica.execute_command("REPLICAOF", "NO", "ONE")
            before = viewer.byte
            await asyncio.to_thread(wait_for, "more was acknowledged", lambda: viewer.byte > before + 20_000)
            with redis.Redis(port=guarded.nodes[1].port) as replica:
                lost = replica.xlen(next(replica.scan_iter(match="*output*")))
            guarded.nodes[0].kill()
            await asyncio.to_thread(
                wait_for, "the replica is master", lambda: guarded.master_port() == guarded.nodes[1].port, 180
            )
            assert lost > 0
            await followed({"the viewer": viewer}, text(lines))
        must_equal(await asyncio.to_thread(output_by_offset, server.url, task_id), text(lines))
