"""What a run hands on to the tasks that it starts: who owns them, and of which group's workflow they are.

And that a task with the run's own id was sent: the run is not the task's last."""

from __future__ import annotations

from typing import Any

from livetask.worker.capture import current_run
from livetask.worker.facts import GROUP, OWNER_HEADER, ROOT_HEADER
from livetask.worker.guard import guarded


@guarded("who owns a task could not be handed on")
def hand_on_owner(headers: Any = None, **_: Any) -> None:
    """Celery's signal before_task_publish: names the owner, and the group, of the run in whose context it is called."""
    run = current_run()
    if run is None or not isinstance(headers, dict):
        return
    if headers.get("id") == run.task_id:
        run.replaced = True
    if run.facts.owner:
        headers.setdefault(OWNER_HEADER, run.facts.owner)
    if run.facts.root_id.startswith(GROUP):
        headers.setdefault(ROOT_HEADER, run.facts.root_id)
