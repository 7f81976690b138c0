"""Tests that are killed leave nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.system.rig import CHECKOUT, wait_for

KILLED = """
import os, signal, sys, tempfile
from pathlib import Path
from tests.system.rig import Running
place = Path(tempfile.mkdtemp())
running = [Running.start(["sh", "-c", "sleep 300 & sleep 300"], place / "log") for _ in range(2)]
running[0].kill_all()
print(running[1].process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_killed_tests_have_started_ends_with_them() -> None:
    ran = subprocess.run([sys.executable, "-c", KILLED], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    left = int(ran.stdout)

    def is_gone() -> bool:
        return not any(_group(int(entry.name)) == left for entry in Path("/proc").iterdir() if entry.name.isdigit())

    wait_for("nothing of it runs", is_gone)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0
