"""The line that is measured: 100 bytes that carry a mark, when they were printed, when appended, and a number.

The mark occurs once a line and nowhere else in what servers send, so that counting lines is counting marks, whatever
is wrapped around them and wherever a read happens to cut. The clock is CLOCK_MONOTONIC, one for all processes.
"""

from __future__ import annotations

import re
import time

SIZE_BYTES = 100
MARK = b"@"
STAMPS = re.compile(rb"@([0-9]{15})/([0-9]{15})")
"""(printed, appended) of each whole line in some bytes, in microseconds."""

_HEAD = b"@%015d/%015d %09d "
_FILLER = b"the quick brown fox jumps over the lazy dog and runs on "[: SIZE_BYTES - 44] + b"\n"


def now_us() -> int:
    """The time in microseconds, comparable between processes."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def line(number: int, printed_us: int, appended_us: int) -> bytes:
    """One line of SIZE_BYTES, line end included."""
    text = _HEAD % (printed_us, appended_us, number) + _FILLER
    return text[: SIZE_BYTES - 1] + b"\n"
