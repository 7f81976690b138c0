"""An event loop whose clock jumps to the next timer in place of waiting: hours pass in seconds, in one order."""

from __future__ import annotations

import asyncio
from typing import Any

_TICK_S = 1e-6
"""What a round of the loop takes at least: on a clock that stands still a wait shorter than its step never ends."""

_BUSY_ROUNDS = 100_000


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Nothing but timers may be waited for: there is no outside. Who is busy for ever is an error too."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 1000.0
        self._busy = 0
        selector: Any = self._selector  # type: ignore[attr-defined]
        look = selector.select

        def select(timeout: float | None = None) -> Any:
            if timeout is None:
                raise RuntimeError("everything waits for something that cannot happen")
            self._busy = self._busy + 1 if timeout <= _TICK_S else 0
            if self._busy > _BUSY_ROUNDS:
                self._busy = 0
                raise RuntimeError(f"{_BUSY_ROUNDS} rounds without a wait")
            self._now_s += max(timeout, _TICK_S)
            return look(0)

        selector.select = select

    def time(self) -> float:
        return self._now_s

    def monotonic(self) -> float:
        """In place of the module ``time``, in the rooms that measure by it."""
        return self._now_s

    def thread_time(self) -> float:
        """The same, by the processor's time."""
        return self._now_s

    def pass_s(self, seconds: float) -> None:
        """Somebody keeps the loop for so long."""
        self._now_s += seconds
