"""What livetask does when livetask itself fails within a task's process: it counts, says it once, and lets go.

A user's task must never fail or wait because of livetask. ``guarded`` goes around everything that Celery calls.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable
from typing import ParamSpec

from celery.exceptions import SoftTimeLimitExceeded

logger = logging.getLogger("livetask")

P = ParamSpec("P")

blunders: Counter[str] = Counter()
"""How often what went wrong in this process."""


def blunder(what: str, error: BaseException) -> None:
    """Count a failure of livetask's own, and log the first of its kind."""
    blunders[what] += 1
    if blunders[what] == 1:
        logger.error("livetask: %s; the task goes on (%s: %s)", what, type(error).__name__, error)


def guarded(what: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a function that never raises out of one that may. ``what``: said when it fails."""

    def around(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def safe(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                function(*args, **kwargs)
            except SoftTimeLimitExceeded:
                raise  # not livetask's: the task's own time is over, and it wants to know
            except Exception as error:
                blunder(what, error)

        return safe

    return around
