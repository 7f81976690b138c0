"""How the worker reaches Redis: one server, the master that Sentinels name, or a cluster. Blocks, and tries once.

It must never know what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from redis.sentinel import Sentinel

from livetask.redis_places import Cluster, One, Sentinels, key_of, one_stream_each, place_of
from livetask.worker.straight import Line

_TIMEOUT_S = 2.0


class Reached(Protocol):
    """A Redis of any kind; raises redis-py's errors."""

    def answers(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands together; their answers, and exceptions in their places."""

    def load(self, text: str) -> None:
        """Make a script known wherever it may be called."""

    def close(self) -> None:
        """Close all connections."""


def reached(url: str) -> Reached:
    """The Redis at ``url``; it is not connected to yet, but for a cluster. Raises ValueError, redis-py's errors."""
    place = place_of(url)
    return ClusterClient(place) if isinstance(place, Cluster) else OneClient(place)


class OneClient:
    """See Reached."""

    def __init__(self, place: One | Sentinels) -> None:
        options = {**_options(), "protocol": 2}  # nothing is pushed: each answer is one that was asked for
        self._line = Line(self._of(place, options))

    def _of(self, place: One | Sentinels, options: dict[str, Any]) -> redis.Redis:
        if isinstance(place, One):
            return redis.Redis.from_url(place.url, **options)
        login = {"username": place.username, "password": place.password}
        sentinel: Any = Sentinel(place.hosts, sentinel_kwargs=dict(options), **login, **options)  # type: ignore[no-untyped-call]
        client: redis.Redis = sentinel.master_for(place.service, db=place.db)
        return client

    def answers(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        return self._line.exchange(commands)

    def load(self, text: str) -> None:
        (answer,) = self._line.exchange([("SCRIPT", "LOAD", text)])
        if isinstance(answer, Exception):
            raise answer

    def close(self) -> None:
        self._line.close()


class ClusterClient:
    """See Reached. Every command has the keys of one slot; an XREAD of several streams is taken apart."""

    def __init__(self, place: Cluster) -> None:
        nodes = [ClusterNode(host, port) for host, port in place.hosts]  # type: ignore[no-untyped-call]
        try:
            self._client: Any = RedisCluster(
                startup_nodes=nodes, username=place.username, password=place.password, ssl=place.tls, **_options()
            )
        except RedisClusterException as error:
            raise Unreachable(str(error)) from error

    def answers(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        parts = [one_stream_each(command) for command in commands]
        try:
            pipeline = self._client.pipeline()
            for part in (part for some in parts for part in some):
                pipeline.execute_command(*part, **self._target(part))
            found = iter(pipeline.execute(raise_on_error=False))
        except RedisClusterException as error:
            raise Unreachable(str(error)) from error
        return [_joined([next(found) for _ in some]) for some in parts]

    def _target(self, command: Sequence[Any]) -> dict[str, Any]:
        key = key_of(command)
        return {"target_nodes": self._client.get_default_node() if key is None else self._client.get_node_from_key(key)}

    def load(self, text: str) -> None:
        self._client.execute_command("SCRIPT LOAD", text, target_nodes=RedisCluster.PRIMARIES)

    def close(self) -> None:
        self._client.close()


def _joined(answers: list[Any]) -> Any:
    """The answers to the parts of one command as the answer to the whole."""
    if len(answers) == 1:
        return answers[0]
    wrong = next((answer for answer in answers if isinstance(answer, Exception)), None)
    if wrong is not None:
        return wrong
    return [stream for answer in answers for stream in (answer.items() if isinstance(answer, dict) else answer or ())]


def _options() -> dict[str, Any]:
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _TIMEOUT_S,
        "health_check_interval": 0,
    }
