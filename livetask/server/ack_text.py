"""The message ``ack`` read straight off a WebSocket, when it looks as livetask's clients write it.

Acknowledgements are most of what viewers send, and read through a JSON parser and three layers of callbacks one costs
as much as the output that it is for. Viewers who stand at one place send the same bytes, which are read once. What
looks in any way different is left to the Socket.IO server, which answers every form of it.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from functools import lru_cache

from livetask.position import Cursor, Position

MOST_CHARS = 400
"""No message beyond it can be one."""

_ACK = re.compile(
    r'42\["ack",\{"task_id":"([A-Za-z0-9_.:@=+~-]{1,200})",'
    r'"cursor":"([1-9][0-9]{0,8})\.([a-z0-9]{8,32})\.([1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})"\}\]'
)


def ack_of(message: str) -> tuple[str, Cursor] | None:
    """The task and the cursor of a text message that is an ``ack`` without a number; None: it must be decoded."""
    return _read(message) if len(message) <= MOST_CHARS and message.startswith('42["ack",') else None


@lru_cache(maxsize=512)
def _read(message: str) -> tuple[str, Cursor] | None:
    match = _ACK.fullmatch(message)
    if match is None:
        return None
    task_id, run, nonce, line, byte = match.groups()
    return task_id, Cursor(int(run), nonce, Position(int(line), int(byte)))
