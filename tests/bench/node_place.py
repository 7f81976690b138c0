"""Where node's servers for the benchmark are installed: by its lock file, when it is first measured."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys

from tests.bench.processes import ROOT

_HOME = ROOT / "tests" / "bench" / "node"
_PLACE = ROOT / ".livetask" / "bench-node"
_FILES = ("package.json", "package-lock.json", ".npmrc", "server.mjs", "ws.mjs")


def server_command(program: str, *arguments: str) -> list[str]:
    """How one of them is started; installs all where that has not been done, or raises bootstrap.SetUpFailed."""
    sys.path.insert(0, str(ROOT))
    import bootstrap

    npm = bootstrap.npm_command()
    files = {name: (_HOME / name).read_bytes() for name in _FILES}
    digest = hashlib.sha256(b"".join(files.values())).hexdigest()
    done = _PLACE / "installed"  # written last: an installation that was cut short is done again
    if not done.exists() or done.read_text("ascii") != digest:
        _PLACE.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (_PLACE / name).write_bytes(text)
        bootstrap.npm("ci", "--ignore-scripts", place=_PLACE)
        done.write_text(digest, "ascii")
    node = npm[0] if len(npm) > 1 else shutil.which("node")
    assert node is not None
    return [node, str(_PLACE / program), *arguments]


def version() -> str:
    """The node that would run."""
    return subprocess.run(
        [server_command("ws.mjs")[0], "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
