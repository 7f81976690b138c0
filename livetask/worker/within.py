"""The mark in the environment of what a run starts by itself, by which it is found when the run is terminated.

The C library keeps every value that a variable was ever set to (glibc's setenv: 79 bytes, for ever), and a process of
a worker has one for each of a million runs. So the variable is a piece of memory of our own, which is made part of the
environment, and whose text changes there as putenv allows (POSIX.1-2017, putenv). That is quicker, too.

It must never know what a run is.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

WITHIN = "_LIVETASK_WITHIN"

_MOST_BYTES = 100
_name = WITHIN.encode()


def mark_within(nonce: str | None) -> None:
    """What this process starts from now on is within that run; None: within none."""
    if _put is None:
        if nonce is None:
            os.environ.pop(WITHIN, None)
        else:
            os.environ[WITHIN] = nonce
        return
    value = b"" if nonce is None else nonce.encode()
    _memory.value = b"%b=%b" % (_name, value)
    _put(_memory)  # again each time: the task before may have put another environment in the place of this one
    if nonce is None:
        _known.pop(_name, None)
    else:
        _known[_name] = value


_memory = ctypes.create_string_buffer(_MOST_BYTES)
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_memory))  # C code may look at the environment when Python is over
_known: dict[bytes, bytes] = getattr(os.environ, "_data", {})
"""What os.environ says there is; only it can be told of a variable without setting that."""


def _putenv() -> Callable[[ctypes.Array[ctypes.c_char]], int] | None:
    """The C library's function, None where it or the mapping's memory is not what it was."""
    if os.environ.get("PATH", "") != _known.get(b"PATH", b"").decode("utf-8", "surrogateescape"):
        return None
    try:
        return ctypes.PyDLL(None).putenv
    except (OSError, AttributeError):
        return None


_put = _putenv()
