"""Following a task as an iterator, with back-pressure: what SSE, downloads and long polls read from."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from livetask.position import Cursor
from livetask.server.events import Event, Missing, Output, TaskChanged
from livetask.server.frames import Told

_MOST = 2000
"""Output waits within its window; this bounds the small events beside it, which no sane task makes in such numbers."""


class TooSlow(Exception):
    """The reader of an iterator left too many events lie."""


class Following:
    """An async iterator over the events of one task; made by ``Hub.follow``.

    ``taken``: called with the cursor of each piece of output that was taken out.
    """

    drained = True
    way = None

    def __init__(self) -> None:
        self.taken: Callable[[Cursor], None] = lambda cursor: None
        self._events: deque[Event] = deque()
        self._some = asyncio.Event()

    def tell(self, told: Told) -> None:
        """Keep an event until it is taken out."""
        if isinstance(told.event, TaskChanged):
            return
        if len(self._events) >= _MOST:
            raise TooSlow
        self._events.append(told.event)
        self._some.set()

    @property
    def has_more(self) -> bool:
        """The next event is there already."""
        return bool(self._events)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            self._some.clear()
            await self._some.wait()
        event = self._events.popleft()
        if isinstance(event, Output | Missing):
            self.taken(event.cursor)
        return event
