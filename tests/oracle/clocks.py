"""Clocks that can be set: of the worker, the server and Redis, as ``tests/real/clocks`` shows them to processes."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from tests.system.rig import CHECKOUT, Redis

WHOSE = ("worker", "server", "redis")


class Clocks:
    """``place``: a directory, made here. ``env``: for the processes that shall have these clocks."""

    def __init__(self, place: Path) -> None:
        self._place = place
        place.mkdir()
        for whose in ("worker", "server"):
            (place / whose).write_bytes(bytes(8))

    @property
    def env(self) -> dict[str, str]:
        path = f"{CHECKOUT}/tests/real/clocks:{CHECKOUT}"
        return {"TEST_CLOCKS": os.fspath(self._place), "PYTHONPATH": path}

    def set(self, whose: str, off_ms: int, store: Redis) -> None:
        """From now on that clock, one of WHOSE, is so far off the true time."""
        if whose == "redis":
            store.do("SET", "clock", str(off_ms))
            return
        with (self._place / whose).open("r+b") as file:
            file.write(struct.pack("<q", off_ms))
