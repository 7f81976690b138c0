"""What was found so far, kept in a file after each measurement, so that tables can be written of a run that was cut."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.append import Appended
from tests.bench.crowds import Idle, Storm
from tests.bench.fanout import Cell, Shown
from tests.bench.plan import Arm
from tests.bench.raw_read import RawRead
from tests.bench.replay import Replayed

Found = Appended | Shown | Replayed | RawRead | Storm | Idle
_KINDS = {kind.__name__: kind for kind in (Appended, Shown, Replayed, RawRead, Storm, Idle)}


@dataclass(frozen=True, slots=True)
class Note:
    """What one way did in one round. ``found``: None if it failed; then ``failed`` says why, in one line."""

    what: str
    way: str
    cell: Cell | None
    size: int
    round: int
    found: Found | None
    failed: str = ""


@dataclass(slots=True)
class Kept:
    """All notes of a run.

    ``about``: what a reader has to know of it, by ``machine``, ``viewers``, ``command`` and ``took``. ``lacking``: of
    ways that cannot be measured here, why. ``planned``: how many rounds each arm should have had. ``path``: where it is
    kept, None for nowhere.
    """

    path: Path | None = None
    about: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    planned: dict[Arm, int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def add(self, note: Note) -> None:
        """Take one more and keep all."""
        self.notes.append(note)
        self.save()

    def save(self) -> None:
        """Write the file anew; who reads meanwhile has the old one."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        planned = [{**asdict(arm), "rounds": rounds} for arm, rounds in self.planned.items()]
        notes = [{**asdict(note), "kind": type(note.found).__name__} for note in self.notes]
        whole = {"about": self.about, "lacking": self.lacking, "planned": planned, "notes": notes}
        fresh.write_text(json.dumps(whole, indent=1), "utf-8")
        fresh.replace(self.path)

    def of(self, what: str, way: str, cell: Cell | None = None, size: int | None = None) -> list[Note]:
        """The notes of one way; ``size``: None for any."""
        return [
            note
            for note in self.notes
            if (note.what, note.way, note.cell) == (what, way, cell) and size in (None, note.size)
        ]

    def share(self) -> str:
        """How much of what was planned there is."""
        planned = sum(rounds * len(arm.ways) for arm, rounds in self.planned.items())
        return f"{sum(note.found is not None for note in self.notes)} of {planned} measurements"

    def has(self, arm: Arm, number: int) -> bool:
        """That round of it was measured."""
        return any(
            (note.what, note.way, note.cell, note.size, note.round)
            == (arm.what, arm.ways[0], arm.cell, arm.size, number)
            for note in self.notes
            if note.found is not None
        )


def read(path: Path) -> Kept:
    """What was kept there; raises ValueError if nothing was, or by another version of the benchmark."""
    try:
        whole = json.loads(path.read_text("utf-8"))
        planned = {_arm(one): rounds for one, rounds in _split(whole["planned"], "rounds")}
        notes = [_note(one, kind) for one, kind in _split(whole["notes"], "kind")]
        return Kept(path, whole["about"], whole["lacking"], planned, notes)
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no results of this benchmark ({error}); measure first") from error


def _split(rows: list[dict[str, Any]], name: str) -> Iterator[tuple[dict[str, Any], Any]]:
    for row in rows:
        yield {key: value for key, value in row.items() if key != name}, row[name]


def _arm(row: dict[str, Any]) -> Arm:
    return Arm(**{**row, "ways": tuple(row["ways"]), "cell": _cell(row["cell"])})


def _note(row: dict[str, Any], kind: str) -> Note:
    found = None if row["found"] is None else _KINDS[kind](**row["found"])
    return Note(**{**row, "cell": _cell(row["cell"]), "found": found})


def _cell(row: dict[str, Any] | None) -> Cell | None:
    return None if row is None else Cell(**row)
