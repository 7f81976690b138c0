"""Reading a run's bytes once: how many lines, what CRC-32, which colours are in force, where to cut.

However the bytes are split when they are fed, the scan is the same; tests prove that. It must never know where the
bytes come from or where they go: no I/O, no clock.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from livetask.colours import after
from livetask.position import START, Position

_UNFINISHED_BYTES = 64
"""An escape sequence longer than this is taken for text; the ones that set colours have at most about 40 bytes."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What is known of a run's output up to one place in it.

    ``at``: the position of the byte that comes next. ``crc``: the CRC-32 of all bytes before it. ``sgr``: the colours
    in force there, as (what, parameters) in the order in which they were set. ``unfinished``: the begin of an escape
    sequence that the next bytes may complete.
    """

    at: Position = START
    crc: int = 0
    sgr: tuple[tuple[str, str], ...] = ()
    unfinished: bytes = b""

    def fed(self, data: bytes) -> Scan:
        """The scan after ``data``, which begins at ``at``."""
        sgr, unfinished = self.sgr, b""
        if self.unfinished or b"\x1b" in data:
            text = self.unfinished + data
            sgr = after(sgr, text)
            unfinished = _unfinished_escape(text)
        return Scan(self.at.after(data), zlib.crc32(data, self.crc), sgr, unfinished)

    @property
    def sgr_parameters(self) -> bytes:
        """The colours in force as the parameters of one SGR sequence, b"" for none."""
        return ";".join(parameters for _, parameters in self.sgr).encode("ascii") if self.sgr else b""


def cut(data: bytes, most_bytes: int, start: int = 0) -> int:
    """Before which byte of ``data`` the entry ends that begins at ``start``: at most ``most_bytes`` of them, at least
    one if there are any.

    What is longer is cut after its last line end; where there is none, not in the middle of a UTF-8 character or of an
    escape sequence, if the place before it is near.
    """
    most = start + most_bytes
    if len(data) <= most:
        return len(data)
    newline = data.rfind(b"\n", start, most)
    if newline >= 0:
        return newline + 1
    escape = _unfinished_escape(data[start:most])
    end = most - len(escape) if escape else _before_character(data, start, most)
    return end if end > start else most


def _before_character(data: bytes, start: int, end: int) -> int:
    """``end``, or up to 3 bytes before it but not before ``start``, so that no UTF-8 character is cut there."""
    first = end
    while first > max(start, end - 3) and data[first] & 0xC0 == 0x80:
        first -= 1
    return first if data[first] & 0xC0 == 0xC0 else end


def _unfinished_escape(text: bytes) -> bytes:
    """The begin of a CSI sequence at the end of ``text``, b"" if there is none."""
    tail = text[-_UNFINISHED_BYTES:]
    start = tail.rfind(b"\x1b")
    if start < 0:
        return b""
    rest = tail[start + 1 :]
    if not rest:
        return tail[start:]
    if rest[:1] == b"[" and all(0x20 <= byte < 0x40 for byte in rest[1:]):
        return tail[start:]
    return b""
