"""The ways that are compared, as a table: what each starts and what a viewer of it says.

A new way (another server, another library) is one more row here and, if it needs one, a writer or a server of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.bench import native_programs, node_place
from tests.bench.processes import python
from tests.bench.writers import CURSOR_START, TASK


@dataclass(frozen=True, slots=True)
class Way:
    """One way to bring lines to viewers.

    ``name``: as it is chosen on the command line. ``title``: as the table has it. ``append_title``: the same for
    append, '' if it is not measured there: of two ways that share a writer only one is. ``writer``: the writer's name.
    ``server``: which server it needs. ``subscribe``: what its viewers send, None for bare sockets. ``acks``: the task
    whose cursors its viewers acknowledge. ``keeps``: what was printed can be read later.
    """

    name: str
    title: str
    append_title: str
    writer: str
    server: str
    subscribe: dict[str, Any] | None
    acks: str | None = None
    keeps: bool = True

    @property
    def chunked(self) -> bool:
        """It brings many lines in one piece."""
        return self.writer not in ("tutorial", "stirfried", "node")

    def lacks(self) -> str:
        """Why it cannot be measured here; '' if it can. Compiles and installs what it needs, or raises."""
        if self.server == "floor-c" and native_programs.built("floor") is None:
            return "no C compiler works here"
        if self.server in ("node", "ws"):
            node_place.version()
        return ""

    def server_command(self, url: str) -> list[str]:
        """How its server is started; it then says where it listens in its first line that ends with a port."""
        if self.server == "livetask":
            return python("livetask", "serve", "--redis-url", url, "--host", "127.0.0.1", "--port", "0")
        if self.server == "node":
            return node_place.server_command("server.mjs", url)
        if self.server == "ws":
            return node_place.server_command("ws.mjs", url, TASK)
        if self.server == "floor-c":
            return [str(native_programs.built("floor"))]
        return python("tests.bench.servers", self.server, url)

    def viewers(self, port: int, viewers: int, expected: int, limit_s: float, replay: bool = False) -> dict[str, Any]:
        """The order for the load process."""
        order = {"port": port, "viewers": viewers, "expected": expected, "limit_s": limit_s}
        if self.subscribe is None:
            return {**order, "kind": "raw", "hello": "replay" if replay else "follow"}
        return {**order, "kind": "sio", "subscribe": self.subscribe, "acks": self.acks}


_LIVETASK = {"task_id": TASK, "from": CURSOR_START, "mode": "all"}

WAYS = (
    Way(
        "tutorial",
        "tutorial: pub/sub a viewer, an emit a line",
        "tutorial: RPUSH + PUBLISH a line",
        writer="tutorial",
        server="tutorial",
        subscribe={"task": TASK},
    ),
    Way(
        "stirfried",
        "Stirfried: AsyncRedisManager, an emit a line",
        "Stirfried: RedisManager, an emit a line",
        writer="stirfried",
        server="stirfried",
        subscribe={"task": TASK},
        keeps=False,
    ),
    Way(
        "node",
        "Node's socket.io, Redis Streams adapter, an emit a line",
        "the adapter's XADD a line",
        writer="node",
        server="node",
        subscribe={"task": TASK},
        keeps=False,
    ),
    Way(
        "node-chunks",
        "the same, an emit a chunk",
        "",
        writer="node-chunks",
        server="node",
        subscribe={"task": TASK},
        keeps=False,
    ),
    Way(
        "ws",
        "Node's ws, one reader for all, a message a chunk",
        "",
        writer="chunks",
        server="ws",
        subscribe={"task": TASK},
        keeps=False,
    ),
    Way(
        "aiohttp",
        "aiohttp's WebSockets, one reader for all, a message a chunk",
        "",
        writer="chunks",
        server="aiohttp",
        subscribe={"task": TASK},
        keeps=False,
    ),
    Way(
        "livetask",
        "**livetask**, text",
        "**livetask**: the append script, a chunk a call",
        writer="livetask",
        server="livetask",
        subscribe=_LIVETASK,
        acks=TASK,
    ),
    Way(
        "livetask-binary",
        "**livetask**, binary",
        "",
        writer="livetask",
        server="livetask",
        subscribe={**_LIVETASK, "binary": True},
        acks=TASK,
    ),
    Way(
        "floor-c",
        "floor: a WebSocket loop in C, a frame a chunk, no Redis",
        "",
        writer="floor",
        server="floor-c",
        subscribe={},
        keeps=False,
    ),
    Way(
        "floor",
        "a bare socket loop in Python, no WebSocket, no Redis",
        "floor: XADD a chunk, a bare socket",
        writer="floor",
        server="floor",
        subscribe=None,
    ),
)


def way(name: str) -> Way:
    """The way of that name; raises KeyError."""
    return {known.name: known for known in WAYS}[name]
