"""Redis' answers as values: bells, the list of tasks, and the shapes that all answers are made of.

The store asks without redis-py's own reading of answers, so that their shapes are the protocol's and do not change.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from livetask.position import Cursor, Position
from livetask.server.slices import Head, RawEntry


@dataclass(frozen=True, slots=True)
class Bell:
    """One ring. ``run``: an ordinal, 0 for none. ``end_byte``: where the run ends now, None where that is not said.

    ``what``: begin, output, event, progress, end, queued, state, stopping or rerun; or room, and then ``task_id`` is
    the name of a room.
    """

    task_id: str
    run: int
    what: str
    end_byte: int | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """What the bells said. ``last_ids``: where to listen next. ``overrun``: there may have been more than these."""

    bells: tuple[Bell, ...]
    last_ids: tuple[str, ...]
    overrun: bool


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def fields_of(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    each = iter(flat)
    return dict(zip(each, each, strict=True))


def entries_of(answer: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[RawEntry]:
    return [(entry_id, fields_of(flat)) for entry_id, flat in answer]


def head_of(cursor: Cursor, values: Sequence[bytes | None]) -> Head | None:
    """What the task hash says of the cursor's run; None if it is not stored, or under another nonce."""
    nonce, end, first, why, how = (None if value is None else text_of(value) for value in values)
    if nonce != cursor.nonce or end is None or first is None:
        return None
    return Head(Position.parse(end), Position.parse(first), why or "", how or None)


def bell_of(fields: Mapping[bytes, bytes]) -> Bell | None:
    task_id, run, what = (text_of(fields.get(name, b"")) for name in (b"task", b"run", b"what"))
    if not task_id:
        return None
    byte = fields.get(b"end", b"").rpartition(b"-")[2]
    return Bell(task_id, int(run) if run.isdecimal() else 0, what, int(byte) if byte.isdigit() else None)
