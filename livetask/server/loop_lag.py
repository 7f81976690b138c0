"""How late the event loop is: what every viewer's output and every answer waits for at least.

Must never know: anything else.
"""

from __future__ import annotations

import asyncio
from collections import deque

_EVERY_S = 0.25
_LOOKS = 60


class LoopLag:
    """``run`` it; ``worst_s``: by how much a timer came too late at the most, within the last 15 s."""

    def __init__(self) -> None:
        self._late: deque[float] = deque(maxlen=_LOOKS)

    @property
    def worst_s(self) -> float:
        return max(self._late, default=0.0)

    async def run(self) -> None:
        """Look, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._late.append(max(0.0, loop.time() - due_s))
