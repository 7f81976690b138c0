"""The Socket.IO server that livetask uses: its options, and what its connections bring along.

Must never know: what is said over it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import socketio

from livetask.server.armour.origins import may_connect
from livetask.server.packets import serializer_named
from livetask.server.transport import SocketDriver

PING_INTERVAL_S = 20
PING_TIMEOUT_S = 30
"""A slow viewer has its window to take in before it sees the ping behind it."""


def headers_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a connection's first request, names in lower case with ``-``."""
    found = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
    return {name.lower().replace("_", "-"): str(value) for name, value in found.items()}


def socketio_server(origins: tuple[str, ...], inbound_bytes: int, options: Mapping[str, Any]) -> Any:
    """A Socket.IO server with our driver. Its own logs are off: they would show what clients send.

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
    return server
