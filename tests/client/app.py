"""A Celery app for the client's tests: tasks with every fate."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task

app = Celery("clients", broker=os.environ["SYSTEM_BROKER_URL"], backend=os.environ["SYSTEM_BACKEND_URL"])
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)


@app.task(name="clients.count")
def count(lines: int = 3, word: str = "line") -> int:
    """Print so many lines."""
    for number in range(1, lines + 1):
        print(f"{word} {number}")
    return lines


@app.task(name="clients.fail")
def fail() -> None:
    """Print one line and fail."""
    print("about to fail")
    raise ValueError("on purpose")


@app.task(name="clients.retry", bind=True, max_retries=2)
def retry(self: Task[Any, Any]) -> str:
    """Succeed in the third run."""
    print(f"attempt {self.request.retries}")
    if self.request.retries < 2:
        raise self.retry(countdown=1)
    return "at last"


@app.task(name="clients.wait_for")
def wait_for(file: str) -> None:
    """Print a line, wait until the file is there, print another."""
    print("waiting", flush=True)
    while not Path(file).exists():
        time.sleep(0.02)
    print("done waiting")


@app.task(name="clients.until_cancelled")
def until_cancelled() -> None:
    """Print a line, then work in small steps until somebody cancels it."""
    from livetask.worker import checkpoint

    print("waiting", flush=True)
    while True:
        checkpoint()
        time.sleep(0.01)
