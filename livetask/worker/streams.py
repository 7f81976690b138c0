"""The text streams that stand for sys.stdout and sys.stderr while a task runs.

``SpoolText`` writes every piece of text to a descriptor at once, so that nothing is lost when the process is killed,
not even the begin of a line. ``Router`` hands what is written to the stream of the run that goes on in the present
context. Neither ever raises an OSError into the task: a full disk costs output, and the output says so. Those that a
signal handler raises meanwhile go to the task, though: a TimeoutError, which is one, is what alarms mostly raise.

A secret that lies whole in what is written at once is hidden before it is written (``mask``). One that comes in pieces
is found by the shipper, which reads what lies in the file.

Where there are threads, the write does not release the interpreter's lock (``ctypes.PyDLL``): print writes a line's
text and its end as two pieces, and where the lock is released in between, other threads get their pieces in. Measured
with four threads that print 20,000 lines each: 58,577 lines mixed with ``os.write``, 22 with this, 0 with a
line-buffered file; a print costs 2.8, 3.0 and 1.8 µs (tests/bench/print_cost.py).
"""

from __future__ import annotations

import _thread
import ctypes
import errno
import io
import os
import posix
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, TextIO, cast

from livetask.masking import LEAST_CHARACTERS, Mask
from livetask.worker.guard import is_for_task


def _whole_write() -> Callable[[int, bytes, int], int]:
    """A write(2) that keeps the interpreter's lock; where there is none, the ordinary one."""
    try:
        write = ctypes.PyDLL(None).write
    except (OSError, AttributeError):
        return lambda fd, data, size: posix.write(fd, data)
    # No argtypes: checking them takes as long as the rest of the call. A size beyond an int is a part of it here, and
    # what was not written goes the long way.
    return cast("Callable[[int, bytes, int], int]", write)


whole_write = _whole_write()

_other_threads: Callable[[], int] = getattr(_thread, "_count", lambda: 1)
"""How many threads of Python's there are besides the first; after a fork maybe some that are no more. Where there is
none, letting go of the interpreter's lock mixes nothing, and the ordinary write is quicker by 0.15 µs."""


class SpoolRaw(io.RawIOBase):
    """The bytes below a ``SpoolText``: what is written is in the file when ``write`` returns.

    ``fd``: where to; -1 once the run is over. ``lost_bytes``: how many could not be written. ``otherwise``: takes what
    is written after the run is over. ``mask``: hides secrets, None for nothing to hide.
    """

    def __init__(self, fd: int, otherwise: TextIO | None = None, mask: Mask | None = None) -> None:
        super().__init__()
        self.fd = fd
        self.mask = mask
        self.lost_bytes = 0
        self._said_lost = 0
        self._otherwise = otherwise

    def write(self, data: Any) -> int:
        """Write all of ``data``; returns its size whatever happened to it."""
        with memoryview(data) as view:
            content = view.tobytes()
        self.put(content)
        return len(content)

    def put(self, data: bytes) -> None:
        if self.mask is not None:
            data = self.mask.hidden_at_once(data)
        size = whole_write(self.fd, data, len(data)) if not self.lost_bytes else 0
        if size != len(data):
            self.put_rest(data, size)

    def put_rest(self, data: bytes, size: int) -> None:
        """Go on after a write that took ``size`` bytes of ``data``, -1 for an error."""
        if self.fd < 0:
            self._put_otherwise(data)
            return
        data = data[max(0, size) :]
        while data:
            try:
                if self.lost_bytes:
                    self._say_what_is_missing()
                data = data[posix.write(self.fd, data) :]
            except OSError as error:
                if is_for_task(error):
                    raise
                if error.errno == errno.EAGAIN:
                    os.set_blocking(self.fd, True)
                    continue
                self.lost_bytes += len(data)
                return

    def _say_what_is_missing(self) -> None:
        note = f"\n[livetask: {self.lost_bytes} bytes could not be written here]\n".encode()
        posix.write(self.fd, note)
        self._said_lost += self.lost_bytes
        self.lost_bytes = 0

    def _put_otherwise(self, data: bytes) -> None:
        if self._otherwise is not None:
            self._otherwise.write(data.decode("utf-8", "replace"))

    def take_lost(self) -> int:
        """How many bytes could not be written since this was asked last."""
        lost = self._said_lost + self.lost_bytes
        self._said_lost = self.lost_bytes = 0
        return lost

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self.fd < 0:
            raise OSError(errno.EBADF, "the run is over")
        return self.fd

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        """Do nothing: tasks that close their stdout go on printing to it."""

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    @property
    def raw(self) -> SpoolRaw:
        """What ``sys.stdout.buffer.raw`` expects."""
        return self


class SpoolText(io.TextIOWrapper):
    """Text on a ``SpoolRaw``, in UTF-8; what UTF-8 cannot hold is written as a backslash sequence."""

    def __init__(self, raw: SpoolRaw) -> None:
        super().__init__(cast("BinaryIO", raw), "utf-8", "backslashreplace", newline="\n", write_through=True)
        self._raw = raw
        self.take_lost = raw.take_lost
        # Of the object itself, not of its class: print finds it sooner, and it finds its own things sooner, by 0.2 µs.
        self.write = _written_to(raw)  # type: ignore[method-assign]

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def detach(self) -> BinaryIO:
        """What is below, for a task that puts a wrapper of its own around it; the next task finds this one whole."""
        return cast("BinaryIO", self._raw)

    def close(self) -> None:
        """Do nothing: tasks that close their stdout go on printing to it."""


def _written_to(raw: SpoolRaw) -> Callable[[str], int]:
    """The ``write`` of a text stream on ``raw``."""
    may_hold = raw.mask.may_hold if raw.mask is not None else None
    hidden = raw.mask.hidden if raw.mask is not None else bytes

    def write(text: str) -> int:
        try:
            data = text.encode()
        except UnicodeEncodeError:
            data = text.encode("utf-8", "backslashreplace")
        except AttributeError:
            raise TypeError(f"write() argument must be str, not {type(text).__name__}") from None
        if may_hold is not None and len(data) >= LEAST_CHARACTERS and may_hold(data):
            data = hidden(data)
        # A stream that has lost something goes the long way, to say so as soon as it can.
        if raw.lost_bytes:
            size = 0
        elif _other_threads():
            size = whole_write(raw.fd, data, len(data))
        else:
            try:
                size = posix.write(raw.fd, data)
            except OSError as error:
                if is_for_task(error):
                    raise
                size = -1
        if size != len(data):
            raw.put_rest(data, size)
        return len(text)

    return write


class Router(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr where several tasks run in one process.

    ``old``: where text goes that no run writes. ``current``: the stream of the run in whose context it is called, or
    None.
    """

    def __init__(self, old: TextIO, current: Callable[[], TextIO | None]) -> None:
        super().__init__()
        self.old = old
        self._current = current

    def _target(self) -> TextIO:
        return self._current() or self.old

    def write(self, text: str) -> int:
        return self._target().write(text)

    def writelines(self, lines: Iterable[Any]) -> None:
        self._target().writelines(lines)

    def flush(self) -> None:
        self._target().flush()

    def fileno(self) -> int:
        return self._target().fileno()

    def isatty(self) -> bool:
        return self._target().isatty()

    def close(self) -> None:
        """Do nothing: other tasks print to it."""

    @property
    def buffer(self) -> BinaryIO:
        return self._target().buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has attributes where io has properties
        return self._target().encoding or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._target().errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target(), name)
