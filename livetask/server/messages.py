"""What clients send, checked field by field before anything is done with it.

A message is a JSON object. Unknown fields are left alone, so that a newer client can talk to an older server; a field
of a wrong type or value raises ArgumentInvalid, which says what would be right.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livetask.errors import ArgumentInvalid
from livetask.keys import task_id_checked
from livetask.position import Cursor, EventCursor
from livetask.server.subscription import MODES, Wish

_TAIL = re.compile(r"tail:([1-9][0-9]{0,4})")
MOST_TAIL = 10_000


@dataclass(frozen=True, slots=True)
class Subscribe:
    """``whence``: 'start', 'now', 'tail:N' or a cursor. ``wait``: the task need not be known yet.

    ``events``: whether the task's own events are wanted; None if the message says nothing of them. ``events_from``: the
    last one that the viewer has.
    """

    task_id: str
    whence: str | Cursor
    wish: Wish
    wait: bool
    events: bool | None = None
    events_from: EventCursor | None = None


def fields_of_message(args: tuple[Any, ...]) -> Mapping[str, Any]:
    """The one JSON object of a message."""
    if len(args) != 1 or not isinstance(args[0], dict):
        raise ArgumentInvalid("message", args[0] if args else None, "one JSON object")
    return args[0]


def subscribe_read(fields: Mapping[str, Any]) -> Subscribe:
    """Read the message ``subscribe``. Raises TaskIdInvalid, ArgumentInvalid, CursorInvalid."""
    task_id = task_id_checked(fields.get("task_id"))
    mode = fields.get("mode", "all")
    if mode not in MODES:
        raise ArgumentInvalid("mode", mode, f"one of {', '.join(MODES)}")
    wish = Wish(
        mode=mode,
        binary=_flag(fields, "binary"),
        run=_whole(fields, "run", 1, 10**9, None),
        rate=_whole(fields, "rate", 1, 120, 30) or 30,
        lines=_whole(fields, "lines", 1, 200, 200) or 200,
    )
    after = fields.get("events_from")
    events_from = None if after is None else EventCursor.parse(after)
    events = True if mode == "events" or events_from is not None else None
    if "events" in fields:
        events = _flag(fields, "events") or bool(events)
    whence = whence_read(fields.get("from", "start"))
    return Subscribe(task_id, whence, wish, _flag(fields, "wait"), events, events_from)


def ack_read(fields: Mapping[str, Any]) -> tuple[str, Cursor]:
    """Read the message ``ack``."""
    return task_id_checked(fields.get("task_id")), Cursor.parse(fields.get("cursor"))


def whence_read(value: Any) -> str | Cursor:
    """Where to begin: 'start', 'now', 'tail:N' or a cursor."""
    if value in ("start", "now"):
        return str(value)
    if isinstance(value, str) and value.startswith("tail:"):
        match = _TAIL.fullmatch(value)
        if match is None or int(match[1]) > MOST_TAIL:
            raise ArgumentInvalid("from", value, f"tail:N with N from 1 to {MOST_TAIL}")
        return value
    if not isinstance(value, str):
        raise ArgumentInvalid("from", value, "'start', 'now', 'tail:N' or a cursor")
    return Cursor.parse(value)


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise ArgumentInvalid(name, value, "true or false")
    return value


def _whole(fields: Mapping[str, Any], name: str, least: int, most: int, default: int | None) -> int | None:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ArgumentInvalid(name, value, f"a whole number from {least} to {most}")
    return value
