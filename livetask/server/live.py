"""Everything live, put together: hub, list of tasks, leases and Socket.IO over one store.

How the application uses it::

    live = Live(store, calls=stirfried.events(), window_bytes=settings.window_bytes, ...)
    live.attach(app)                    # Socket.IO under /socket.io/; starts and stops with the application
    live.hub.follow(task_id, cursor)    # for SSE, downloads and long polls

``close_viewers`` belongs before the web server waits for its connections to end: ``attach`` has it called at
``on_shutdown``. The store is the caller's: close it after the application's cleanup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiohttp import web

from livetask.server.access.gate import Gate
from livetask.server.access.rules import Rules
from livetask.server.access.sight import Sight
from livetask.server.armour.meter import Meter
from livetask.server.catalog import Catalog
from livetask.server.hub import Hub
from livetask.server.rooms import Rooms
from livetask.server.running import Running
from livetask.server.sockets import Call, Sockets
from livetask.server.store import Store
from livetask.server.sweeper import sweep_leases


class Live:
    """See the module's docstring.

    ``gate``: says who connects; None: it is open. ``sight``: what they may see; None: everything. ``rules``:
    told of refusals. ``calls``: further
    Socket.IO events by name. ``on_failure``: called when a loop ends by a bug, so that the process can end. The rest
    are settings of the same names.
    """

    def __init__(
        self,
        store: Store,
        *,
        gate: Gate | None = None,
        meter: Meter | None = None,
        calls: Mapping[str, Call] | None = None,
        origins: Iterable[str] = (),
        window_bytes: int = 256 * 1024,
        wide_window_bytes: int = 0,
        heartbeat_ms: int = 5000,
        sweep_s: float = 15.0,
        hold_s: float = 60.0,
        sight: Sight | None = None,
        rules: Rules | None = None,
        inbound_bytes: int = 32 * 1024,
        inbound_per_s: int = 200,
        max_viewers: int = 10_000,
        max_subscriptions: int = 256,
        custom_rooms: bool = False,
        socketio: Mapping[str, Any] | None = None,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._store = store
        self.hub = Hub(
            store, window_bytes=window_bytes, wide_window_bytes=wide_window_bytes, sweep_s=sweep_s, hold_s=hold_s,
            sight=sight, on_failure=on_failure,
        )  # fmt: skip
        self.catalog = Catalog(self.hub, sight)
        self.rooms = Rooms(store.events, sweep_s, max_subscriptions, sight.facts if sight else None)
        self.hub.on_rung(self.rooms.rang)
        self.sockets = Sockets(
            self.hub,
            self.catalog,
            self.rooms,
            gate=gate,
            rules=rules,
            meter=meter,
            calls=calls,
            origins=origins,
            heartbeat_ms=heartbeat_ms,
            inbound_bytes=inbound_bytes,
            inbound_per_s=inbound_per_s,
            max_viewers=max_viewers,
            max_subscriptions=max_subscriptions,
            custom_rooms=custom_rooms,
            options=socketio,
        )
        self._running = Running(on_failure)

    def attach(self, app: web.Application) -> None:
        """Serve Socket.IO, and start and stop together with the application."""
        self.sockets.attach(app)
        app.on_startup.append(lambda _: self.start())
        app.on_shutdown.append(lambda _: self.close_viewers())
        app.on_cleanup.append(lambda _: self.stop())

    async def start(self) -> None:
        """Start the loops. Redis may be away."""
        await self.hub.start()
        self._running.start(self.catalog.run(), self.rooms.run(), sweep_leases(self._store), self.sockets.beat())

    async def close_viewers(self) -> None:
        """Say goodbye to the viewers and end their connections, within a second."""
        await self.sockets.close()

    async def stop(self) -> None:
        """End the loops."""
        await self._running.stop()
        await self.hub.stop()
