"""How the server reaches one Redis, or the master that Sentinels name; ``cluster`` does the same for a cluster.

Two connections or more for commands, with a bound, and one that waits for bells. Nothing is tried again in silence.
Answers come as the protocol has them: redis-py's own shapes differ from version to version.

Must never know: what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from redis.asyncio import BlockingConnectionPool, Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from livetask.redis_places import Cluster, Sentinels, place_of
from livetask.server.cluster import ClusterRedis
from livetask.server.straight import Command, Lines


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
        return OneRedis(_by_sentinel(place, given), _by_sentinel(place, given), timeout_s, connections)
    many, few = (
        BlockingConnectionPool.from_url(place.url, max_connections=most, timeout=timeout_s, **given)
        for most in (connections, 2)
    )
    return OneRedis(Redis.from_pool(many), Redis.from_pool(few), timeout_s, connections)


def _by_sentinel(place: Sentinels, given: dict[str, Any]) -> Redis:
    client: Redis = Sentinel(  # type: ignore[no-untyped-call]  # redis-py has no types here
        place.hosts, sentinel_kwargs=dict(given)
    ).master_for(place.service, db=place.db, username=place.username, password=place.password, **given)
    return client


class OneRedis:
    """See Reached. ``client``: for commands, over ``connections``. ``bell_reader``: its connection blocks.

    The two know how to connect; what is sent goes over ``straight``.
    """

    def __init__(self, client: Redis, bell_reader: Redis, timeout_s: float, connections: int) -> None:
        self.client, self.bell_reader = client, bell_reader
        self._commands = Lines(partial(_connected, client), connections, timeout_s)
        self._bells = Lines(partial(_connected, bell_reader), 2, timeout_s)

    async def pipe(self, commands: Sequence[Command]) -> list[Any]:
        return await self._commands.exchange(commands)

    async def load(self, text: str) -> None:
        await _answered(self._commands, ("SCRIPT", "LOAD", text))

    async def bells(self, last_ids: dict[str, str], count: int, block_ms: int) -> list[Any]:
        names = ("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", *last_ids, *last_ids.values())
        return await _answered(self._bells, names) or []

    async def close(self) -> None:
        await self._commands.close()
        await self._bells.close()
        await self.client.aclose()
        await self.bell_reader.aclose()


async def _connected(client: Redis) -> Any:
    """A connection of redis-py's that nobody else uses."""
    connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's
    await connection.connect()
    return connection


async def _answered(lines: Lines, command: Command) -> Any:
    (answer,) = await lines.exchange([command])
    if isinstance(answer, Exception):
        raise answer
    return answer
