"""Running a task again: a new task with the same arguments or edited ones, linked to the old one, which stays as it is.

Must never know: Celery, HTTP, Socket.IO.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from livetask.arguments import call_parsed
from livetask.errors import ArgumentInvalid, ArgumentsUnknown, NotFound, TaskUnknown, Unavailable
from livetask.keys import task_id_checked
from livetask.server.access.sight import Sight
from livetask.server.calls import Sender
from livetask.server.control import Control
from livetask.server.store import Store
from livetask.server.tasks import Task

log = logging.getLogger(__name__)

_FIELDS = ("task_id", "args", "kwargs")


class Reruns:
    """Runs tasks again. ``control``: starts them, and checks what may be started. ``sight``: what the asker may."""

    def __init__(self, control: Control, store: Store, sight: Sight) -> None:
        self._control = control
        self._store = store
        self._sight = sight

    async def rerun(self, message: object, sender: Sender) -> str:
        """Run the task again that ``{task_id, args?, kwargs?}`` names; the id of the new one.

        Without args and kwargs it gets those of the old one, and who may run that again needs no other right. Raises
        TaskUnknown, Forbidden, ArgumentsUnknown, and what Control.start does.
        """
        if not isinstance(message, dict):
            raise ArgumentInvalid("message", message, "an object with task_id, and args and kwargs if they change")
        for field in message:
            if field not in _FIELDS:
                raise ArgumentInvalid(str(field)[:80], message[field], "no such field")
        task_id = task_id_checked(message.get("task_id"))
        task = await self._sight.task(task_id)
        if task is None:
            raise TaskUnknown(task_id)
        await self._sight.require(task_id, "rerun")
        if task.name is None:
            raise NotFound(f"the name of task {task_id} is not known")
        wanted = {"task_name": task.name, **_arguments(task, message)}
        same = message.get("args") is None and message.get("kwargs") is None
        sent = await self._control.start(wanted, sender, {"rerun_of": task_id}, permitted=same)
        try:
            await self._store.note(task_id, "rerun", {"id": sent.task_id})
        except Unavailable as error:
            log.warning("task %s: that it was run again was not noted: %s", task_id, error)
        return sent.task_id


def _arguments(task: Task, message: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the new task; what is edited stands for what was."""
    given = {name: message[name] for name in ("args", "kwargs") if message.get(name) is not None}
    if len(given) == 2:
        return given
    try:
        args, kwargs = call_parsed(task.call or "")
    except ValueError:
        raise ArgumentsUnknown(task.task_id, task.call_not or "") from None
    return {"args": args, "kwargs": kwargs, **given}
