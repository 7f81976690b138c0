"""What a table was measured on: a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("livetask", "aiohttp", "python-socketio", "python-engineio", "redis", "hiredis")


def described(valkey_version: str) -> str:
    """One sentence with the machine, and one with the versions. ``valkey_version``: the server's name and version.

    To be asked before the measurement: it names what else the machine had to do by then.
    """
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cores = len(os.sched_getaffinity(0))
    return (
        f"Measured on {cores} core{'s' * (cores > 1)} of {_cpu_model()}, {_memory_gib():.0f} GiB, "
        f"{platform.system()} {platform.release()}, load before it {os.getloadavg()[0]:.1f}. "
        f"Python {platform.python_version()}, {packages}, {valkey_version}."
    )


def _cpu_model() -> str:
    for text in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if text.startswith("model name"):
            return text.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
