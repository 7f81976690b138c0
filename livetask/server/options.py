"""How a task is to be sent, beside its arguments: to which queue, when, how urgently; checked field by field.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from livetask.errors import ArgumentInvalid

OPTIONS = ("queue", "countdown", "priority")

MOST_COUNTDOWN_S = 366 * 24 * 3600
MOST_PRIORITY = 255
"""RabbitMQ's; with Redis 0 to 9 make a difference, and 0 is the most urgent there."""

_QUEUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:@/+-]{0,199}")


def options_read(message: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that a message gives. Raises ArgumentInvalid. null counts as not given."""
    given = {name: message[name] for name in OPTIONS if message.get(name) is not None}
    queue, countdown, priority = (given.get(name) for name in OPTIONS)
    if queue is not None and not (isinstance(queue, str) and _QUEUE.fullmatch(queue)):
        raise ArgumentInvalid(
            "queue", queue, "the name of a queue, 1 to 200 of the characters A-Z a-z 0-9 . _ : @ / + -"
        )
    if countdown is not None and not _is_within(countdown, MOST_COUNTDOWN_S):
        raise ArgumentInvalid("countdown", countdown, f"seconds, 0 to {MOST_COUNTDOWN_S}")
    if priority is not None and not (_is_within(priority, MOST_PRIORITY) and isinstance(priority, int)):
        raise ArgumentInvalid("priority", priority, f"a whole number from 0 to {MOST_PRIORITY}")
    return given


def _is_within(value: object, most: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 <= value <= most
