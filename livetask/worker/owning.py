"""What a run hands on to the tasks that it starts: they belong to whoever started it by livetask.

And that a task with the run's own id was sent: the run is not the task's last."""

from __future__ import annotations

from typing import Any

from livetask.worker.capture import current_run
from livetask.worker.facts import OWNER_HEADER
from livetask.worker.guard import guarded


@guarded("who owns a task could not be handed on")
def hand_on_owner(headers: Any = None, **_: Any) -> None:
    """Celery's signal before_task_publish: names the owner of the run in whose context this is called."""
    run = current_run()
    if run is not None and isinstance(headers, dict) and headers.get("id") == run.task_id:
        run.replaced = True
    if run is not None and run.facts.owner and isinstance(headers, dict):
        headers.setdefault(OWNER_HEADER, run.facts.owner)
