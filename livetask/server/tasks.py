"""What is stored of a task and of its runs, as plain values.

``task_parsed`` reads a task hash; nothing else in the server knows its field names. Texts that Redis holds are never
trusted to be well formed: a field that cannot be read counts as absent.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livetask.errors import CursorInvalid, FormatUnknown
from livetask.keys import FORMAT
from livetask.parcel import MOST_DIGITS
from livetask.position import START, Cursor, Position

UNDER_WAY = ("QUEUED", "RUNNING", "RETRY")
"""The states of a task that has not ended."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a task.

    ``run``: its ordinal, from 1. ``nonce``: its name. ``first``: the position of the first byte kept, and
    ``first_why``: why those before it are not ('' or a gap's reason). ``end``: the position of the byte that would
    come next. ``how``: how it ended, None while it has not. ``detail``: what is known of a bad end, else None.
    ``crc``: 8 hexadecimal digits over all its bytes, None if unknown. Times are wall clock in ms, None if unknown.
    ``pool``: Celery's name for the kind of pool it runs in. ``archived``: up to where its output lies in the archive,
    None if it does not; ``archived_first`` and ``archived_why``: as ``first`` and ``first_why``, for what lies there.
    """

    run: int
    nonce: str
    why: str | None
    host: str | None
    pid: int | None
    worker: str | None
    begun_at_ms: int | None
    ended_at_ms: int | None
    how: str | None
    detail: Mapping[str, Any] | None
    first: Position
    first_why: str
    end: Position
    crc: str | None
    pool: str | None = None
    archived: Position | None = None
    archived_first: Position = START
    archived_why: str = ""

    def cursor(self, position: Position) -> Cursor:
        """A cursor of this run."""
        return Cursor(self.run, self.nonce, position)


@dataclass(frozen=True, slots=True)
class Task:
    """What is stored of one task. ``runs``: by ordinal, those that are kept. ``open``: how many have not ended.

    ``stopping_at_ms``, ``stopping_by``, ``stopping_how`` (cancel or terminate), ``stopping_note`` (why that cannot be):
    while it runs and somebody wishes that it stops. ``revoked_at_ms``, ``revoked_by``: of one that was stopped.
    ``rerun_of``: the task that it repeats; ``reruns``: those that repeat it. ``call``: its arguments, as
    ``livetask.arguments`` keeps them, and ``call_not`` why it does not. ``owner``: the caller who sent it by livetask.
    ``deleted_at_ms``, ``deleted_by``: of one whose output and arguments were deleted on request.
    ``recorded_at_ms``: its last change when it was archived.
    """

    task_id: str
    name: str | None
    state: str
    queued_at_ms: int | None
    began_at_ms: int | None
    ended_at_ms: int | None
    changed_at_ms: int | None
    queue: str | None
    worker: str | None
    root_id: str | None
    parent_id: str | None
    args: str | None
    kwargs: str | None
    result: str | None
    progress: Mapping[str, Any] | None
    open: int
    runs: tuple[Run, ...]
    stopping_at_ms: int | None = None
    stopping_by: str | None = None
    stopping_how: str | None = None
    stopping_note: str | None = None
    revoked_at_ms: int | None = None
    revoked_by: str | None = None
    rerun_of: str | None = None
    reruns: tuple[str, ...] = ()
    call: str | None = None
    call_not: str | None = None
    owner: str | None = None
    deleted_at_ms: int | None = None
    deleted_by: str | None = None
    recorded_at_ms: int | None = None

    @property
    def has_ended(self) -> bool:
        """Nothing of it is under way, as far as is known. A retry or a redelivery can still begin it again."""
        return self.open <= 0 and self.state not in UNDER_WAY

    def run(self, ordinal: int) -> Run | None:
        """The run of that ordinal, if it is kept."""
        return next((run for run in self.runs if run.run == ordinal), None)

    def run_after(self, ordinal: int) -> Run | None:
        """The next run that is kept, after that ordinal."""
        return next((run for run in self.runs if run.run > ordinal), None)


def task_parsed(task_id: str, fields: Mapping[bytes, bytes]) -> Task | None:
    """Read a task hash; None if it is empty. Raises FormatUnknown if another version wrote it."""
    if not fields:
        return None
    texts = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
    if texts.get("format") != FORMAT:
        raise FormatUnknown(task_id, texts.get("format", ""))
    ordinals = sorted(
        int(name.partition(".")[0]) for name in texts if name.endswith(".nonce") and name.partition(".")[0].isdecimal()
    )
    runs = (_run_parsed(ordinal, texts) for ordinal in ordinals)
    return Task(
        task_id=task_id,
        name=texts.get("name") or None,
        state=texts.get("state", "QUEUED"),
        queued_at_ms=_whole(texts.get("queued_at")),
        began_at_ms=_whole(texts.get("began_at")),
        ended_at_ms=_whole(texts.get("ended_at")),
        changed_at_ms=_whole(texts.get("changed_at")),
        queue=texts.get("queue") or None,
        worker=texts.get("worker") or None,
        root_id=texts.get("root_id") or None,
        parent_id=texts.get("parent_id") or None,
        args=texts.get("args"),
        kwargs=texts.get("kwargs"),
        result=texts.get("result"),
        progress=_object(texts.get("progress")),
        open=_whole(texts.get("open")) or 0,
        runs=tuple(run for run in runs if run is not None),
        stopping_at_ms=_whole(texts.get("stopping_at")),
        stopping_by=texts.get("stopping_by") or None,
        stopping_how=texts.get("stopping_how") or None,
        stopping_note=texts.get("stopping_note") or None,
        revoked_at_ms=_whole(texts.get("revoked_at")),
        revoked_by=texts.get("revoked_by") or None,
        rerun_of=texts.get("rerun_of") or None,
        reruns=tuple(texts.get("reruns", "").split()),
        call=texts.get("call") or None,
        call_not=texts.get("call_not") or None,
        owner=texts.get("owner") or None,
        deleted_at_ms=_whole(texts.get("deleted_at")),
        deleted_by=texts.get("deleted_by") or None,
        recorded_at_ms=_whole(texts.get("recorded_at")),
    )


def _run_parsed(ordinal: int, texts: Mapping[str, str]) -> Run | None:
    def text(name: str) -> str | None:
        return texts.get(f"{ordinal}.{name}") or None

    try:
        end = Position.parse(text("end") or str(START))
        first = Position.parse(text("first") or str(START))
        archived = Position.parse(text("archived") or str(START))
        archived_first = Position.parse(text("archived_first") or str(START))
    except CursorInvalid:
        return None
    return Run(
        run=ordinal,
        nonce=text("nonce") or "",
        why=text("why"),
        host=text("host"),
        pid=_whole(text("pid")),
        worker=text("worker"),
        begun_at_ms=_whole(text("begun_at")),
        ended_at_ms=_whole(text("ended_at")),
        how=text("how"),
        detail=_object(text("detail")),
        first=first,
        first_why=text("first_why") or "",
        end=end,
        crc=text("crc"),
        pool=text("pool"),
        archived=archived if archived != START else None,
        archived_first=archived_first,
        archived_why=text("archived_why") or "",
    )


def _whole(text: str | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        return None


def _readable(digits: str) -> int | None:
    """The number, if everybody to whom it is told can read it."""
    return int(digits) if len(digits) <= MOST_DIGITS else None


def _object(text: str | None) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text, parse_constant=lambda _: None, parse_int=_readable) if text else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
