"""What clients ask to be started: a task, with others chained onto it, checked field by field.

A message that is refused is refused whole: nothing of it is sent.

Pure: no I/O, no clock; knows neither Celery nor who asks how.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from livetask.errors import ArgumentInvalid, TooLarge
from livetask.keys import room_checked
from livetask.server.options import OPTIONS, options_read

_NAME_LIMIT = 255
_CHAIN_LIMIT = 100
_FIELDS = ("task_name", "args", "kwargs", "room", "chain", *OPTIONS)


@dataclass(frozen=True, slots=True)
class Call:
    """A checked wish to start a task. ``name``: of the task. ``args``, ``kwargs``: as JSON has them, or bytes.

    ``room``: the room that it names, None for none. ``chain``: the calls chained onto it; the last one runs first.
    ``options``: those given of queue, countdown and priority.
    """

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    room: str | None = None
    chain: tuple[Call, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, message: object, limit_bytes: int) -> Call:
        """Read ``{task_name, args?, kwargs?, room?, chain?}`` and options; raises ArgumentInvalid or TooLarge."""
        found = _parsed(message, chained=False)
        _check_size([[call.args, call.kwargs] for call in found.all()], limit_bytes)
        return found

    def all(self) -> tuple[Call, ...]:
        """This call and those of its chain."""
        return (self, *self.chain)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who asks. ``room``: where the events of its tasks go. ``own``: nobody else can be in that room.

    ``headers``: the headers of its request or connection, names in lower case with ``-``. ``name``: of the caller, who
    will own its tasks; '' if nobody is asked.
    """

    room: str = ""
    own: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent. ``chained``: the ids of the chain's tasks, in the order of the message."""

    task_id: str
    chained: tuple[str, ...] = ()


def _parsed(message: object, *, chained: bool) -> Call:
    if not isinstance(message, dict):
        raise ArgumentInvalid("message", message, "an object with task_name, args and kwargs")
    for name in message:
        if name not in _FIELDS:
            raise ArgumentInvalid(str(name)[:80], message[name], "no such field")
    if chained and message.get("chain"):
        raise ArgumentInvalid("chain", message["chain"], "none: a task of a chain has no chain of its own")
    name = message.get("task_name")
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_LIMIT or not name.isprintable():
        raise ArgumentInvalid("task_name", name, f"the name of a task, 1 to {_NAME_LIMIT} characters")
    args = _or_empty(message.get("args"), [])
    if not isinstance(args, list):
        raise ArgumentInvalid("args", args, "a list")
    kwargs = _or_empty(message.get("kwargs"), {})
    if not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
        raise ArgumentInvalid("kwargs", kwargs, "an object")
    chain = _or_empty(message.get("chain"), [])
    if not isinstance(chain, list) or len(chain) > _CHAIN_LIMIT:
        raise ArgumentInvalid("chain", chain, f"a list of at most {_CHAIN_LIMIT} tasks")
    room = message.get("room") or None
    return Call(
        name,
        args,
        kwargs,
        None if room is None else room_checked(room),
        tuple(_parsed(one, chained=True) for one in chain),
        options_read(message),
    )


def _or_empty(value: object, empty: object) -> object:
    return empty if value is None else value


def _check_size(value: object, limit_bytes: int) -> None:
    try:
        size = len(json.dumps(value, default=_bytes_as_text))
    except (TypeError, ValueError, RecursionError):
        raise ArgumentInvalid("args", type(value).__name__, "values that JSON can hold, or bytes") from None
    if size > limit_bytes:
        raise TooLarge(limit_bytes)


def _bytes_as_text(value: object) -> str:
    if isinstance(value, bytes):
        return "x" * len(value)
    raise TypeError(type(value).__name__)
