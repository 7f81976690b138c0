"""A base class for tasks that tell their sender how they get on: ``on_progress``, ``on_retry``, ``on_failure``,
``on_success``, ``on_return``, with the fields that Stirfried gave them.

A task written for ``StirfriedTask`` works when its import is changed. Which room it tells comes with the message, so a
``room`` parameter is not needed; where a task has one, it is given the room. Outside of a worker that livetask
captures, and where a task is called as a function, nothing is emitted and nothing fails.
"""

from __future__ import annotations

import inspect
import sys
from contextlib import suppress
from functools import cached_property
from typing import Any

from celery.app.task import Task
from celery.states import RETRY

from livetask.hiding import Hiding
from livetask.worker.capture import OpenRun, current_run
from livetask.worker.event_log import PROGRESS, EventFacts, EventLog
from livetask.worker.guard import guarded
from livetask.worker.progress import emit_progress

ROOM_HEADER, OWN_HEADER = "livetask_room", "livetask_own"


class LiveTask(Task):  # type: ignore[type-arg]  # generic for type checkers only
    """The base class: ``Celery(task_cls=LiveTask)`` or ``@app.task(base=LiveTask)``."""

    given_by_worker = ("room",)
    """Parameters that a call need not give."""

    def emit_progress(self, current: Any, total: Any, info: Any = None) -> None:
        """Tell how far this task has got.

        ``current``: how much is done. ``total``: of how much. ``info``: anything that goes with it, bytes included.
        It also moves the bar on livetask's page. Never raises.
        """
        run = self._run()
        if run is not None:
            emit_progress(current, total, info)
            self._emit(run, PROGRESS, {"current": current, "total": total, "info": info})

    def before_start(self, task_id: str, args: Any, kwargs: dict[str, Any]) -> None:
        """Celery's hook: gives the room to a task that has a parameter for it."""
        room = getattr(self.request, ROOM_HEADER, None)
        if self._takes_room and isinstance(room, str):
            kwargs["room"] = room
        super().before_start(task_id, args, kwargs)

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Celery's hook."""
        self._emit(self._run(), "on_retry", {}, einfo)
        super().on_retry(exc, task_id, args, kwargs, einfo)

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Celery's hook."""
        self._emit(self._run(), "on_failure", {}, einfo)
        super().on_failure(exc, task_id, args, kwargs, einfo)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Celery's hook."""
        self._emit(self._run(), "on_success", {"retval": retval})
        super().on_success(retval, task_id, args, kwargs)

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Celery's hook."""
        run = self._run()
        if run is not None and run.events is not None and status != RETRY:
            if isinstance(retval, BaseException):
                retval = str(retval) if run.events.facts.error_info else None
            self._emit(run, "on_return", {"status": status, "retval": retval})
        super().after_return(status, retval, task_id, args, kwargs, einfo)

    @cached_property
    def _takes_room(self) -> bool:
        try:
            parameters = inspect.signature(self.run).parameters
        except (TypeError, ValueError):
            return False
        return "room" in parameters

    def _run(self) -> OpenRun | None:
        """The run of this very task, where its events are kept."""
        run = current_run()
        return run if run is not None and run.task_id == self.request.id else None

    @guarded("an event of a task could not be noted")
    def _emit(self, run: OpenRun | None, name: str, data: dict[str, Any], einfo: Any = None) -> None:
        if run is None or run.events is None:
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError, OSError):
                stream.flush()  # what was printed before the event stands before it
        if einfo is not None and run.events.facts.error_info:
            data = {**data, "einfo": str(einfo)}
        known = {"task_id": run.task_id, "task_name": run.facts.name}
        run.events.emit(name, {**data, **known}, run.spool.size_bytes())


def open_events(
    task: Any, run: OpenRun, *, sentinel_room: str, error_info: bool, hiding: Hiding, most: int, most_bytes: int
) -> EventLog | None:
    """Where the run's events are kept; None if it has none: no LiveTask, or sent to the sentinel room.

    The room is that of the message. A task that was started by another one, which handed its own room on as the
    argument ``room``, has that. Raises OSError.
    """
    if not isinstance(task, LiveTask):
        return None
    request = task.request
    room = getattr(request, ROOM_HEADER, None)
    own = bool(getattr(request, OWN_HEADER, False))
    if not isinstance(room, str):
        room, own = (request.kwargs or {}).get("room"), False
    room = room if isinstance(room, str) else ""
    if room == sentinel_room:
        return None
    facts = EventFacts(run.facts.name, room, own, error_info)
    return EventLog(run.spool.paths, facts, hiding=hiding, most=most, most_bytes=most_bytes)
