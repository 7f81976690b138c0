"""What begins with the server and ends with it, and in which order: its own loops first, the way to Redis last.

Must never know: Settings, routes, viewers (``Live`` says goodbye to them by itself).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from livetask.server.archive.keeping import Keeping
from livetask.server.control import Control
from livetask.server.loop_lag import LoopLag
from livetask.server.reconciling import Reconciler
from livetask.server.running import Running
from livetask.server.stops import Stops
from livetask.server.store import Store


@dataclass(slots=True)
class Stopping:
    """Whether the server is to stop. ``asked``: set when it is. ``failed``: because of a bug."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    failed: bool = False

    def fail(self, _: BaseException) -> None:
        """A loop of the server has failed, and that was logged: end, so that who started the server starts it anew."""
        self.failed = True
        self.asked.set()


@dataclass(frozen=True, slots=True)
class Lifetime:
    """``running``: owns the loops. ``keeping``: None where there is no archive."""

    running: Running
    stops: Stops
    loop_lag: LoopLag
    reconciler: Reconciler
    keeping: Keeping | None
    control: Control
    store: Store

    def attach(self, app: web.Application) -> None:
        """Begin when the app starts, end when it is cleaned up."""
        app.on_startup.append(self._start)
        app.on_cleanup.append(self._close)

    async def _start(self, _: web.Application) -> None:
        loops = self.keeping.loops() if self.keeping else ()
        self.running.start(self.stops.run(), self.loop_lag.run(), self.reconciler.run(), *loops)

    async def _close(self, _: web.Application) -> None:
        await self.running.stop()
        await self.stops.close()
        self.control.close()
        if self.keeping is not None:
            await self.keeping.close()
        await self.store.close()
