"""What livetask does when livetask itself fails within a task's process: it counts, says it once, and lets go.

A user's task must never fail or wait because of livetask. ``guarded`` goes around everything that Celery calls. What a
signal handler raises while livetask is at work is no failure of livetask's, but meant for the task: a time limit, say.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import ParamSpec

from celery.exceptions import SoftTimeLimitExceeded

import livetask
from livetask.errors import TaskIdInvalid

logger = logging.getLogger("livetask")

P = ParamSpec("P")

_OURS = f"{Path(livetask.__file__).parent}{os.sep}"

blunders: Counter[str] = Counter()
"""How often what went wrong in this process."""


def blunder(what: str, error: BaseException) -> None:
    """Count a failure of livetask's own, and log the first of its kind."""
    blunders[what] += 1
    if blunders[what] == 1:
        logger.error("livetask: %s; the task goes on (%s: %s)", what, type(error).__name__, error)


def is_for_task(error: BaseException) -> bool:
    """Whether a signal handler has raised it: Celery's soft time limit, an alarm of the task's own."""
    if isinstance(error, SoftTimeLimitExceeded):
        return True
    codes = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
    if all(code.co_filename.startswith(_OURS) for code in codes):
        return False  # nobody else's function had a part in it: with a full disk this is asked at each print
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    return not handlers.isdisjoint(codes)


def _code_of(handler: object) -> CodeType | None:
    """What runs when it is called; None for what is not written in Python."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not isinstance(handler, FunctionType | MethodType):
        handler = getattr(type(handler), "__call__", None)  # noqa: B004  # an object's, which is asked for, not called
    code = getattr(handler, "__code__", None)  # a method has that of its function
    return code if isinstance(code, CodeType) else None


def guarded(what: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a function that never raises out of one that may. ``what``: said when it fails."""

    def around(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def safe(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                function(*args, **kwargs)
            except TaskIdInvalid as error:  # said of every such task, so it shall cost little
                blunder(what, error)
            except Exception as error:
                if is_for_task(error):
                    raise
                blunder(what, error)

        return safe

    return around
