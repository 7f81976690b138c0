"""The Socket.IO server itself, as livetask wants it: its driver, its origins, its bounds.

Must never know: who connects, and what is said.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import socketio

from livetask.server.armour.origins import may_connect
from livetask.server.armour.silent import silent_ended
from livetask.server.packets import serializer_named
from livetask.server.transport import SocketDriver

PING_INTERVAL_S = 20
PING_TIMEOUT_S = 30
"""A slow viewer has its window to take in before it sees the ping behind it."""


def socketio_server(origins: tuple[str, ...], inbound_bytes: int, max_viewers: int, options: Mapping[str, Any]) -> Any:
    """A Socket.IO server with our driver. Its own logs are off: they would show what clients send.

    ``origins``: others whose pages may connect. ``inbound_bytes``: the largest message.
    ``options``: more of its options; they win over ours.
    """
    serializer = serializer_named(options.get("serializer", "default"))
    quiet = logging.getLogger("livetask.server.socketio")
    quiet.setLevel(logging.CRITICAL)
    server = socketio.AsyncServer(
        async_mode="aiohttp",
        async_handlers=False,  # a viewer's messages are answered one after the other
        cors_allowed_origins=may_connect(origins),
        max_http_buffer_size=inbound_bytes,
        logger=quiet,
        engineio_logger=quiet,
        **{"ping_interval": PING_INTERVAL_S, "ping_timeout": PING_TIMEOUT_S, **options, "serializer": serializer},
    )
    server.eio._async = dict(server.eio._async, websocket=SocketDriver)
    silent_ended(server, max_viewers)
    return server
