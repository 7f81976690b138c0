"""Where node's servers for the benchmark are installed: by its lock file, when it is first measured."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.processes import ROOT

_HOME = ROOT / "tests" / "bench" / "node"
_PLACE = ROOT / ".livetask" / "bench-node"
_FILES = ("package.json", "package-lock.json", ".npmrc", "server.mjs", "ws.mjs")


def server_command(program: str, *arguments: str) -> list[str]:
    """How one of them is started; installs all where that has not been done, or raises CalledProcessError."""
    sys.path.insert(0, str(ROOT))
    import bootstrap

    npm = bootstrap.npm_command()
    same = all((_PLACE / name).exists() and _same(_PLACE / name, _HOME / name) for name in _FILES)
    if not same or not (_PLACE / "node_modules").exists():
        _PLACE.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            shutil.copy(_HOME / name, _PLACE)
        bootstrap.npm("ci", "--ignore-scripts", place=_PLACE)
    node = npm[0] if len(npm) > 1 else shutil.which("node")
    assert node is not None
    return [node, str(_PLACE / program), *arguments]


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def version() -> str:
    """The node that would run."""
    return subprocess.run(
        [server_command("ws.mjs")[0], "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
