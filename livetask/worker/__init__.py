"""The half of livetask that runs inside a Celery worker: it blocks, and never awaits.

``celery -A proj worker -I livetask.worker`` is all it takes: importing this connects to Celery's signals, and in a
worker every task's output is then captured, in every pool, without a change to the tasks. Importing it anywhere else
does nothing more. The server half is never loaded from here.

A byte of output walks through these rooms: ``streams`` and ``records`` write it, ``capture`` leads it into the
``spool``; there the ``shipper`` (a process of its own, ``shipper_process``) follows it (``following``, ``scanning``),
appends it in Redis (``writing``) and shows it on the old console (``teeing``). ``installing`` connects Celery.
"""

from livetask.worker.cancelling import cancelled, checkpoint
from livetask.worker.installing import connect as _connect
from livetask.worker.live_task import LiveTask
from livetask.worker.process import run
from livetask.worker.progress import emit_progress

__all__ = ["LiveTask", "cancelled", "checkpoint", "emit_progress", "install", "run"]


def install(app: object) -> None:
    """Capture the output of the tasks of this Celery app in its workers; the same as importing this module.

    ``app``: the Celery app; named so that the line reads well where the app is made.
    """
    _connect()


_connect()
