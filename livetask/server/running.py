"""The owner of the server's loops: starts them together, ends them together, and lets no failure pass unseen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Running:
    """Coroutines that run until they are stopped.

    A loop that raises is a bug: the others are ended too and ``on_failure`` is called with what was raised, so that
    the process can end.
    """

    def __init__(self, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self._on_failure = on_failure
        self._task: asyncio.Task[None] | None = None

    def start(self, *loops: Coroutine[Any, Any, None]) -> None:
        """Start the loops, once."""
        if self._task is not None:
            raise RuntimeError("already started")
        self._task = asyncio.create_task(self._together(loops))

    async def stop(self) -> None:
        """End the loops, and return when they have ended."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])

    async def _together(self, loops: tuple[Coroutine[Any, Any, None], ...]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for loop in loops:
                    group.create_task(loop)
        except Exception as error:
            log.critical("a loop of the server has failed", exc_info=error)
            if self._on_failure is not None:
                self._on_failure(error)
