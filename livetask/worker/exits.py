"""Hearing of the end of a pool child when its exit code is taken: Celery speaks of it up to 10 seconds later.

It must never know what the exit means.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from billiard.popen_fork import Popen

from livetask.worker.guard import guarded


def watch_exits(on_exit: Callable[[int, int], object]) -> None:
    """Call ``on_exit`` with the pid and the exit code of each child that ends, negative for a signal.

    To call it again is to watch for another one instead.
    """
    poll = getattr(Popen.poll, "__wrapped__", Popen.poll)

    @functools.wraps(poll)
    def poll_and_tell(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = self.returncode
        code = poll(self, *args, **kwargs)
        if before is None and code is not None:
            tell(self.pid, code)
        return code

    @guarded("the exit of a pool process could not be noted")
    def tell(pid: int, code: int) -> None:
        on_exit(pid, code)

    Popen.poll = poll_and_tell  # type: ignore[method-assign]
