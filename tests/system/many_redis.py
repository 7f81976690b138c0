"""Redis on several processes: a cluster of three masters, and a master with a replica that Sentinels look after."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.system.rig import Redis, Running, free_port, redis_binary, wait_for

SLOTS = 16384


@dataclass
class Node(Redis):
    """A Redis that is one of several. ``options``: more of its command line."""

    options: list[str] = field(default_factory=list)

    def start(self, fsync: str = "everysec") -> Node:
        self.directory.mkdir(exist_ok=True)
        line = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory), "--save", ""]
        line += ["--appendonly", "yes", "--appendfsync", fsync, *self.options]
        self.running = Running.start([redis_binary(), *line], self.directory / "log")
        with self.client() as client:
            wait_for("Redis answers", lambda: client.ping())
        return self


@dataclass
class Cluster:
    """Three masters."""

    nodes: list[Node]

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes[:2])}/"

    def client(self) -> Any:
        return redis.cluster.RedisCluster(host="127.0.0.1", port=self.nodes[0].port)  # type: ignore[abstract]


@contextlib.contextmanager
def cluster_in(place: Path) -> Iterator[Cluster]:
    """A cluster that ends with the block."""
    nodes = []
    try:
        for number in range(3):
            bus = free_port()
            options = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "2000"]
            nodes.append(Node(place / f"node{number}", options=options))
            nodes[-1].start()
            first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            nodes[-1].do("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            if number:
                nodes[-1].do("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), nodes[0].options[3])
        for node in nodes:
            wait_for("the cluster is whole", lambda node=node: _is_whole(node))  # type: ignore[misc]
        yield Cluster(nodes)
    finally:
        for node in nodes:
            node.stop()


def _is_whole(node: Node) -> bool:
    said = node.do("CLUSTER", "INFO")
    found = said if isinstance(said, dict) else dict(line.split(":") for line in said.decode().split())
    return str(found["cluster_state"]) == "ok" and int(found["cluster_known_nodes"]) == 3


@dataclass
class Guarded:
    """A master and its replica, and three Sentinels."""

    nodes: list[Node]
    sentinels: list[int]

    @property
    def url(self) -> str:
        return f"sentinel://{','.join(f'127.0.0.1:{port}' for port in self.sentinels)}/live/0"

    def master_port(self) -> int:
        """Who the first Sentinel says is the master."""
        with redis.Redis(port=self.sentinels[0]) as client:
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "live")
        return int(port)


@contextlib.contextmanager
def guarded_in(place: Path) -> Iterator[Guarded]:
    """They end with the block. A master that is silent for half a second is given up."""
    running: list[Running] = []
    master = Node(place / "master")
    replica = Node(place / "replica", options=["--replicaof", "127.0.0.1", str(master.port)])
    try:
        master.start()
        replica.start()
        wait_for("the replica follows", lambda: _info(replica, "master_link_status") == "up")
        ports = [free_port() for _ in range(3)]
        for port in ports:
            config = place / f"sentinel{port}.conf"
            lines = [f"port {port}", "bind 127.0.0.1", f"sentinel monitor live 127.0.0.1 {master.port} 2"]
            lines += ["sentinel down-after-milliseconds live 500", "sentinel failover-timeout live 3000"]
            config.write_text("\n".join([*lines, f'dir "{place}"', ""]))
            running.append(Running.start([redis_binary(), str(config), "--sentinel"], place / f"sentinel{port}.log"))
        for port in ports:
            wait_for("the Sentinels know each other", lambda port=port: _knows_all(port))  # type: ignore[misc]
        yield Guarded([master, replica], ports)
    finally:
        for one in running:
            one.stop()
        replica.stop()
        master.stop()


def _info(node: Node, name: str) -> str:
    with node.client() as client:
        found: Any = client.info()
    return str(found.get(name))


def _knows_all(port: int) -> bool:
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as client:
        (found,) = client.sentinel_masters().values()  # type: ignore[no-untyped-call]
        return int(found["num-other-sentinels"]) == 2 and int(found["num-slaves"]) == 1
    return False
