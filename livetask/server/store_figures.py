"""What Redis tells of itself and of the workers' spools, for the figures: asked when they are asked for.

A Redis that is away, or that forbids INFO, is no reason to give no figures: what it did not tell is left out.

Must never know: HTTP, Prometheus' format.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from livetask.errors import RedisUnavailable
from livetask.keys import Keys
from livetask.server.answers import fields_of, text_of

Commands = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]
Info = Callable[[], Awaitable[dict[str, str]]]

MOST_WORKERS = 500
"""The figures hold at most so many workers, those whose spools hold most."""

_FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Spool:
    """One worker's spools. ``held``, ``waiting``: bytes on its disk, and of them those that Redis does not have."""

    worker: str
    held: int
    waiting: int
    runs: int


class StoreFigures:
    """``commands``, ``info``: the store's. ``read`` asks; the rest is what it heard last."""

    def __init__(self, commands: Commands, info: Info, keys: Keys) -> None:
        self._commands = commands
        self._info = info
        self._keys = keys
        self._read_s = float("-inf")
        self.ping_s: float | None = None
        self.info: dict[str, str] = {}
        self.spools: tuple[Spool, ...] = ()

    async def read(self) -> None:
        """Ask Redis, at most once a second; never raises because it is away."""
        now_s = time.monotonic()
        if now_s - self._read_s < _FRESH_S:
            return
        self._read_s = now_s
        try:
            answers = await self._commands([("TIME",), ("HGETALL", self._keys.spools())])
            self.ping_s = time.monotonic() - now_s
            await self._weigh(int(answers[0][0]) * 1000, fields_of(answers[1]))
            self.info = await self._info()
        except RedisUnavailable:
            self.ping_s, self.info, self.spools = None, {}, ()

    async def _weigh(self, now_ms: int, fields: dict[bytes, bytes]) -> None:
        found: list[Spool] = []
        over: list[bytes] = []
        for worker, text in fields.items():
            until_ms, _, figures = text.partition(b" ")
            if not until_ms.isdigit() or int(until_ms) < now_ms:
                over.append(worker)
            elif (spool := _spool(worker, figures)) is not None:
                found.append(spool)
        self.spools = tuple(sorted(found, key=lambda one: (-one.held, one.worker)))
        if over:
            await self._commands([("HDEL", self._keys.spools(), *over)])

    def numbers(self, *names: str) -> Iterable[tuple[str, float]]:
        """Those of INFO's fields that are there and are numbers."""
        for name in names:
            try:
                yield name, float(self.info[name])
            except (KeyError, ValueError):
                continue


def _spool(worker: bytes, figures: bytes) -> Spool | None:
    try:
        known = json.loads(figures)
        return Spool(text_of(worker), int(known["held"]), int(known["waiting"]), int(known["runs"]))
    except (ValueError, TypeError, KeyError):
        return None
