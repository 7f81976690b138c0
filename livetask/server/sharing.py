"""One question to Redis for all who ask it at the same time: when a thousand viewers come back at once, they ask alike.

Must never know: what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Sharing(Generic[T]):
    """Answers that are shared while they are under way, and forgotten when they are there.

    The first who asks does the asking, in its own time and for itself; those who come meanwhile wait for its answer.
    What they hear can be as old as that question. An answer of None, an error and a first one who gives up are not
    shared: then the next one asks.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Future[T | None]] = {}

    async def of(self, key: Hashable, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """The answer to the question ``key``, which ``ask`` would get."""
        while (under_way := self._under_way.get(key)) is not None:
            answer = await asyncio.shield(under_way)
            if answer is not None:
                return answer
        mine = self._under_way[key] = asyncio.get_running_loop().create_future()
        answer = None
        try:
            answer = await ask()
            return answer
        finally:
            del self._under_way[key]
            mine.set_result(answer)
