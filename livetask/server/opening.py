"""What a page shows of a log before its script has asked for anything: a run's last lines.

The page carries them in an attribute, in the words that the server uses on a connection: the answer to a subscription,
and what comes after it. The element takes them as if they had come that way, and subscribes from where they end, so
nothing is shown twice and nothing lies between. It saves the opening of a connection, two questions and their answers.

Must never know: HTTP, Socket.IO, Celery.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from livetask.errors import LivetaskError
from livetask.keys import task_id_checked
from livetask.position import START
from livetask.server.pieces import cut
from livetask.server.starts import newest_slice
from livetask.server.store import Store
from livetask.server.tasks import Run, Task
from livetask.server.wire import Json, event_json, task_json

LINES = 100
"""How many lines a page carries: more than a screen shows."""

MOST_BYTES = 32 * 1024
"""How much of them, so that the page stays small whatever a task prints."""


class Opening:
    """``look``: gives the task as the caller may see it, None if it may not. ``store``: where its output is read."""

    def __init__(self, look: Callable[[str], Awaitable[Task | None]], store: Store) -> None:
        self._look = look
        self._store = store

    async def of(self, task_id: str, run: str = "") -> Json | None:
        """``{"answer": ..., "told": [[event, its JSON], ...]}``: see docs/socketio.md for both.

        ``run``: an ordinal, '' for the latest. None where nothing can be said at once; the element asks then.
        """
        try:
            task = await self._look(task_id_checked(task_id))
            found = None if task is None else _run(task, run)
            if task is None or found is None:
                return None
            return await self._lines(task, found)
        except LivetaskError:
            return None

    async def _lines(self, task: Task, run: Run) -> Json | None:
        begin = run.cursor(START)
        newest = await newest_slice(self._store, task.task_id, begin, LINES, MOST_BYTES)
        if newest is None:
            return None
        pieces = cut(newest, begin, text=True, max_bytes=MOST_BYTES)
        answer = {"ok": True, "task": task_json(task), "run": run.run, "cursor": str(run.cursor(newest.start))}
        return {"answer": answer, "told": [event_json(task.task_id, piece) for piece in pieces.pieces]}


def _run(task: Task, ordinal: str) -> Run | None:
    if ordinal:
        return task.run(int(ordinal)) if len(ordinal) < 10 else None
    return task.runs[-1] if task.runs else None
