"""What was kept of a run as the text of docs/benchmarks.md: a table of goals, and the tables behind it.

It knows the words and the order, not how anything was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tests.bench import table
from tests.bench.append import Appended
from tests.bench.crowds import IDLE_TITLES, STORM_TITLES, Idle, Storm
from tests.bench.fanout import Cell, Shown
from tests.bench.goals import goals
from tests.bench.kept import Kept, Note
from tests.bench.plan import RAW
from tests.bench.raw_read import RawRead
from tests.bench.replay import REPLAY_TITLES, Replayed
from tests.bench.ways import way

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
GOALS_BEGIN, GOALS_END = "<!-- goals -->", "<!-- /goals -->"

Kind = TypeVar("Kind", Appended, Shown, Replayed, RawRead, Storm, Idle)


def tables(kept: Kept) -> str:
    """All tables of what was planned, and a note of how they came about."""
    parts = [_fanout(kept), _replay(kept), _storm(kept), _idle(kept), _append(kept)]
    about = kept.about
    last = f"{about['machine']} The viewers are {about['viewers']}. {about['took']}"
    return "\n\n".join([*filter(None, parts), table.NOTE, last])


def write(path: Path, kept: Kept) -> None:
    """Put the tables, and the goals if it has a place for them, between a page's markers. Raises ValueError if it has
    no place for the tables."""
    text = between(path.read_text("utf-8"), BEGIN, END, tables(kept))
    if GOALS_BEGIN in text and (met := goals(kept)):
        text = between(text, GOALS_BEGIN, GOALS_END, f"{met}\n\n{kept.about['machine']}")
    path.write_text(text, "utf-8")


def between(page: str, begin: str, end: str, text: str) -> str:
    """The page with the text between two markers; raises ValueError if it has them not."""
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no {begin} and {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _fanout(kept: Kept) -> str:
    cells: dict[Cell, list[str]] = {}
    for arm in kept.planned:
        if arm.cell is not None:
            cells.setdefault(arm.cell, []).append(arm.ways[0])
    begun = {note.cell for note in kept.notes}
    rows = [
        (cell, way(name), *_rounds(kept, kept.of("fanout", name, cell), Shown, name))
        for cell, names in cells.items()
        if cell in begun
        for name in names
    ]
    left = [table.named(cell) for cell in cells if cell not in begun]
    parts = [table.fanout_table(rows)] if rows else []
    parts += [f"Not measured, since the time was up: {', '.join(left)}."] if left else []
    return "\n\n".join(parts)


def _replay(kept: Kept) -> str:
    sizes = {arm.ways[0]: arm.size for arm in kept.planned if arm.what == "replay"}
    if not sizes:
        return ""
    most = max(sizes.values())
    rows = [
        (
            REPLAY_TITLES.get(name, way(name).title) + (f" (of {size / 1e6:g} MB)" if size < most else ""),
            *_rounds(kept, kept.of("replay", name), Replayed, name),
        )
        for name, size in sizes.items()
        if name != RAW
    ]
    raw, _ = _rounds(kept, kept.of("replay", RAW), RawRead, RAW)
    return table.replay_table(rows, raw, most / 1e6)


def _storm(kept: Kept) -> str:
    arms = [arm for arm in kept.planned if arm.what == "storm"]
    if not arms:
        return ""
    found = {arm.ways[0]: _rounds(kept, kept.of("storm", arm.ways[0]), Storm, arm.ways[0]) for arm in arms}
    rows = [(STORM_TITLES.get(name) or way(name).title, *results) for name, results in found.items()]
    return table.storm_table(rows, found["cached"][0], arms[0].size)


def _idle(kept: Kept) -> str:
    rows = [
        (
            arm.size,
            IDLE_TITLES.get(name) or way(name).title,
            *_rounds(kept, kept.of("idle", name, size=arm.size), Idle, name),
        )
        for arm in kept.planned
        if arm.what == "idle"
        for name in arm.ways
    ]
    return table.idle_table(rows) if rows else ""


def _append(kept: Kept) -> str:
    rows = [
        (way(arm.ways[0]), *_rounds(kept, kept.of("append", arm.ways[0]), Appended, arm.ways[0]))
        for arm in kept.planned
        if arm.what == "append"
    ]
    return table.append_table(rows) if rows else ""


def _rounds(kept: Kept, notes: Sequence[Note], kind: type[Kind], name: str) -> tuple[list[Kind], str]:
    """The results, and a remark if something is amiss with them."""
    found = [note.found for note in notes if isinstance(note.found, kind)]
    failed = [note.failed for note in notes if note.failed]
    if reason := kept.lacking.get(name):
        return found, f"not here: {reason}"
    if failed:
        return found, f"{len(failed)} of {len(notes)} rounds failed: {failed[0]}"
    return found, "" if found else "not measured: the time was up"
