"""Output as a file for people: without escape codes, and with a line where something is missing.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re

from livetask.position import Gap

_HELD_BYTES = 4096

# CSI; OSC, DCS and their kind up to their end; two-character escapes
_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ\\`-~])")
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)\Z")


class EscapesRemoved:
    """Takes the escape codes out of bytes that come in pieces; a code may be cut anywhere."""

    def __init__(self) -> None:
        self._held = b""

    def fed(self, data: bytes) -> bytes:
        """What of all bytes so far can be given now. An unfinished code is held, up to 4 KiB of it."""
        data = self._held + data
        unfinished = _UNFINISHED.search(data, max(0, len(data) - _HELD_BYTES))
        cut = unfinished.start() if unfinished is not None else len(data)
        self._held = data[cut:]
        return _ESCAPE.sub(b"", data[:cut])

    def rest(self) -> bytes:
        """What was held when the output ended: it has become no code."""
        rest, self._held = self._held, b""
        return rest


def gap_line(gap: Gap, begins_line: bool) -> bytes:
    """A line that says what is missing. ``begins_line``: whether what precedes it ended with a line's end."""
    size = f"{gap.size_bytes:,} bytes".replace(",", " ")
    lines = f"from line {gap.start.line} to line {gap.end.line}"
    return notice(f"{size} are missing here, {lines}: {gap.reason}", begins_line)


def notice(text: str, begins_line: bool) -> bytes:
    """A line of our own in a task's output."""
    return (b"" if begins_line else b"\n") + f"[livetask: {text}]\n".encode("ascii", "replace")
