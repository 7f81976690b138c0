"""The page about Socket.IO names every event that the code has, both ways, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from livetask.server.app import LIVE, make_app
from livetask.settings import Settings
from tests.system.rig import CHECKOUT

PAGE = (CHECKOUT / "docs" / "socketio.md").read_text("utf-8")
SERVER = CHECKOUT / "livetask" / "server"
WORKER = CHECKOUT / "livetask" / "worker"
OF_THE_PROTOCOL = {"connect", "disconnect", "*"}


def on_the_page(title: str) -> set[str]:
    """The events in the tables of one chapter."""
    chapter = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", chapter, re.MULTILINE))


def test_the_events_that_clients_send() -> None:
    app = make_app(Settings.load(flags={"redis_url": "redis://127.0.0.1:1/0"}), None)
    registered = set(app[LIVE].sockets._server.handlers["/"]) - OF_THE_PROTOCOL
    assert on_the_page("From the client") == registered


def test_the_events_that_the_server_sends() -> None:
    sent = {name for path in sorted(SERVER.glob("*.py")) for name in names_sent(path)}
    emitted = {name for room in ("live_task.py", "event_log.py") for name in names_emitted(WORKER / room)}
    assert emitted
    sent |= emitted
    assert on_the_page("From the server") == sent


def names_sent(path: Path) -> Iterator[str]:
    """Names of packets that a room makes, and those that ``event_json`` gives."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Packet" and node.args:
            yield from _text(node.args[0])
        if isinstance(node, ast.FunctionDef) and node.name == "event_json":
            for inside in ast.walk(node):
                if isinstance(inside, ast.Return) and isinstance(inside.value, ast.Tuple):
                    yield from _text(inside.value.elts[0])


def names_emitted(path: Path) -> Iterator[str]:
    """Names of events that a room of the worker writes down for clients."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"on_[a-z]+", node.value):
            yield node.value


def _text(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def test_every_field_of_the_messages_is_named() -> None:
    """Those that ``subscribe`` reads, and those that a task is started with."""
    from livetask.server.calls import _FIELDS
    from livetask.server.messages import subscribe_read

    read = set(re.findall(r'fields(?:\.get\(|, )"(\w+)"', Path(subscribe_read.__code__.co_filename).read_text("utf-8")))
    row = next(line for line in PAGE.splitlines() if line.startswith("| `subscribe`"))
    assert {name for name in read if not re.search(rf"\b{name}\b", row)} <= {"cursor"}
    row = next(line for line in PAGE.splitlines() if line.startswith("| `send_task`"))
    assert not {name for name in _FIELDS if not re.search(rf"\b{name}\b", row)}
