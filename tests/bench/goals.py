"""The goals that a run of the benchmark can judge, with what it found.

A goal that compares two ways takes each round's ratio of them, since only what was measured by turns stands side by
side; the figure is the median of these, with the least and the most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from tests.bench import table
from tests.bench.crowds import Idle, Storm
from tests.bench.fanout import Cell, Shown
from tests.bench.kept import Found, Kept, Note
from tests.bench.plan import MOST, RAW
from tests.bench.raw_read import RawRead
from tests.bench.replay import Replayed

Kind = TypeVar("Kind", Shown, Replayed, Storm, Idle)


@dataclass(frozen=True, slots=True)
class Goal:
    """``found``: what each round says of it. ``bound``: the least it may be, or the most if ``at_most``."""

    what: str
    bound: float
    unit: str
    found: Sequence[float]
    at_most: bool = True

    def row(self) -> list[str]:
        """What is to be, what is, and whether that is enough."""
        bound = f"{'at most' if self.at_most else 'at least'} {self.bound:,g}{self.unit}"
        if not self.found:
            return [self.what, bound, "not measured", "?"]
        middle, least, most = median(self.found), min(self.found), max(self.found)
        shown = table.fine(middle) + self.unit
        if least != most:
            shown += f" ({table.fine(least)} to {table.fine(most)})"
        met = middle <= self.bound if self.at_most else middle >= self.bound
        return [self.what, bound, shown, "yes" if met else "**no**"]


def goals(kept: Kept) -> str:
    """A table of all that were to be measured; '' if none was."""
    planned = {arm.what for arm in kept.planned}
    parts = {"fanout": _fanout, "storm": _storm, "replay": _replay, "idle": _idle}
    found = [goal for what, part in parts.items() if what in planned for goal in part(kept)]
    if not found:
        return ""
    return table.table(["goal", "bound", "median of the rounds (least to most)", "met"], [goal.row() for goal in found])


def _fanout(kept: Kept) -> list[Goal]:
    rows: list[Goal] = []
    cells = {arm.cell: None for arm in kept.planned if arm.cell and (arm.cell.viewers, arm.cell.rate) in MOST}
    for cell in cells:
        own = kept.of("fanout", "livetask", cell)

        def ratio(name: str, own: Sequence[Note] = own, cell: Cell = cell) -> list[float]:
            return _ratios(own, kept.of("fanout", name, cell), _line_us)

        at = table.named(cell)
        rows += [
            Goal(f"{at}: delivered", 100, " %", _values(own, Shown, lambda one: one.delivered * 100), at_most=False),
            Goal(f"{at}: CPU a line, of the C floor's", 2, " ×", ratio("floor-c")),
            Goal(f"{at}: CPU a line, of Node's `ws`", 1, " ×", ratio("ws")),
            Goal(f"{at}: tutorial's CPU a line, of livetask's", 100, " ×", _inverse(ratio("tutorial")), at_most=False),
            Goal(
                f"{at}: Stirfried's CPU a line, of livetask's", 100, " ×", _inverse(ratio("stirfried")), at_most=False
            ),
            Goal(f"{at}: p99 from append to viewer", 20, " ms", _values(own, Shown, lambda one: one.p99_ms or 0.0)),
        ]
    return rows


def _storm(kept: Kept) -> list[Goal]:
    own, trial = kept.of("storm", "livetask"), kept.of("storm", "cached")
    return [
        Goal("storm: delivered", 100, " %", _values(own, Storm, lambda one: one.delivered * 100), at_most=False),
        Goal("storm: time, of a trial with ready frames", 1.5, " ×", _ratios(own, trial, _seconds)),
        Goal("storm: memory beyond that before", 60, " MB", _values(own, Storm, lambda one: one.more_mb)),
    ]


def _replay(kept: Kept) -> list[Goal]:
    text, binary = kept.of("replay", "livetask"), kept.of("replay", "livetask-binary")
    raw = kept.of("replay", RAW)
    return [
        Goal("replay, binary: rate, of a bare socket's XRANGE", 60, " %", _percent(binary, raw), at_most=False),
        Goal("replay, text: the same", 30, " %", _percent(text, raw), at_most=False),
        Goal("replay: first line", 20, " ms", _values([*text, *binary], Replayed, lambda one: one.first_ms)),
    ]


def _idle(kept: Kept) -> list[Goal]:
    rows: list[Goal] = []
    for viewers in sorted({arm.size for arm in kept.planned if arm.what == "idle"}):
        own = kept.of("idle", "livetask", size=viewers)
        rows += [
            Goal(f"{viewers:,} idle: memory each", 20, " KiB", _values(own, Idle, lambda one: one.kib)),
            Goal(f"{viewers:,} idle: CPU a second each", 4, " µs", _values(own, Idle, lambda one: one.cpu_us)),
            Goal(f"{viewers:,} idle: accepted in a second of CPU", 2_500, "",
                 _values(own, Idle, lambda one: one.accepted), at_most=False),
        ]  # fmt: skip
    return rows


def _line_us(found: Found) -> float:
    return found.line_us if isinstance(found, Shown) else 0.0


def _seconds(found: Found) -> float:
    return found.seconds if isinstance(found, Storm) else 0.0


def _mb_per_s(found: Found) -> float:
    return found.mb_per_s if isinstance(found, Replayed | RawRead) else 0.0


def _percent(own: Sequence[Note], raw: Sequence[Note]) -> list[float]:
    return [ratio * 100 for ratio in _ratios(own, raw, _mb_per_s)]


def _ratios(own: Sequence[Note], others: Sequence[Note], value: Callable[[Found], float]) -> list[float]:
    """Of each round in which both were measured; nothing is said of one in which the other did nothing at all."""
    other = {note.round: value(note.found) for note in others if note.found is not None}
    return [
        value(note.found) / other[note.round]
        for note in own
        if note.found is not None and 0 < other.get(note.round, 0.0) < float("inf")
    ]


def _inverse(ratios: Sequence[float]) -> list[float]:
    return [1 / ratio for ratio in ratios if ratio]


def _values(notes: Sequence[Note], kind: type[Kind], value: Callable[[Kind], float]) -> list[float]:
    return [value(note.found) for note in notes if isinstance(note.found, kind)]
