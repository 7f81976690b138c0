"""Connections that never become viewers: they hold memory, and are counted nowhere else.

Engine.IO keeps a connection for as long as it answers pings, whether or not it ever says that it speaks Socket.IO.

Must never know: tasks, who a viewer is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

MUTE_S = 15.0
"""How long a connection may take to become a viewer."""

_SPARE = 200
"""How many connections there may be beyond the viewers: those on their way in and out."""


def silent_ended(server: Any, most: int) -> None:
    """Let the Socket.IO ``server`` take at most ``most`` connections, and end those that say nothing."""
    engine = server.eio
    take: Callable[[str, Mapping[str, Any]], Awaitable[Any]] = engine.handlers["connect"]

    async def connect(eio_sid: str, environ: Mapping[str, Any]) -> Any:
        if len(engine.sockets) > most + _SPARE:
            return "this server takes no more connections"
        asyncio.get_running_loop().call_later(MUTE_S, _look, server, eio_sid)
        return await take(eio_sid, environ)

    engine.on("connect", connect)


def _look(server: Any, eio_sid: str) -> None:
    socket = server.eio.sockets.get(eio_sid)
    if socket is None or server.manager.sid_from_eio_sid(eio_sid, "/") is not None:
        return
    link = getattr(socket, "link", None)
    if link is not None:
        link.abort()  # reading from it then fails, and Engine.IO tidies up
        return
    socket.closed = True  # who polls: Engine.IO forgets it on its next round
    socket.queue.put_nowait(None)
