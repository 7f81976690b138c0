"""What Python writes to stderr, told apart from the rest of a run's output.

Both streams go to one spool, since only one file has an exact order. Beside it lies ``<nonce>.err``: pairs (start,
length) of what Python's own sys.stderr wrote. A pair is noted before its text is written, so that whoever reads the
text finds it. Where another thread or process writes to the spool between the two, a pair may stand at what that one
wrote (about one of 5,000 lines, of four threads that do nothing but print); what C code and children write to
descriptor 2 is not told apart. It is a hint for the eye and changes no byte.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TextIO, cast

from livetask.masking import Mask
from livetask.turns import Lines, turned
from livetask.worker.guard import guarded
from livetask.worker.spool import RunPaths
from livetask.worker.streams import SpoolRaw, SpoolText, whole_write

_PAIR = struct.Struct("<qq")
_READ_BYTES = 64 * 1024

NOTES_MOST = 256 * 1024
"""How many pieces of one run are told apart: their notes take 4 MiB of disk at most."""


def _whole_seek() -> Callable[[int, int, int], int]:
    """An lseek(2) that keeps the interpreter's lock, so that hardly ever another thread writes before what follows."""
    try:
        seek = ctypes.PyDLL(None).lseek
    except (OSError, AttributeError):
        return lambda fd, offset, whence: -1  # nothing is told apart then
    seek.argtypes = (ctypes.c_int, ctypes.c_longlong, ctypes.c_int)
    seek.restype = ctypes.c_longlong
    return cast("Callable[[int, int, int], int]", seek)


_seek = _whole_seek()


class ErrNotes:
    """Notes where a run's output is stderr's. Opens its file when first needed; never raises an OSError."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._fd = -1
        self._left = NOTES_MOST

    @guarded("what stderr wrote could not be noted")
    def note(self, out_fd: int, size: int) -> None:
        """That ``size`` bytes are about to be appended to the file of ``out_fd``."""
        if self._left <= 0:
            return
        self._left -= 1
        if self._fd < 0 and not self._open():
            return
        start = _seek(out_fd, 0, os.SEEK_END)
        if start >= 0:
            whole_write(self._fd, _PAIR.pack(start, size), _PAIR.size)

    def _open(self) -> bool:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        with suppress(OSError):
            self._fd = os.open(self._paths.of("err"), flags, 0o600)
            return True
        self._left = 0
        return False

    def close(self) -> None:
        self._left = 0
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ErrRaw(SpoolRaw):
    """The bytes below an ``ErrText``. ``notes``: of the run that is written to, None for no run."""

    def __init__(
        self, fd: int, otherwise: TextIO | None = None, notes: ErrNotes | None = None, mask: Mask | None = None
    ) -> None:
        super().__init__(fd, otherwise, mask)
        self.notes = notes

    def put(self, data: bytes) -> None:
        if self.notes is not None:
            self.notes.note(self.fd, len(data))
        super().put(data)


class ErrText(SpoolText):
    """The sys.stderr of a task: notes what it writes, but a line's bare end, which is on a line that is noted."""

    def __init__(self, raw: ErrRaw) -> None:
        super().__init__(raw)
        put = self.write

        def write(text: str) -> int:
            notes = raw.notes
            if notes is not None and text != "\n" and isinstance(text, str):
                notes.note(raw.fd, len(text) if text.isascii() else len(text.encode("utf-8", "backslashreplace")))
            return put(text)

        self.write = write  # type: ignore[method-assign]  # see SpoolText


class ErrPlaces:
    """Reads the notes of a run."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._fd = -1

    def look(self) -> None:
        """See whether there are any by now."""
        if self._fd < 0:
            with suppress(OSError):
                self._fd = os.open(self._paths.of("err"), os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def turns(self, start: int, data: bytes) -> bytes:
        """Which lines of ``data``, which begins at the byte ``start`` of the run, hold something of stderr's."""
        if self._fd < 0:
            return b""
        return turned(_lines(data, self._within(start, start + len(data)), start))

    def _within(self, start: int, end: int) -> Iterator[Lines]:
        """The noted ranges of bytes that touch this one, first and last, in the order in which they were noted."""
        notes = os.pread(self._fd, _READ_BYTES, self._first_after(start) * _PAIR.size)
        for at, size in _PAIR.iter_unpack(notes[: len(notes) // _PAIR.size * _PAIR.size]):
            if at >= end:
                return
            if size > 0 and at + size > start:
                yield max(at, start), min(at + size, end) - 1

    def _first_after(self, byte: int) -> int:
        """The number of the first note of a range that ends after the byte. They were noted as the output grew."""
        low, high = 0, os.fstat(self._fd).st_size // _PAIR.size
        while low < high:
            middle = (low + high) // 2
            at, size = _PAIR.unpack(os.pread(self._fd, _PAIR.size, middle * _PAIR.size))
            low, high = (middle + 1, high) if at + size <= byte else (low, middle)
        return low


def _lines(data: bytes, places: Iterator[Lines], start: int) -> Iterator[Lines]:
    """The lines, from 0, that hold these bytes; in order and apart."""
    line = seen = 0
    held: Lines | None = None
    for first, last in places:
        if first - start < seen:
            continue  # two processes have noted at once
        line += data.count(b"\n", seen, first - start)
        begin = line
        line += data.count(b"\n", first - start, last - start)
        seen = last - start
        if held is not None and begin <= held[1] + 1:
            held = (held[0], line)
            continue
        if held is not None:
            yield held
        held = (begin, line)
    if held is not None:
        yield held
