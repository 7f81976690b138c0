"""The arguments of a task as text that is kept, so that it can be called with them again.

A repr is for people; to run a task again takes the values themselves. They are kept as JSON, when JSON gives back the
very same values and the text is short.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

KEPT_BYTES = 8 * 1024
"""The most that is kept of one task's arguments."""

_DEEPEST = 32
_encoded = json.JSONEncoder(separators=(",", ":")).encode
_NO_ARGUMENTS = _encoded({"args": [], "kwargs": {}})


def kept_call(args: object, kwargs: object, limit_bytes: int = KEPT_BYTES) -> dict[str, str]:
    """The fields of a task hash that keep its arguments: ``call``, or ``call_not`` with the reason why not.

    The reason is 'too_large' or 'not_json'. Large arguments are not looked at to their end.
    """
    if not isinstance(args, (list, tuple)) or type(kwargs) is not dict:
        return {"call_not": "not_json"}
    if not args and not kwargs:
        return {"call": _NO_ARGUMENTS}
    left = _counted([args, kwargs], limit_bytes, 0)
    if left is None:
        return {"call_not": "not_json"}
    text = _encoded({"args": args, "kwargs": kwargs}) if left >= 0 else ""
    return {"call": text} if 0 < len(text) <= limit_bytes else {"call_not": "too_large"}


def call_parsed(text: str) -> tuple[list[Any], dict[str, Any]]:
    """(args, kwargs) out of what ``kept_call`` kept; ValueError if it is something else."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("no arguments")
    args, kwargs = found.get("args"), found.get("kwargs")
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ValueError("no arguments")
    return args, kwargs


def _counted(value: object, left: int, depth: int) -> int | None:
    """How many bytes are left when the value's JSON has at least taken its own; None if it would come back changed."""
    if value is None or isinstance(value, bool):
        return left - 4
    if type(value) is int:
        return left - value.bit_length() // 4
    if type(value) is float:
        return left - 1 if value - value == 0 else None  # neither infinite nor no number at all
    if type(value) is str:
        return left - len(value) if len(value) > left or _is_text(value) else None
    if depth > _DEEPEST:
        return None
    if type(value) is dict:
        if not all(type(key) is str for key in value):
            return None
        return _all_counted([*value, *value.values()], left, depth) if len(value) <= left else -1
    if type(value) in (list, tuple):
        return _all_counted(value, left, depth) if len(value) <= left else -1  # type: ignore[arg-type]
    return None


def _all_counted(values: Sequence[object], left: int, depth: int) -> int | None:
    for value in values:
        counted = _counted(value, left - 1, depth + 1)
        if counted is None or counted < 0:
            return counted
        left = counted
    return left


def _is_text(value: str) -> bool:
    """Whether UTF-8 can hold it: half of a surrogate pair would not travel."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
