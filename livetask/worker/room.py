"""Room on the disk under a spool: reserved before it is needed, given back when it is not.

A write to a full disk fails in whoever writes: print can swallow that, a child process of a task or C code cannot. So
some room beyond the end of each spool is reserved; within it a write succeeds on a full disk too. Where the system
or the file system cannot do this, nothing is reserved, and nothing else changes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import cast

RESERVED_BYTES = 256 * 1024
RUN_RESERVED_BYTES = 32 * 1024
"""For how a run ends, in the file that says what it is. The shipper reserves it, at its first look at the run: where
there is none, the end is told another way."""

_KEEP_SIZE = 1
_PUNCH_HOLE = 2


def reserve(fd: int, start: int, size: int) -> bool:
    """Reserve room for the bytes from ``start`` on, without changing the file's size; whether there was room."""
    return _fallocate()(fd, _KEEP_SIZE, start, size) == 0


def give_back(fd: int, start: int, size: int) -> bool:
    """Give the disk back what the range takes up, as far as whole blocks go; it reads as zeros from then on."""
    return _fallocate()(fd, _PUNCH_HOLE | _KEEP_SIZE, start, size) == 0


@cache
def _fallocate() -> Callable[[int, int, int, int], int]:
    try:
        function = ctypes.CDLL(None, use_errno=True).fallocate64
    except (OSError, AttributeError):
        return lambda fd, mode, start, size: -1
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return cast("Callable[[int, int, int, int], int]", function)
