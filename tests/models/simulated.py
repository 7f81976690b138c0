"""An event loop whose clock jumps to the next timer in place of waiting: hours pass in seconds, in one order."""

from __future__ import annotations

import asyncio
from typing import Any


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Nothing but timers may be waited for: there is no outside."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 1000.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        look = selector.select

        def select(timeout: float | None = None) -> Any:
            if timeout is None:
                raise RuntimeError("everything waits for something that cannot happen")
            self._now_s += timeout
            return look(0)

        selector.select = select

    def time(self) -> float:
        return self._now_s

    def monotonic(self) -> float:
        """In place of the module ``time``, in the rooms that measure by it."""
        return self._now_s
