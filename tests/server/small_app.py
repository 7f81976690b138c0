"""A small Celery app for tests that need a worker of their own. A worker's Redis: LIVETASK_TEST_SMALL_APP_URL."""

from __future__ import annotations

import os

from celery import Celery

QUEUE = "small"


def make(url: str) -> Celery:
    """The app with this Redis as its broker and result backend."""
    app = Celery("small", broker=url, backend=url, set_as_current=False)
    app.conf.task_default_queue = QUEUE

    @app.task(name="add", shared=False)
    def add(x: int, y: int = 1) -> int:
        """Adds two numbers.

        And says no more.
        """
        return x + y

    @app.task(name="fails", shared=False)
    def fails() -> None:
        raise ValueError("not today")

    @app.task(name="hidden", shared=False)
    def hidden() -> None: ...

    @app.task(name="say", shared=False)
    def say(text: str) -> None: ...

    return app


app = make(os.environ.get("LIVETASK_TEST_SMALL_APP_URL", "memory://"))
