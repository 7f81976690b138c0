"""What a viewer was given, in the order in which it came; kept as it was, judged by ``checker``."""

from __future__ import annotations

from dataclasses import dataclass, field

from livetask.position import Cursor, Position


@dataclass(frozen=True, slots=True)
class Given:
    """A piece of output. ``skipped``: how many bytes before it were left out on purpose, for a screen."""

    start: Position
    cursor: Cursor
    data: bytes
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines read by their numbers, without their ends."""

    run: int
    first: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hole:
    """A gap that was announced. ``cursor``: stands after it."""

    start: Position
    cursor: Cursor
    reason: str


@dataclass(frozen=True, slots=True)
class Back:
    """What was given of that run is not valid any more. ``cursor``: where it goes on, None if not known."""

    run: int
    cursor: Cursor | None
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """A run's end. ``crc``: as it was told, '' if it was not."""

    cursor: Cursor
    how: str
    crc: str


@dataclass(frozen=True, slots=True)
class Again:
    """The viewer came back over a new connection, or was told that a run goes on again, as after a flush.

    An end that it was told before may be told once more."""


Item = Given | Lines | Hole | Back | End | Again


@dataclass
class Record:
    """``name``: of the viewer. ``is_screen``: output may be left out where that is said; lines are read instead."""

    name: str
    is_screen: bool = False
    items: list[Item] = field(default_factory=list)

    def add(self, item: Item) -> None:
        self.items.append(item)

    @property
    def size_bytes(self) -> int:
        """How much output it holds."""
        return sum(len(item.data) for item in self.items if isinstance(item, Given))

    @property
    def holes(self) -> list[Hole]:
        return [item for item in self.items if isinstance(item, Hole)]

    @property
    def backs(self) -> list[Back]:
        return [item for item in self.items if isinstance(item, Back)]

    @property
    def ends(self) -> list[End]:
        return [item for item in self.items if isinstance(item, End)]
