"""A Celery app whose tasks do real work, so that there is something to look at: ``celery -A livetask.demo worker``.

Its broker and result backend are ``LIVETASK_DEMO_BROKER_URL``, else ``LIVETASK_REDIS_URL``, else a Redis on this
machine. What the tasks do stands in ``tasks.py``; this module must never know of the worker half or the server half.
"""

from __future__ import annotations

import os

from celery import Celery

MIX = (
    "demo.hash_python",
    "demo.compile_stdlib",
    "demo.make_venv",
    "demo.train",
    "demo.fail",
    "demo.retry",
    "demo.segfault",
    "demo.flood",
)
"""The names of all demo tasks, which are also what one click or ``python -m livetask.demo start`` starts at once."""


def broker_url() -> str:
    """The URL of the demo's broker and result backend, from the environment."""
    return (
        os.environ.get("LIVETASK_DEMO_BROKER_URL") or os.environ.get("LIVETASK_REDIS_URL") or "redis://localhost:6379/0"
    )


app = Celery("livetask.demo", broker=broker_url(), backend=broker_url(), include=["livetask.demo.tasks"])
app.conf.update(
    accept_content=["json"],
    result_accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    result_expires=3600,
    task_track_started=True,
    # long tasks: a child that holds one must not keep others waiting behind it
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    livetask_available_tasks=list(MIX),
)
