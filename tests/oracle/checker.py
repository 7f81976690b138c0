"""The checker: is what a viewer was given one contiguous range of what the task printed, minus announced gaps?

Nothing twice, nothing from elsewhere, each run ended once, at its end, with the CRC-32 of what it printed. ``judge``
names all faults; none means that all of this holds.

Pure but for the clockless making of journals.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from livetask.position import REASONS, START, Cursor, Position
from tests.oracle.journal import LINE, Journal, line
from tests.oracle.record import Again, Back, End, Given, Hole, Lines, Record


@dataclass
class _Run:
    """One run as the viewer saw it. ``begin``: the position of its first byte. ``at``: where the viewer stands."""

    run: int
    nonce: str
    begin: Position = START
    at: Position = START
    pieces: list[Given] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    came_back: bool = False

    @property
    def end(self) -> End | None:
        """Its end, unless it was taken back or is 'lost' only."""
        return self.ends[-1] if self.ends and self.ends[-1].how != "LOST" else None

    @property
    def data(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)


def judge(
    record: Record, journals: Mapping[str, Journal], *, must_end: bool = True, every_run: bool = True
) -> list[str]:
    """The faults of a record. ``journals``: of the task's runs, by token.

    ``must_end``: the last run has a true end. ``every_run``: every run that printed was given.
    """
    faults: list[str] = []
    runs = _walked(record, faults)
    seen: dict[str, int] = {}
    for run in runs.values():
        journal = _journal_of(run, record, journals)
        if journal is None:
            if run.pieces:
                faults.append(f"run {run.run}: its output is of no run that printed")
            continue
        if journal.token in seen:
            faults.append(f"run {run.run} and run {seen[journal.token]} have the same output")
        seen[journal.token] = run.run
        faults += [f"run {run.run}: {fault}" for fault in _against(run, journal, record)]
    if every_run:
        unseen = [token for token, journal in journals.items() if journal.lines and token not in seen]
        faults += [f"nothing was given of the run {token}" for token in unseen]
    if must_end and not (runs and list(runs.values())[-1].end):
        faults.append("the last run has no end")
    return [f"{record.name}: {fault}" for fault in faults]


def _walked(record: Record, faults: list[str]) -> dict[str, _Run]:
    """Follow the record item by item: each begins where the one before it ended."""
    runs: dict[str, _Run] = {}
    for item in record.items:
        match item:
            case Again():
                for run in runs.values():
                    run.came_back = True
            case Given() | Hole():
                _moved(_run_of(runs, item.cursor), item, record, faults)
            case Back():
                for nonce in [nonce for nonce, run in runs.items() if run.run == item.run]:
                    del runs[nonce]
                if item.cursor is not None:
                    run = _run_of(runs, item.cursor)
                    run.begin = run.at = item.cursor.position
            case End():
                _ended(_run_of(runs, item.cursor), item, faults)
            case Lines():
                pass
    return runs


def _run_of(runs: dict[str, _Run], cursor: Cursor) -> _Run:
    return runs.setdefault(cursor.nonce, _Run(cursor.run, cursor.nonce))


def _moved(run: _Run, item: Given | Hole, record: Record, faults: list[str]) -> None:
    name, start, stop = f"run {run.run}", item.start, item.cursor.position
    if run.end is not None:
        faults.append(f"{name}: more output after its end, at {start}")
    left_out = start.byte - run.at.byte
    if left_out < 0:
        faults.append(f"{name}: {-left_out} bytes before {run.at} were given twice")
    elif left_out and not (record.is_screen and isinstance(item, Given) and item.skipped == left_out):
        faults.append(f"{name}: {left_out} bytes after {run.at} were never given")
    if isinstance(item, Given):
        run.pieces.append(item)
        if start.after(item.data) != stop:
            faults.append(f"{name}: {len(item.data)} bytes are not those from {start} to {stop}")
    else:
        run.holes.append(item)
        if item.reason not in REASONS or stop.byte <= start.byte:
            faults.append(f"{name}: a gap from {start} to {stop} because of {item.reason!r}")
    run.at = stop
    run.came_back = False


def _ended(run: _Run, end: End, faults: list[str]) -> None:
    # Over a new connection an end may be told again; and as LOST, if the store lost it and its worker is gone.
    again = run.ends and run.came_back and (run.ends[-1] == end or end.how == "LOST")
    if run.end is not None and not again:
        faults.append(f"run {run.run}: it ended twice, {run.end.how} and {end.how}")
    if end.cursor.position != run.at:
        faults.append(f"run {run.run}: told to have ended at {end.cursor.position}, but it stands at {run.at}")
    if not again:
        run.ends.append(end)
    run.came_back = bool(again) and end.how == "LOST"  # then the true one is told once more


def _journal_of(run: _Run, record: Record, journals: Mapping[str, Journal]) -> Journal | None:
    for piece in run.pieces:
        for match in LINE.finditer(piece.data):
            if (journal := journals.get(match[2].decode())) is not None:
                return journal
    for item in record.items:
        if isinstance(item, Lines) and item.run == run.run and item.lines:
            words = item.lines[0].split(" ")
            return journals.get(words[1]) if len(words) > 1 else None
    return None


def _against(run: _Run, journal: Journal, record: Record) -> list[str]:
    """Hold one run against its journal. What follows the journal, a traceback say, must not repeat it."""
    faults: list[str] = []
    printed = journal.size_of(journal.lines)
    text = journal.text(printed)
    for piece in run.pieces:
        if fault := _differs(piece, text, journal):
            faults.append(fault)
            break
    rest = b"".join(piece.data[max(0, printed - piece.start.byte) :] for piece in run.pieces)
    if not journal.is_complete:
        rest = _without_begun(rest, line(journal.token, journal.lines + 1, journal.pad).encode())
    if journal.token.encode() in rest:
        faults.append(f"more than was printed, after byte {printed}: {rest[:80]!r}")
    if run.end is not None:
        faults += _end_against(run, run.end, journal)
    faults += _lines_against(run, journal, record)
    return faults


def _differs(piece: Given, text: bytes, journal: Journal) -> str:
    at = piece.start.byte
    wanted = text[at : at + len(piece.data)]
    if piece.data[: len(wanted)] != wanted:
        place = next(number for number, pair in enumerate(zip(piece.data, wanted, strict=False)) if pair[0] != pair[1])
        got, right = piece.data[place : place + 60], wanted[place : place + 60]
        return f"byte {at + place} is not what was printed: {got!r}, not {right!r}"
    if at < len(text) and journal.line_at(at) != piece.start.line:
        return f"byte {at} does not stand in line {piece.start.line}"
    return ""


def _without_begun(rest: bytes, following: bytes) -> bytes:
    """What follows the lines that were counted, without as much of the next line as there is: it may have been killed
    between printing and counting, or within it."""
    same = next((n for n, pair in enumerate(zip(rest, following, strict=False)) if pair[0] != pair[1]), None)
    return rest[min(len(rest), len(following)) if same is None else same :]


def _end_against(run: _Run, end: End, journal: Journal) -> list[str]:
    faults = []
    printed, stop = journal.size_of(journal.lines), end.cursor.position.byte
    if stop < printed:
        faults.append(f"it ended at byte {stop}, but {printed} were printed: the last {printed - stop} are lost")
    if stop > printed and journal.is_complete and end.how == "SUCCESS":
        faults.append(f"it ended at byte {stop}, but only {printed} were printed")
    whole = run.begin == START and not run.holes and sum(len(piece.data) for piece in run.pieces) == stop
    if whole and end.crc != f"{zlib.crc32(run.data):08x}":
        faults.append(f"the CRC-32 told is {end.crc!r}, that of the output {zlib.crc32(run.data):08x}")
    return faults


def _lines_against(run: _Run, journal: Journal, record: Record) -> list[str]:
    """Lines that were read by number; a screen has read them all in the end."""
    read: set[int] = set()
    for item in record.items:
        if not isinstance(item, Lines) or item.run != run.run:
            continue
        count = min(len(item.lines), max(0, journal.lines + 1 - item.first))
        for number, wanted in enumerate(journal.lines_of(item.first, count)):
            if item.lines[number] != wanted:
                return [f"line {item.first + number} was read as {item.lines[number][:80]!r}, not {wanted[:80]!r}"]
        read.update(range(item.first, item.first + count))
    if record.is_screen and run.end is not None and not run.holes and run.begin == START:
        missing = [number for number in range(1, journal.lines + 1) if number not in read]
        if missing:
            return [f"{len(missing)} lines could not be read by their numbers, the first is {missing[0]}"]
    return []
