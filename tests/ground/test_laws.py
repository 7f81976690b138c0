"""The laws of the house, read from the code's own imports.

They are what ARCHITECTURE.md lists under "Laws"; a change that breaks one is a change of the architecture and belongs
in that document first.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2] / "livetask"
ROOMS = sorted(path.relative_to(HOUSE).as_posix() for path in HOUSE.rglob("*.py"))

GROUND = [
    "errors.py", "setting_errors.py", "colours.py", "position.py", "keys.py", "parcel.py", "settings.py",
    "setting_values.py", "arguments.py", "signature.py", "search_errors.py", "access_errors.py", "archive_errors.py",
    "masking.py", "secret_formats.py", "hiding.py",
    "redis_places.py",
]  # fmt: skip
PURE = [
    "server/searching/looking.py",
    *GROUND, "server/subscription.py", "server/reels.py", "server/calls.py", "server/wire.py", "server/options.py",
    "server/schemas.py", "server/operations.py", "server/access/described.py",
    "server/listing/rows.py", "server/listing/wanted.py", "server/listing/asked.py",
    "server/access/caller.py", "server/access/presented.py", "server/access/policy.py", "server/access/rights.py",
    "server/access/next_page.py", "server/access/addresses.py", "server/reach.py",
    "server/access/needs.py", "server/access/sight.py", "server/armour/hosts.py",
    "server/armour/rates.py", "server/tally.py", "server/stream_events.py",
    "server/archive/members.py", "server/archive/parts.py", "server/archive/names.py",
]  # fmt: skip
CONNECT = {"server/connecting.py", "server/cluster.py"}
KNOW_CELERY = {"server/control.py", "server/revoking.py"}
OUTSIDE = {
    "aiohttp", "asyncio", "celery", "datetime", "io", "kombu", "logging", "os", "pathlib", "random", "redis", "select",
    "selectors", "shutil", "signal", "socket", "socketio", "ssl", "subprocess", "sys", "tempfile", "threading", "time",
}  # fmt: skip

BAGS = {"utils", "util", "helpers", "helper", "types", "constants", "common", "misc", "manager", "managers", "base"}

READ_SETTINGS = {"server/app.py", "worker/installing.py", "cli.py"}
"""The only rooms that know Settings: they hand plain values on."""


@cache
def _tree(room: str, *, at_runtime: bool = False) -> ast.Module:
    tree = ast.parse((HOUSE / room).read_text("utf-8"))
    if at_runtime:
        tree.body = [node for node in tree.body if not _is_for_types(node)]
    return tree


@cache
def _imports(room: str, *, at_runtime: bool = False) -> tuple[str, ...]:
    """Dotted names of all that a room imports, wherever in it. ``at_runtime``: not those for the type checker only."""
    return tuple(_imported(_tree(room, at_runtime=at_runtime), ["livetask", *Path(room).parent.parts]))


def _imported(tree: ast.Module, package: list[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{name}.{alias.name}" for alias in node.names)


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _reaches(room: str, name: str, *, at_runtime: bool = False) -> list[str]:
    return [found for found in _imports(room, at_runtime=at_runtime) if found == name or found.startswith(name + ".")]


def test_there_are_rooms_to_look_at() -> None:
    assert {"worker/__init__.py", "server/store.py", "server/control.py", *PURE, *READ_SETTINGS} <= set(ROOMS)


def test_worker_and_server_never_know_each_other() -> None:
    other = {"worker": "livetask.server", "server": "livetask.worker"}
    halves = [(room, other[half]) for room in ROOMS if (half := room.split("/")[0]) in other]
    assert not [room for room, other in halves if _reaches(room, other)]


def test_only_the_rooms_that_connect_open_redis_asyncio() -> None:
    assert not [room for room in ROOMS if room not in CONNECT and _reaches(room, "redis.asyncio")]


def test_in_the_server_only_two_rooms_know_celery() -> None:
    others = [room for room in ROOMS if room.startswith("server/") and room not in KNOW_CELERY]
    assert not [room for room in others for name in ("celery", "kombu") if _reaches(room, name, at_runtime=True)]


def test_the_worker_never_awaits() -> None:
    rooms = [room for room in ROOMS if room.startswith("worker/")]
    assert not [room for room in rooms for name in ("aiohttp", "asyncio") if _reaches(room, name)]
    awaits = ast.AsyncFunctionDef | ast.Await
    assert not [f"{room}:{node.lineno}" for room in rooms for node in ast.walk(_tree(room)) if isinstance(node, awaits)]


def test_pure_rooms_do_no_input_and_output_and_read_no_clock() -> None:
    assert not [f"{room}: {name}" for room in PURE for name in _imports(room) if name.split(".")[0] in OUTSIDE]


def test_the_ground_stands_on_nothing_but_the_ground() -> None:
    ours = [(room, name) for room in GROUND for name in _imports(room) if name.startswith("livetask.")]
    assert not [f"{room}: {name}" for room, name in ours if name.split(".")[1] + ".py" not in GROUND]


def test_parts_receive_plain_values_and_never_settings() -> None:
    parts = [room for room in ROOMS if room.startswith(("worker/", "server/")) and room not in READ_SETTINGS]
    assert not [room for room in parts if _reaches(room, "livetask.settings.Settings")]


def test_no_room_is_a_bag_or_too_large() -> None:
    assert not [room for room in ROOMS if Path(room).stem in BAGS]
    assert not [room for room in ROOMS if len((HOUSE / room).read_text("utf-8").splitlines()) > 400]


@pytest.mark.parametrize(
    ("half", "strangers"),
    [
        ("livetask", {"celery", "redis", "aiohttp", "livetask.worker", "livetask.server"}),
        ("livetask.worker", {"aiohttp", "socketio", "jinja2", "livetask.server"}),
        ("livetask.server.app", {"livetask.worker"}),
    ],
)
def test_importing_one_half_never_loads_the_other(half: str, strangers: set[str]) -> None:
    code = f"import sys, {half}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=90)
    assert not strangers & set(answer.stdout.split())
