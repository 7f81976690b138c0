"""Processes and all that they have started: finding the whole tree, and ending it.

A part of livetask is the leader of a session of its own, so a signal to its group reaches most of what it started;
what made itself another session (a shell with a terminal, say) is found by its parents. Blocks; POSIX only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


def descendants(roots: Iterable[int]) -> set[int]:
    """The processes in `roots` that live and all their children's children, as far as parents still live."""
    parents = _parents()
    found = {pid for pid in roots if pid in parents}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _parents() -> dict[int, int]:
    """Every process that is no zombie, with its parent."""
    if not (_PROC / "self" / "stat").exists():
        listed = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True, check=False)
        rows = [line.split() for line in listed.stdout.splitlines()]
        return {int(row[0]): int(row[1]) for row in rows if not row[2].startswith("Z")}
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            # it may end between the listing and this look
            with contextlib.suppress(OSError, ValueError, IndexError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
    return parents


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process; one that has ended is no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_groups(leaders: Iterable[int]) -> None:
    """SIGKILL to all that is left of the process groups of `leaders`."""
    for pid in leaders:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def end_trees(leaders: Iterable[int], grace_s: float) -> None:
    """End the session leaders in `leaders` and all they started: SIGTERM, and SIGKILL after `grace_s`."""
    leaders = set(leaders)
    tree = descendants(leaders)
    send(leaders & tree, signal.SIGTERM)
    ends_at = time.monotonic() + grace_s
    while (tree := tree | descendants(tree)) & set(_parents()) and time.monotonic() < ends_at:
        time.sleep(0.05)
    kill_groups(leaders)
    send(tree & set(_parents()), signal.SIGKILL)
