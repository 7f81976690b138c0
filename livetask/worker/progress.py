"""How far a task has got, as it says itself.

``emit_progress`` is for tasks that know livetask; a task that calls ``self.update_state(meta={"current": ..., "total":
...})`` as Celery's documentation shows is understood without it. The latest progress lies in a small file beside the
spool and is overwritten in place: nothing waits, nothing piles up, and it outlives the process.
"""

from __future__ import annotations

import functools
import json
import os
import posix
from typing import Any

from celery.app.task import Task

from livetask.masking import Mask
from livetask.worker.capture import current_run
from livetask.worker.guard import guarded
from livetask.worker.spool import RunPaths

_SLOT_BYTES = 2048
"""One progress always fills the slot, so that a new one covers all of the old one."""


@guarded("progress could not be noted")
def emit_progress(current: float, total: float | None = None, info: Any = None) -> None:
    """Show how far the running task has got.

    ``current``: how much is done. ``total``: of how much, None if that is not known. ``info``: anything that JSON can
    hold, shown beside it; dropped when it is too large. Outside of a captured task this does nothing; it never raises.
    """
    run = current_run()
    if run is not None:
        _write(run.spool.paths, {"current": current, "total": total, "info": info}, run.mask)


def _write(paths: RunPaths, progress: dict[str, Any], mask: Mask | None) -> None:
    """Write the progress into the run's slot. Raises OSError."""
    text = json.dumps(progress, default=repr).encode()
    if len(text) > _SLOT_BYTES:
        text = json.dumps({**progress, "info": None}).encode()
    if len(text) > _SLOT_BYTES:
        return
    if mask is not None:
        text = mask.hidden_at_once(text)
    fd = posix.open(paths.of("progress"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, text.ljust(_SLOT_BYTES), 0)
    finally:
        posix.close(fd)


def note_state_updates() -> None:
    """Understand ``update_state`` with a meta of 'current' and 'total' as progress. To be called once."""
    update_state = Task.update_state

    @functools.wraps(update_state)
    def update_and_note(self: Any, *args: Any, **kwargs: Any) -> Any:
        meta = kwargs.get("meta", args[2] if len(args) > 2 else None)
        if isinstance(meta, dict) and isinstance(meta.get("current"), (int, float)):
            total = meta.get("total")
            rest = {key: value for key, value in meta.items() if key not in ("current", "total")}
            emit_progress(meta["current"], total if isinstance(total, (int, float)) else None, rest or None)
        return update_state(self, *args, **kwargs)

    Task.update_state = update_and_note  # type: ignore[method-assign]
