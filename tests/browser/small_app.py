"""A Celery app for the browser tests: tasks that are started and cancelled on the pages."""

from __future__ import annotations

import json
import os
import time
from typing import Literal

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


@app.task(name="small.build", rate_limit="100/s")
def build(
    target: str,
    jobs: int = 2,
    *,
    ratio: float = 0.5,
    clean: bool = False,
    colour: Literal["auto", "never"] = "auto",
    env: dict[str, str] | None = None,
    only: list[str] = (),  # type: ignore[assignment]
    anything: object = None,
    **more: int,
) -> str:
    """Build a target, with as many jobs as you like.

    It prints what it was called with.
    """
    found = {"target": target, "jobs": jobs, "ratio": ratio, "clean": clean, "colour": colour}
    print(json.dumps({**found, "env": env, "only": list(only), "anything": anything, **more}), flush=True)
    return target


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
