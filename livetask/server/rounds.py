"""Timers for a crowd: one for all of them, in place of one for each.

What has to be done for each connection some time after something, it being pinged or given up, is done for those whose
time is about the same in one go. Who has gone meanwhile is named by nothing but its id, so it costs nothing more.

Must never know: what is done, and for whom.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_SLACK = 50
"""Those who are due within this part of the time are called together: so many calls a turn, however many there are."""
_AT_ONCE = 200
"""After so many others have their turn."""

T = TypeVar("T")


class Rounds(Generic[T]):
    """``after_s``: how long after it was put in someone's turn comes, at most a fiftieth too early.
    ``call``: what is done then, with what was put in.
    """

    def __init__(self, after_s: float, call: Callable[[T], None]) -> None:
        self._after_s = after_s
        self._call = call
        self._waiting: deque[tuple[float, T]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, one: T) -> None:
        """Its turn comes after the time."""
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + self._after_s, one))
        if self._timer is None:
            self._timer = loop.call_later(self._after_s, self._go)

    def stop(self) -> None:
        """Nobody's turn comes any more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        until_s, left = loop.time() + self._after_s / _SLACK, _AT_ONCE
        while left and self._waiting and self._waiting[0][0] <= until_s:
            left -= 1
            self._call(self._waiting.popleft()[1])
        if self._waiting and self._timer is None:
            self._timer = loop.call_at(self._waiting[0][0], self._go)
