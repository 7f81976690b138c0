"""The words with which Celery's workers are told to stop a task, and what they answer. Blocks: called in a lane.

``app.control`` would publish through the app's pool, whose connections wait without an end; so the same is said through
a mailbox on a connection that gives up in time.

Must never know: what livetask stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection
    from kombu.pidbox import Mailbox


@dataclass(frozen=True, slots=True)
class Answer:
    """What one worker says. ``did``: ended at least one of the tasks, cannot do so, or runs none of them.

    ``task_ids``: those that it has ended.
    """

    worker: str
    did: Literal["ended", "cannot", "runs_none"]
    task_ids: tuple[str, ...] = ()


def tell_to_revoke(app: Celery, connection: Connection, task_ids: Sequence[str]) -> None:
    """Tell all workers not to begin the tasks; nobody answers."""
    _mailbox(app, connection).cast(None, "revoke", {"task_id": list(task_ids)})  # type: ignore[arg-type]  # None: all


def ask_to_terminate(
    app: Celery, connection: Connection, task_ids: Sequence[str], worker: str | None, timeout_s: float
) -> list[Answer]:
    """Ask one worker, or all if None, to end the tasks where they run, and wait for what it says.

    A worker that is free answers at once; a solo pool cannot while it runs a task.
    """
    # Unlike ``call``, this is what Celery itself uses: it ends with the answer of the one who was asked.
    replies = _mailbox(app, connection)._broadcast(
        "revoke",
        {"task_id": list(task_ids), "terminate": True, "signal": "TERM"},
        destination=[worker] if worker is not None else None,
        reply=True,
        timeout=timeout_s,
        limit=1 if worker is not None else None,
        channel=connection.default_channel,
    )
    return [_answer(name, said, task_ids) for reply in replies or () for name, said in reply.items()]


def _answer(worker: str, said: Any, task_ids: Sequence[str]) -> Answer:
    words = said if isinstance(said, dict) else {}
    if "error" in words:
        return Answer(worker, "cannot")
    text = str(words.get("ok", ""))
    ended = tuple(task_id for task_id in task_ids if task_id in text)
    return Answer(worker, "ended" if ended else "runs_none", ended)


def _mailbox(app: Celery, connection: Connection) -> Mailbox:
    from kombu.pidbox import Mailbox

    return Mailbox(
        app.conf.control_exchange,
        type="fanout",
        connection=connection,
        accept=app.conf.accept_content,
        serializer=app.conf.task_serializer,
    )
