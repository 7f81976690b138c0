"""What the shipper tells of its spools: how much they hold, and how much of it Redis does not have yet.

The servers show it among their figures. It stands under a lease, so a worker that is gone is forgotten.

It must never know how calls are sent.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from livetask.keys import Keys
from livetask.worker.shipping import Shipping
from livetask.worker.writing import Call

LEASE_MS = 60_000
_BUSY_S = 5.0
_IDLE_S = 15.0


class Weighing:
    """The figures of one worker's spools. ``pid``: the worker's main process, which names it until it has a name."""

    def __init__(self, keys: Keys, pid: int) -> None:
        self._keys = keys
        self._name = f"{socket.gethostname()}:{pid}"
        self._told_s = float("-inf")

    def calls(self, now_s: float, worker: str, runs: Iterable[Shipping], is_busy: bool) -> list[Call]:
        """The call that is due, if any. ``worker``: its name, '' if unknown. To be followed by ``answered``."""
        if now_s < self._told_s + (_BUSY_S if is_busy else _IDLE_S):
            return []
        held = waiting = open_runs = 0
        for run in runs:
            held += run.following.held_bytes
            if not run.is_finished:
                open_runs += 1
                waiting += max(0, run.until - run.following.scan.at.byte)
        text = json.dumps({"held": held, "waiting": waiting, "runs": open_runs})
        return [Call("weigh", (self._keys.spools(),), (worker or self._name, LEASE_MS, text))]

    def answered(self, now_s: float, replies: Sequence[Any]) -> None:
        """Redis has it."""
        if replies:
            self._told_s = now_s
