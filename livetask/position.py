"""Where a byte stands: positions, cursors, entries and gaps, as plain values.

A position is (line, byte): the number of the line that holds a byte, from 1, and the number of bytes before it in its
run, from 0. Position is assigned by the run's single writer, so what stands at a position never changes, and continuity
is arithmetic: an entry ends where the next one begins, or something is missing and both ends of it are known.

The ID of a stream entry is the position of its first byte, ``<line>-<byte>``. A later entry has a larger byte and no
smaller line, so IDs grow, and both 'the entry that holds byte B of line L' and 'line L' are one range query.

Pure: no I/O, no clock, nothing of Redis or Celery.
"""

from __future__ import annotations

import re
from dataclasses import InitVar, dataclass, field

from livetask.colours import parameters_after
from livetask.errors import CursorInvalid, EventCursorInvalid

_POSITION = re.compile(r"([1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})")
_POSITION_BYTES = re.compile(_POSITION.pattern.encode())
_CURSOR = re.compile(r"([1-9][0-9]{0,8})\.([a-z0-9]{8,32})\.([0-9]+-[0-9]+)")
_PADDED = re.compile(r"0*([0-9]+)-0*([0-9]+)")
_DIGITS = 16
_EVENT_CURSOR = re.compile(r"([1-9][0-9]{0,8})\.([a-z0-9]{8,32})\.(0|[1-9][0-9]{0,8})")

REASONS = ("trimmed", "dropped", "lost", "skipped", "deleted")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The place of one byte in a run. ``line``: from 1. ``byte``: from 0.

    The end of a run's output is the position of the byte that would come next.
    """

    line: int
    byte: int

    def __post_init__(self) -> None:
        if self.line < 1 or self.byte < 0:
            raise CursorInvalid(f"{self.line}-{self.byte}")

    def __str__(self) -> str:
        return f"{self.line}-{self.byte}"

    @classmethod
    def parse(cls, text: str | bytes) -> Position:
        """Read ``<line>-<byte>``; raises CursorInvalid."""
        match = _POSITION_BYTES.fullmatch(text) if isinstance(text, bytes) else _POSITION.fullmatch(text)
        if match is None:
            raise CursorInvalid(text.decode("ascii", "replace") if isinstance(text, bytes) else text)
        line, byte = match.groups()
        return cls(int(line), int(byte))

    def after(self, data: bytes) -> Position:
        """The position of the byte that follows ``data``, when ``data`` begins here."""
        return Position(self.line + data.count(b"\n"), self.byte + len(data))


START = Position(1, 0)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a viewer has got: the next byte it wants. ``run``: the run's ordinal, from 1. ``nonce``: its name."""

    run: int
    nonce: str
    position: Position

    def __str__(self) -> str:
        return f"{self.run}.{self.nonce}.{self.position}"

    @classmethod
    def parse(cls, text: object) -> Cursor:
        """Read ``<run>.<nonce>.<line>-<byte>``; raises CursorInvalid."""
        match = _CURSOR.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise CursorInvalid(text)
        padded = _PADDED.fullmatch(match[3]) if len(match[3]) == 2 * _DIGITS + 1 else None
        return cls(int(match[1]), match[2], Position.parse(f"{padded[1]}-{padded[2]}" if padded else match[3]))

    @property
    def offset(self) -> str:
        """The same with leading zeros, so that the offsets of one run are ordered as texts too; ``parse`` reads it."""
        line, byte = self.position.line, self.position.byte
        return f"{self.run}.{self.nonce}.{line:0{_DIGITS}}-{byte:0{_DIGITS}}"


@dataclass(frozen=True, slots=True)
class EventCursor:
    """How many of a run's events a viewer has got. ``seq``: the number of the last one, from 1; 0 before the first."""

    run: int
    nonce: str
    seq: int

    def __str__(self) -> str:
        return f"{self.run}.{self.nonce}.{self.seq}"

    @classmethod
    def parse(cls, text: object) -> EventCursor:
        """Read ``<run>.<nonce>.<seq>``; raises EventCursorInvalid."""
        match = _EVENT_CURSOR.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise EventCursorInvalid(text)
        return cls(int(match[1]), match[2], int(match[3]))


@dataclass(frozen=True, slots=True)
class Gap:
    """An exact range that cannot be delivered. ``reason``: one of REASONS."""

    start: Position
    end: Position
    reason: str

    @property
    def size_bytes(self) -> int:
        return self.end.byte - self.start.byte

    @property
    def lines(self) -> int:
        """How many line ends lie within the gap."""
        return self.end.line - self.start.line


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream entry: a chunk of the run's output.

    ``start``: the position of its first byte. ``data``: the bytes as the task wrote them. ``at_ms``: when they were
    read from the spool, wall clock, 0 if unknown. ``sgr``: the terminal colours in force at its first byte, as the
    parameters of one SGR sequence, b"" for none. ``stderr``: which of its lines are known to be stderr's, as ranges,
    first and last, in order. ``end``: the position after its last byte; ``known_end``: the same, if it need not be
    counted.
    """

    start: Position
    data: bytes
    at_ms: int = 0
    sgr: bytes = b""
    stderr: tuple[tuple[int, int], ...] = ()
    end: Position = field(init=False, compare=False)
    known_end: InitVar[Position | None] = None

    def __post_init__(self, known_end: Position | None) -> None:
        # Counted once: a replay of a long log asks for it several times of each entry.
        object.__setattr__(self, "end", known_end or self.start.after(self.data))

    def since(self, position: Position) -> Entry:
        """The part of the entry from ``position`` on, which must lie within it."""
        skip = position.byte - self.start.byte
        if not 0 <= skip <= len(self.data):
            raise ValueError(f"{position} is not within the entry at {self.start}")
        if skip == 0:
            return self
        return Entry(position, self.data[skip:], self.at_ms, parameters_after(self.sgr, self.data[:skip]), self.stderr)
