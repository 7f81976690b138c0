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
        self._under_way: dict[Hashable, list[asyncio.Future[T | None]]] = {}

    async def of(self, key: Hashable, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """The answer to the question ``key``, which ``ask`` would get."""
        loop = asyncio.get_running_loop()
        while (others := self._under_way.get(key)) is not None:
            mine: asyncio.Future[T | None] = loop.create_future()
            others.append(mine)
            answer = await mine
            if answer is not None:
                return answer
        waiting = self._under_way[key] = []
        answer = None
        try:
            answer = await ask()
            return answer
        finally:
            del self._under_way[key]
            for one in waiting:
                if not one.done():  # it may have given up
                    one.set_result(answer)
