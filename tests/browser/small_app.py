"""A Celery app for the browser tests: tasks that are started and cancelled on the pages."""

from __future__ import annotations

import os
import time

from celery import Celery

app = Celery("small", broker=os.environ["SYSTEM_BROKER_URL"], backend=os.environ["SYSTEM_BACKEND_URL"])
app.conf.update(
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    livetask_available_tasks=["small.*"],
)


@app.task(name="small.greet")
def greet(name: str, times: int = 1) -> str:
    """Greet somebody, several times."""
    from livetask.worker import emit_progress

    for number in range(1, times + 1):
        print(f"{number}: hello {name}", flush=True)
        emit_progress(number, times)
    return f"greeted {name}"


@app.task(name="small.fail")
def fail() -> None:
    """Fail with a message that looks like markup."""
    print("about to fail")
    raise ValueError("<b>no</b> rows")


@app.task(name="small.wait")
def wait() -> None:
    """Print a line now and then until it is cancelled."""
    for number in range(1, 3000):
        print(f"still here {number}", flush=True)
        time.sleep(0.1)
