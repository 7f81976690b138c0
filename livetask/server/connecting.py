"""How the server reaches one Redis, or the master that Sentinels name; ``cluster`` does the same for a cluster.

Two connections or more for commands, with a bound, and one that waits for bells. Nothing is tried again in silence.
Answers come as the protocol has them: redis-py's own shapes differ from version to version.

Must never know: what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from redis.asyncio import BlockingConnectionPool, Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from livetask.redis_places import Cluster, Sentinels, place_of
from livetask.server.cluster import ClusterRedis

Command = Sequence[Any]


class Reached(Protocol):
    """A Redis of any kind. All methods raise redis-py's errors."""

    async def pipe(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together; their answers, and exceptions in their places."""

    async def load(self, text: str) -> None:
        """Make a script known wherever it may be called."""

    async def bells(self, last_ids: dict[str, str], count: int, block_ms: int) -> list[Any]:
        """What XREAD answers for these streams, each after its ID; waits up to ``block_ms`` for the first."""

    async def close(self) -> None:
        """Close all connections."""


def reached(url: str, timeout_s: float, connections: int) -> Reached:
    """The Redis at an address; it is not connected to yet. Raises ValueError."""
    given: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
    }
    place = place_of(url)
    if isinstance(place, Cluster):
        return ClusterRedis(place, given, connections)
    if isinstance(place, Sentinels):
        return OneRedis(_by_sentinel(place, given), _by_sentinel(place, given))
    many, few = (
        BlockingConnectionPool.from_url(place.url, max_connections=most, timeout=timeout_s, **given)
        for most in (connections, 2)
    )
    return OneRedis(Redis.from_pool(many), Redis.from_pool(few))


def _by_sentinel(place: Sentinels, given: dict[str, Any]) -> Redis:
    client: Redis = Sentinel(  # type: ignore[no-untyped-call]  # redis-py has no types here
        place.hosts, sentinel_kwargs=dict(given)
    ).master_for(place.service, db=place.db, username=place.username, password=place.password, **given)
    return client


class OneRedis:
    """See Reached. ``client``: for commands. ``bell_reader``: its connection blocks."""

    def __init__(self, client: Redis, bell_reader: Redis) -> None:
        self.client, self.bell_reader = client, bell_reader
        client.response_callbacks.clear()
        bell_reader.response_callbacks.clear()

    async def pipe(self, commands: Sequence[Command]) -> list[Any]:
        pipe = self.client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        return await pipe.execute(raise_on_error=False)  # otherwise the arguments come to stand in the error's text

    async def load(self, text: str) -> None:
        await self.client.script_load(text)

    async def bells(self, last_ids: dict[str, str], count: int, block_ms: int) -> list[Any]:
        names = ("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", *last_ids, *last_ids.values())
        return await self.bell_reader.execute_command(*names) or []  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        await self.client.aclose()
        await self.bell_reader.aclose()
