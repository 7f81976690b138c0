"""Escape codes taken out of output, or out of it all but what a terminal may safely be given.

Output is hostile text: it could rename the window, write to the clipboard or move the cursor over what stands there.
A terminal gets colours (SGR), 'erase the line' and nothing else; a file gets no escape codes. Codes are found however
the pieces are cut.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re

HELD_BYTES = 4096
"""A code that is not finished after so many bytes is none."""

_CODE = re.compile(
    rb"""
    \x1b (?:
        \[ [0-?]* [ -/]* [@-~]                              # CSI: colours, cursor, erasing
      | [\]PX^_] [^\x07\x1b]* (?: \x07 | \x1b\\ )           # OSC, DCS, SOS, PM, APC: a text up to its end
      | [ -/]+ [0-~]                                        # character sets
      | [0-OQ-WYZ\\`-~]                                     # single commands
    )?                                                      # or an ESC alone
    """,
    re.VERBOSE,
)
_UNFINISHED = re.compile(rb"(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)|\xc2)\Z")
_SAFE = re.compile(rb"\x1b\[[0-9;:]*m|\x1b\[[0-2]?K")
_CONTROLS = re.compile(rb"[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\xc2[\x80-\x9f]")


class Escapes:
    """Takes escape codes out of one run's output.

    ``terminal``: keep what is safe there, and take out other control characters; False: take out all codes, nothing
    else.
    """

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._held = b""

    @property
    def held(self) -> bytes:
        """What was taken and not given yet."""
        return self._held

    def take(self, data: bytes) -> bytes:
        """The next piece without them; what could be the beginning of a code is held until the next."""
        data = self._held + data
        unfinished = _UNFINISHED.search(data)
        at = unfinished.start() if unfinished and len(data) - unfinished.start() <= HELD_BYTES else len(data)
        self._held = data[at:]
        return self._without(data[:at])

    def end(self) -> bytes:
        """What was held, at the end of the run."""
        held, self._held = self._held, b""
        return self._without(held)

    def _without(self, data: bytes) -> bytes:
        if not self._terminal:
            return _CODE.sub(b"", data)
        return _CONTROLS.sub(b"", _CODE.sub(lambda found: found[0] if _SAFE.fullmatch(found[0]) else b"", data))


def printable(text: object) -> str:
    """A text on one line, with nothing in it that a terminal would obey."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in str(text))
