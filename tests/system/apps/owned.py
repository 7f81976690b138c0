"""A Celery app with a task that starts another."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("owned", broker=os.environ["SYSTEM_BROKER_URL"], backend=os.environ["SYSTEM_BACKEND_URL"])


@app.task(name="owned.child")
def child(*_: object) -> str:
    return "done"


@app.task(name="owned.parent")
def parent() -> str:
    print(child.delay().id)
    return "sent"
