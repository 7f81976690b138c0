"""Values as JSON, as they travel to clients: the same over Socket.IO and HTTP.

Times are whole milliseconds since the epoch or null; texts that are unknown are null; positions are
``<line>-<byte>``, cursors are opaque to clients.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import Any

from livetask.errors import ArgumentInvalid, LivetaskError
from livetask.server.events import (
    CaughtUp,
    CountsChanged,
    Emitted,
    Ended,
    Event,
    Grown,
    Missing,
    Output,
    Reset,
    RunChanged,
    TaskChanged,
    TaskUnlisted,
)
from livetask.server.tasks import Run, Task

Json = dict[str, Any]


def task_json(task: Task) -> Json:
    """One task with all its runs."""
    return {
        "id": task.task_id,
        "name": task.name,
        "state": task.state,
        "queued_at": task.queued_at_ms,
        "began_at": task.began_at_ms,
        "ended_at": task.ended_at_ms,
        "changed_at": task.changed_at_ms,
        "queue": task.queue,
        "worker": task.worker,
        "owner": task.owner,
        "root_id": task.root_id,
        "parent_id": task.parent_id,
        "args": task.args,
        "kwargs": task.kwargs,
        "result": task.result,
        "progress": None if task.progress is None else dict(task.progress),
        "open": task.open,
        "stopping_at": task.stopping_at_ms,
        "stopping_by": task.stopping_by,
        "stopping_how": task.stopping_how,
        "stopping_note": task.stopping_note,
        "revoked_at": task.revoked_at_ms,
        "revoked_by": task.revoked_by,
        "rerun_of": task.rerun_of,
        "reruns": list(task.reruns),
        "deleted_at": task.deleted_at_ms,
        "deleted_by": task.deleted_by,
        "can_rerun": task.call is not None,
        "runs": [run_json(run) for run in task.runs],
    }


def run_json(run: Run) -> Json:
    """One run. ``lines``: how many are finished; ``bytes``: all it ever wrote, whether they are kept or not."""
    return {
        "run": run.run,
        "nonce": run.nonce,
        "why": run.why,
        "host": run.host,
        "pid": run.pid,
        "worker": run.worker,
        "pool": run.pool,
        "begun_at": run.begun_at_ms,
        "ended_at": run.ended_at_ms,
        "how": run.how,
        "detail": None if run.detail is None else dict(run.detail),
        "first": str(run.first),
        "first_why": run.first_why,
        "end": str(run.end),
        "lines": run.end.line - 1,
        "bytes": run.end.byte,
        "crc": run.crc,
    }


def error_json(error: LivetaskError) -> Json:
    """An error as HTTP answers it; Socket.IO adds ``"ok": false``."""
    return {"code": error.code, "error": str(error), **_field(error)}


def failed_json(error: LivetaskError) -> Json:
    """An error as Stirfried's clients expect it."""
    return {"status": "failed", "data": str(error), "code": error.code, **_field(error)}


def _field(error: LivetaskError) -> Json:
    """Which field of a message, a query or a task's arguments is wrong."""
    return {"field": error.field} if isinstance(error, ArgumentInvalid) else {}


def text_of_output(data: bytes) -> str:
    """Output as text: what is no UTF-8 becomes U+FFFD."""
    return data.decode("utf-8", "replace")


def event_json(task_id: str, event: Event) -> tuple[str, Json]:
    """(name of the event, its JSON)."""
    match event:
        case Output():
            return "output", {**output_json(task_id, event), "text": text_of_output(event.data)}
        case Missing():
            return "gap", _missing(task_id, event)
        case CaughtUp(cursor):
            return "caught_up", {"task_id": task_id, "run": cursor.run, "cursor": str(cursor)}
        case Grown(cursor):
            return "grown", {"task_id": task_id, "run": cursor.run, "cursor": str(cursor)}
        case RunChanged(run):
            return "run", {"task_id": task_id, "run": run_json(run)}
        case Reset(run, cursor, reason):
            at = None if cursor is None else str(cursor)
            return "reset", {"task_id": task_id, "run": run, "cursor": at, "reason": reason}
        case Ended():
            return "end", _ended(task_id, event)
        case TaskChanged(task, listed):
            return "task", {"task": task_json(task), **({} if listed is None else {"listed": listed})}
        case TaskUnlisted():
            return "unlisted", {"task_id": task_id}
        case CountsChanged(counts):
            return "counts", {"counts": dict(counts)}
        case Emitted():
            return event.name, _emitted(event)


def output_json(task_id: str, event: Output) -> Json:
    """A piece of output without its bytes: they follow as ``text``, or as they are under ``data``."""
    found: Json = {
        "task_id": task_id,
        "run": event.cursor.run,
        "from": str(event.start),
        "cursor": str(event.cursor),
    }
    if event.skipped_bytes:
        found["skipped"] = event.skipped_bytes
    if event.sgr:
        found["sgr"] = event.sgr.decode("ascii", "replace")
    if event.times:
        found["times"] = [list(time) for time in event.times]
    return found


def _emitted(event: Emitted) -> Json:
    """Stirfried's fields, and where the viewer stands after it."""
    found: Json = {**event.data, "cursor": str(event.cursor)}
    if event.room is not None:
        found |= {"room": event.room, "room_cursor": event.room_cursor}
    return found


def _missing(task_id: str, event: Missing) -> Json:
    return {
        "task_id": task_id,
        "run": event.cursor.run,
        "from": str(event.gap.start),
        "cursor": str(event.cursor),
        "bytes": event.gap.size_bytes,
        "lines": event.gap.lines,
        "reason": event.gap.reason,
    }


def _ended(task_id: str, event: Ended) -> Json:
    run = event.run
    return {
        "task_id": task_id,
        "run": run.run,
        "cursor": str(run.cursor(run.end)),
        "how": run.how,
        "detail": None if run.detail is None else dict(run.detail),
        "crc": run.crc,
        "bytes": run.end.byte,
        "lines": run.end.line - 1,
        "last": event.last,
    }
