"""What is measured and in which order. What matters most comes first, so that a run that is cut short has it.

A stage is gone through in rounds: all its arms once, then all of them again, so that a change of the machine's mood
meets every way alike. Only when a stage has all its rounds does the next begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench.crowds import TRIALS
from tests.bench.fanout import Cell
from tests.bench.ways import WAYS, Way

MOST = ((100, 10_000.0), (1_000, 1_000.0))
"""The loads (viewers, lines a second) that the goals are about."""
OTHERS = (
    (1, 1_000.0), (100, 1_000.0), (1_000, 10.0), (10, 10_000.0), (1, 100_000.0), (10, 100_000.0), (1, 1.0),
    (100, 100.0), (1_000, 100.0),
)  # fmt: skip
"""Of the rest of the grid, those that say something else than their neighbours; from the more to the less telling."""
MOST_FOR_LINES = 10_000
"""Above so many lines a second the ways that bring a line at a time only show how they fall behind."""
BACKLOG_BYTES = 100_000_000
LINE_BACKLOG_BYTES = 4_000_000
"""For a way that replays a line at a time: at a megabyte or two a second more of it only takes longer."""
CROWD = 1_000
IDLE_CROWDS = (5_000, 10_000)
RAW = "raw"
"""What a replay is measured by; see ``raw_read``."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing that is measured once in a round.

    ``what``: append, fanout, replay, storm or idle. ``ways``: by name; one, but all at once for idle. ``cell``: the
    load of a fan-out. ``size``: lines of an append, bytes of a replay, viewers of a storm or of an idle crowd.
    """

    what: str
    ways: tuple[str, ...]
    cell: Cell | None = None
    size: int = 0

    def __str__(self) -> str:
        if self.cell is not None:
            kind = f"{self.cell.viewers} × {self.cell.rate:,.0f}/s"
        elif self.what == "replay":
            kind = f"replay of {self.size / 1e6:g} MB"
        else:
            kind = f"{self.what} of {self.size:,}"
        return f"{kind}: {', '.join(self.ways)}"


@dataclass(frozen=True, slots=True)
class Stage:
    """Arms that take turns, ``rounds`` times."""

    arms: tuple[Arm, ...]
    rounds: int


def fanout(cells: Iterable[Cell], ways: Sequence[Way] = WAYS) -> tuple[Arm, ...]:
    """Each load by each way, but for lines one by one where too many would come."""
    return tuple(
        Arm("fanout", (one.name,), cell) for cell in cells for one in ways if one.chunked or cell.rate <= MOST_FOR_LINES
    )


def replay(size: int, ways: Sequence[Way] = WAYS) -> tuple[Arm, ...]:
    """Each way that keeps what was printed, and the bare socket that reads for nobody."""
    arms = [
        Arm("replay", (one.name,), size=size if one.chunked else min(size, LINE_BACKLOG_BYTES))
        for one in ways
        if one.keeps
    ]
    return (*arms, Arm("replay", (RAW,), size=size))


def append(lines: int, ways: Sequence[Way] = WAYS) -> tuple[Arm, ...]:
    """Each way whose writer is not another's."""
    return tuple(Arm("append", (one.name,), size=lines) for one in ways if one.append_title)


def storm(viewers: int, ways: Sequence[str]) -> tuple[Arm, ...]:
    """These ways, and what they are measured by."""
    return tuple(Arm("storm", (name,), size=viewers) for name in (*ways, *TRIALS))


def idle(sizes: Iterable[int], ways: Sequence[str]) -> tuple[Arm, ...]:
    """Crowds of all these ways, which stand there at the same time."""
    return tuple(Arm("idle", tuple(ways), size=size) for size in sizes)
