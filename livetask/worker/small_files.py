"""Small files, which are written and read as a whole, and are mostly not there.

Knows files only; it must never know what is in them.
"""

from __future__ import annotations

import errno
import json
import os
import posix
from pathlib import Path
from typing import Any

_MOST_BYTES = 256 * 1024


def write_whole(path: str, data: bytes) -> None:
    """Write a file so that nobody ever sees a part of it."""
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_at_once(fd, data)
    finally:
        os.close(fd)
    Path(path + ".new").rename(path)


def write_at_once(fd: int, data: bytes) -> None:
    """Write all of it with one call; where the disk has room for a part only, OSError."""
    if os.write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def is_there(path: str) -> bool:
    """Whether there is such a file; where there mostly is none, this takes a fifth of what an exception does."""
    return posix.access(path, posix.F_OK)


def read_file(path: str, most_bytes: int = _MOST_BYTES) -> bytes:
    """What is in a small file. Raises OSError. A Path takes ten times as long."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, most_bytes)
    finally:
        os.close(fd)


def read_json(path: str) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no such file, as mostly, or it holds something else."""
    if not is_there(path):
        return None
    try:
        found = json.loads(read_file(path))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
