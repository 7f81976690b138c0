"""How the server reaches a Redis Cluster.

All keys of a bucket share a slot, and every command has the keys of one bucket, so each goes to one node; what is sent
together goes to all its nodes at once. A bell's stream is read on a connection of its own, since one XREAD cannot name
two slots: those that have nothing to tell go on waiting from call to call.

When a node does not answer, the cluster is looked at anew, and whoever asked is told: nothing is tried again here but
what the cluster itself sends elsewhere (MOVED, ASK).

Must never know: what is stored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import RedisClusterException, RedisError

from livetask.redis_places import Cluster, key_of

_LOOK_AGAIN_S = 0.5
_OWN_SHAPES = {"COMMAND", "CLUSTER SLOTS", "CLUSTER SHARDS"}
"""What redis-py asks for itself, and has to be given in its own shapes."""


class ClusterRedis:
    """See Reached. ``given``: options of connections. ``connections``: how many calls may be under way at once."""

    def __init__(self, place: Cluster, given: dict[str, Any], connections: int) -> None:
        self._client = _opened(place, given, connections * 2)
        self._bell_reader = _opened(place, given, 2 * 16)
        self._free = asyncio.Semaphore(connections)
        self._waiting: dict[str, tuple[str, asyncio.Task[Any]]] = {}
        self._looked_s = float("-inf")

    async def pipe(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        async with self._free:
            try:
                await self._client.initialize()
                pipe = self._client.pipeline()
                for command in commands:
                    pipe.execute_command(*command, target_nodes=_node(self._client, command))
                return await pipe.execute(raise_on_error=False)
            except (RedisError, OSError, RedisClusterException) as error:
                await self._look_again()
                raise _plain(error) from error

    async def load(self, text: str) -> None:
        try:
            await self._client.initialize()
            for node in self._client.get_primaries():
                await node.execute_command("SCRIPT", "LOAD", text)
        except RedisClusterException as error:
            raise _plain(error) from error

    async def bells(self, last_ids: dict[str, str], count: int, block_ms: int) -> list[Any]:
        try:
            await self._bell_reader.initialize()
            for name, last_id in last_ids.items():
                self._listen(name, last_id, count, block_ms)
            tasks = {task: name for name, (_, task) in self._waiting.items()}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            heard = [task for task in tasks if task.done()]
            for task in heard:
                del self._waiting[tasks[task]]
                _heard(task)
            return [stream for task in heard for stream in task.result() or ()]
        except (RedisError, OSError, RedisClusterException) as error:
            self._forget()
            await self._look_again()
            raise _plain(error) from error

    def _listen(self, name: str, last_id: str, count: int, block_ms: int) -> None:
        """Wait for one bell, unless it is waited for already, from the same place."""
        known = self._waiting.get(name)
        if known is not None and known[0] == last_id:
            return
        if known is not None:
            known[1].cancel()
            known[1].add_done_callback(_heard)
        command = ("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", name, last_id)
        node = _node(self._bell_reader, command)
        asking = asyncio.ensure_future(self._bell_reader.execute_command(*command, target_nodes=node))
        self._waiting[name] = (last_id, asking)

    def _forget(self) -> None:
        for _, task in self._waiting.values():
            task.cancel()
            task.add_done_callback(_heard)
        self._waiting.clear()

    async def _look_again(self) -> None:
        """Learn which node has which slots now, at most twice a second."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_AGAIN_S:
            return
        self._looked_s = now_s
        for client in (self._client, self._bell_reader):
            with suppress(RedisError, OSError, RedisClusterException):
                await client.nodes_manager.initialize()

    async def close(self) -> None:
        waiting = [task for _, task in self._waiting.values()]
        self._forget()
        if waiting:
            await asyncio.wait(waiting)
        await self._client.aclose()
        await self._bell_reader.aclose()


def _opened(place: Cluster, given: dict[str, Any], connections: int) -> RedisCluster:
    client = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in place.hosts],
        username=place.username,
        password=place.password,
        ssl=place.tls,
        max_connections=connections,
        **given,
    )
    for name in client.response_callbacks.keys() - _OWN_SHAPES:
        del client.response_callbacks[name]
    return client


def _node(client: RedisCluster, command: Sequence[Any]) -> ClusterNode:
    """The node that a command goes to."""
    key = key_of(command)
    node = client.get_default_node() if key is None else client.get_node_from_key(key)
    if node is None:
        raise Unreachable("no node of the cluster has these keys now")
    return node


def _plain(error: Exception) -> Exception:
    """redis-py's own error for clusters is none of its RedisErrors."""
    return Unreachable(str(error)) if isinstance(error, RedisClusterException) else error


def _heard(task: asyncio.Task[Any]) -> None:
    """Have asked what became of it, so that an error which another one hides is not reported as forgotten."""
    if not task.cancelled():
        task.exception()
