"""A journal: what a run printed, known without asking livetask.

Line i says i, the token of its run and a hash of both, so that any piece of any run can be told from any other. While a
run prints, it counts its finished lines in a small shared file, its witness, which outlives every kill. The checker
makes the lines again from the token.
"""

from __future__ import annotations

import hashlib
import mmap
import re
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_WITNESS = struct.Struct("<QQQQ")
_FILLER = "".join(chr(33 + number * 7919 % 90) for number in range(70_000)) + "\n"
LINE = re.compile(rb"^(\d{8}) ([0-9a-f]{8}) ([0-9a-f]{16}) ", re.MULTILINE)


def line(token: str, number: int, pad: int = 0) -> str:
    """Line ``number``, from 1, of the run ``token``; ``pad``: how many characters more than it needs, to 60,000."""
    proof = hashlib.blake2b(f"{token}{number}".encode(), digest_size=8).hexdigest()
    begin = number % 7919
    filler = _FILLER[begin : begin + pad + number % 40]
    return f"{number:08} {token} {proof} {'żółw漢字🐍ab'[: number % 10]}{filler}\n"


@dataclass
class Journal:
    """What one run printed. ``lines``: so many at least. ``is_complete``: and no more than these.

    ``last_s``: when it wrote last, by the monotonic clock of this machine, which all its processes share.
    """

    token: str
    lines: int
    is_complete: bool
    pad: int = 0
    last_s: float = 0.0
    _text: bytearray = field(default_factory=bytearray)
    _ends: list[int] = field(default_factory=lambda: [0])

    def text(self, until_byte: int) -> bytes:
        """Its text from the start, at least up to that byte, or to one line beyond the last that was counted."""
        while len(self._text) < until_byte and self._more():
            pass
        return bytes(self._text[:until_byte])

    def size_of(self, lines: int) -> int:
        """How many bytes its first lines have."""
        while len(self._ends) <= lines:
            self._grow()
        return self._ends[lines]

    def line_at(self, byte: int) -> int:
        """The number of the line in which that byte of what was made of it stands."""
        return bisect_right(self._ends, byte)

    def lines_of(self, first: int, count: int) -> Iterator[str]:
        """Lines without their ends."""
        for number in range(first, first + count):
            yield line(self.token, number, self.pad)[:-1]

    def _more(self) -> bool:
        if len(self._ends) > self.lines + (not self.is_complete):
            return False
        self._grow()
        return True

    def _grow(self) -> None:
        self._text += line(self.token, len(self._ends), self.pad).encode()
        self._ends.append(len(self._text))


class Witness:
    """Counts the lines of one run, from within it. ``directory``: of the journals of one task; made if missing."""

    def __init__(self, directory: Path, token: str, pad: int = 0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / token).open("w+b") as file:
            file.truncate(_WITNESS.size)
            self._memory = mmap.mmap(file.fileno(), _WITNESS.size)
        self._pad = pad
        self.count(0)

    def count(self, lines: int, is_complete: bool = False) -> None:
        """So many lines are printed."""
        _WITNESS.pack_into(self._memory, 0, lines, is_complete, self._pad, time.monotonic_ns())


def journals_in(directory: Path) -> dict[str, Journal]:
    """The journals of one task's runs, by token."""
    found = {}
    for file in sorted(directory.glob("*")):
        lines, is_complete, pad, last_ns = _WITNESS.unpack(file.read_bytes().ljust(_WITNESS.size, b"\0"))
        found[file.name] = Journal(file.name, lines, bool(is_complete), pad, last_ns / 1e9)
    return found
