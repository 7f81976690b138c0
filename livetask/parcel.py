"""Values on their way through Redis: JSON that also carries bytes, and takes whatever a task returns.

A result can be anything Python has. What JSON cannot hold becomes what comes nearest: a tuple a list, a set a list, a
number that is no number null, any other object its repr, and so does an integer of a hundred digits. Bytes come out as
bytes: they travel as an object with the one key ``$bytes``; an object that looks like one of these travels as pairs,
under ``$plain``.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

_BYTES, _PLAIN = "$bytes", "$plain"
_DEPTH = 100
_REPR_CHARACTERS = 1000

MOST_DIGITS = 96
"""Of an integer: python-socketio's clients can read no message that has one of more than a hundred."""

_MOST_BITS = 318


def packed(value: object) -> str:
    """The value as text. Never raises: what cannot be packed becomes its repr, or its type's name."""
    return json.dumps(_plain(value, 0), ensure_ascii=True, separators=(",", ":"))


def unpacked(text: str | bytes) -> Any:
    """What ``packed`` was given, as near as JSON comes to it. Raises ValueError if the text is something else."""
    return json.loads(text, object_hook=_opened)


def _opened(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        if isinstance(found.get(_BYTES), str):
            return base64.b64decode(found[_BYTES])
        if isinstance(found.get(_PLAIN), list):
            return dict(found[_PLAIN])
    return found


def _plain(value: object, depth: int) -> Any:
    if depth > _DEPTH:
        return _shown(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return _shown(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {_BYTES: base64.b64encode(bytes(value)).decode("ascii")}
    if isinstance(value, Mapping):
        found = {str(key): _plain(held, depth + 1) for key, held in value.items()}
        if len(found) == 1 and next(iter(found)) in (_BYTES, _PLAIN):
            return {_PLAIN: [list(pair) for pair in found.items()]}
        return found
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(held, depth + 1) for held in value]
    return _shown(value)


def _shown(value: object) -> str:
    try:
        return repr(value)[:_REPR_CHARACTERS]
    except Exception:
        return f"<{type(value).__name__}>"
