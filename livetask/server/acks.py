"""Acknowledgements of output: the message that viewers send most, by whichever way it comes.

Must never know: Socket.IO's packets, sessions, Redis.
"""

from __future__ import annotations

from typing import Any

from livetask.errors import LivetaskError, TooMany
from livetask.position import Cursor
from livetask.server.ack_text import ack_of
from livetask.server.hub import Hub
from livetask.server.messages import ack_read, fields_of_message
from livetask.server.viewers import Viewer
from livetask.server.wire import Json, error_json

_CHEAPER = 10
"""Acknowledgements cost next to nothing: this many times more of them are read than of other messages."""


class Acks:
    """Tells the hub what viewers have taken over."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def heard(self, viewer: Viewer, message: str) -> bool:
        """Whether the text message was an acknowledgement as our clients write it; then it is dealt with."""
        found = ack_of(message)
        if found is None:
            return False
        try:
            viewer.count(1.0 / _CHEAPER)
        except TooMany:
            return True
        self._took(viewer, *found)
        return True

    def answered(self, viewer: Viewer, args: tuple[Any, ...]) -> Json:
        """The answer to an acknowledgement that came through the Socket.IO server."""
        try:
            viewer.count(1.0 / _CHEAPER)
            self._took(viewer, *ack_read(fields_of_message(args)))
        except LivetaskError as error:
            return {"ok": False, **error_json(error)}
        return {"ok": True}

    def _took(self, viewer: Viewer, task_id: str, cursor: Cursor) -> None:
        follower = viewer.followers.get(task_id)
        if follower is not None:
            self._hub.ack(follower, cursor)
