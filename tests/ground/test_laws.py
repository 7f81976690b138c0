"""The laws of the house, read from the code's own imports.

They are what ARCHITECTURE.md lists under "Laws"; a change that breaks one is a change of the architecture and belongs
in that document first.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
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


def _imports(room: str, *, at_runtime: bool = False) -> Iterator[str]:
    """Dotted names of all that a room imports, wherever in it. ``at_runtime``: not those for the type checker only."""
    tree = ast.parse((HOUSE / room).read_text("utf-8"))
    if at_runtime:
        tree.body = [node for node in tree.body if not _is_for_types(node)]
    package = ["livetask", *Path(room).parent.parts]
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


@pytest.mark.parametrize("room", ROOMS)
def test_worker_and_server_never_know_each_other(room: str) -> None:
    half = room.split("/")[0]
    other = {"worker": "livetask.server", "server": "livetask.worker"}.get(half)
    assert other is None or not _reaches(room, other)


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in CONNECT])
def test_only_the_rooms_that_connect_open_redis_asyncio(room: str) -> None:
    assert not _reaches(room, "redis.asyncio")


@pytest.mark.parametrize("room", [room for room in ROOMS if room.startswith("server/")])
def test_in_the_server_only_two_rooms_know_celery(room: str) -> None:
    if room not in KNOW_CELERY:
        assert not _reaches(room, "celery", at_runtime=True) + _reaches(room, "kombu", at_runtime=True)


@pytest.mark.parametrize("room", [room for room in ROOMS if room.startswith("worker/")])
def test_the_worker_never_awaits(room: str) -> None:
    tree = ast.parse((HOUSE / room).read_text("utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    assert not _reaches(room, "aiohttp") + _reaches(room, "asyncio")


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_do_no_input_and_output_and_read_no_clock(room: str) -> None:
    assert not {name.split(".")[0] for name in _imports(room)} & OUTSIDE


@pytest.mark.parametrize("room", GROUND)
def test_the_ground_stands_on_nothing_but_the_ground(room: str) -> None:
    ours = {name.split(".")[1] + ".py" for name in _imports(room) if name.startswith("livetask.")}
    assert ours <= set(GROUND)


@pytest.mark.parametrize("room", [room for room in ROOMS if room.startswith(("worker/", "server/"))])
def test_parts_receive_plain_values_and_never_settings(room: str) -> None:
    if room not in READ_SETTINGS:
        assert not _reaches(room, "livetask.settings.Settings")


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_is_a_bag_or_too_large(room: str) -> None:
    assert Path(room).stem not in BAGS
    assert len((HOUSE / room).read_text("utf-8").splitlines()) <= 400


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
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not strangers & set(answer.stdout.split())
