"""What a task can do about being cancelled: ask, or let a checkpoint end it.

Works in every pool, because nobody but the task itself does it. The word lies in a small file beside the spool, put
there by the shipper; to look for it costs a microsecond or two, and is done 20 times a second at most.
"""

from __future__ import annotations

import posix
import time
from typing import Any

from celery.exceptions import Ignore

from livetask.errors import Cancelled
from livetask.worker.capture import OpenRun, current_run
from livetask.worker.guard import blunder, is_for_task
from livetask.worker.small_files import read_json

_LOOK_S = 0.05


class CancelledTask(Cancelled, Ignore):
    """Cancelled, in the form that makes Celery end a task without calling it a success or a failure."""


def cancelled() -> bool:
    """Whether somebody wishes that the running task stops: it may clean up and return, then.

    Never waits, never raises. False outside of a task whose output livetask captures.
    """
    return _wished(current_run()) is not None


def checkpoint() -> None:
    """End the task here if it was cancelled: raises livetask.errors.Cancelled, and its state becomes REVOKED.

    To be called where the task can be left; ``finally`` blocks run. Who catches all exceptions catches this one too.
    """
    run = _wished(current_run())
    if run is not None:
        raise CancelledTask(_who(run))


def end_as_revoked(task: Any, error: Cancelled) -> None:
    """Let Celery's result backend know what became of a task that a checkpoint has ended."""
    request = task.request
    if getattr(request, "is_eager", False):
        return
    store = not task.ignore_result or task.store_errors_even_if_ignored
    task.backend.mark_as_revoked(request.id, str(error), request=request, store_result=store)


def _wished(run: OpenRun | None) -> OpenRun | None:
    """The run, or the one within which it was called, that shall stop; None if none shall."""
    while run is not None:
        if run.stop_seen or _look(run):
            return run
        run = run.outer
    return None


def _look(run: OpenRun) -> bool:
    now_s = time.monotonic()
    if now_s - run.stop_looked_s < _LOOK_S:
        return False
    run.stop_looked_s = now_s
    try:
        posix.stat(run.spool.paths.of("stop"))
    except FileNotFoundError:
        return False
    except OSError as error:
        if is_for_task(error):
            raise
        blunder("it could not be seen whether a task was cancelled", error)
        return False
    run.stop_seen = True
    return True


def _who(run: OpenRun) -> str:
    return str((read_json(run.spool.paths.of("stop")) or {}).get("by") or "")
