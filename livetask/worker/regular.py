"""What the worker's main process does every two seconds: whether tasks come or not, and heartbeats are sent or not.

Celery's timer forgets what it was given when the broker is lost; a step of the consumer is started again with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.bootsteps import StartStopStep

EVERY_S = 2.0


def do_regularly(app: Celery, call: Callable[[], object]) -> None:
    """Have ``call`` called while the worker is connected to its broker; asked for before the worker has a consumer."""

    class Regularly(StartStopStep):
        _entry: Any = None

        def start(self, consumer: Any) -> None:
            self._entry = consumer.timer.call_repeatedly(EVERY_S, call)

        def stop(self, consumer: Any) -> None:
            if self._entry is not None:
                consumer.timer.cancel(self._entry)
                self._entry = None

    app.steps["consumer"].add(Regularly)
