"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import asyncio
import random


class Backoff:
    """Waits longer after each failure, with jitter, so that many servers do not come back in step.

    ``first_s`` after the first failure, doubled after each, at most ``most_s``; each wait is 50 to 100 % of that.
    """

    def __init__(self, first_s: float = 0.05, most_s: float = 2.0) -> None:
        self._first_s = self._next_s = first_s
        self._most_s = most_s

    def reset(self) -> None:
        """It worked: the next failure is the first."""
        self._next_s = self._first_s

    async def wait(self) -> None:
        """Wait as long as it is due, and longer the next time."""
        wait_s = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(self._next_s * 2, self._most_s)
        await asyncio.sleep(wait_s)
