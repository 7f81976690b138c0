"""A Celery app whose tasks print a journal (``tests.oracle.journal``), and then end in every way there is."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject

from tests.oracle.journal import Witness, line
from tests.system.apps.pacing import at_rate

app = Celery("journal", broker=os.environ["SYSTEM_BROKER_URL"], backend=os.environ["SYSTEM_BACKEND_URL"])
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True, task_track_started=True)
app.conf.task_default_queue = os.environ.get("SYSTEM_QUEUE", "celery")
if seconds := os.environ.get("SYSTEM_VISIBILITY_S"):
    restore = {"unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    app.conf.update(task_acks_late=True, broker_transport_options={"visibility_timeout": int(seconds), **restore})


class Pages:
    """Prints the journal of one run."""

    def __init__(self, task_id: str, pad: int) -> None:
        self.token = secrets.token_hex(4)
        self.lines = 0
        self._pad = pad
        self._witness = Witness(Path(os.environ["SYSTEM_JOURNALS"]) / task_id, self.token, pad)

    def print(self, lines: int, a_second: float = 0.0) -> None:
        """Print more lines, at most so many a second; 0: as fast as it goes."""
        for number in at_rate(range(self.lines + 1, self.lines + lines + 1), a_second):
            print(line(self.token, number, self._pad), end="")
            self.lines = number
            self._witness.count(number)

    def complete(self) -> None:
        self._witness.count(self.lines, is_complete=True)


@app.task(name="journal.write", bind=True, max_retries=None)
def write(self: Any, lines: int, a_second: float = 0.0, pad: int = 0, end: str = "return", hold: bool = False) -> Any:
    """Print a journal of so many lines, then do what ``end`` says: a word, and what belongs to it after a colon.

    ``hold``: behind the first line it waits until it is told to go on.
    """
    pages = Pages(self.request.id, pad)
    if hold:
        pages.print(1)
        while not _told(self).exists():
            time.sleep(0.02)  # between two looks
    pages.print(lines - hold, a_second)
    word, _, more = end.partition(":")
    if word not in ("go_on", "until_told"):
        pages.complete()
    return _ENDS[word](self, pages, more)


def _return(task: Any, pages: Pages, more: str) -> str:
    return pages.token


def _raise(task: Any, pages: Pages, more: str) -> None:
    raise ValueError(more)


def _ignore(task: Any, pages: Pages, more: str) -> None:
    raise Ignore


def _reject(task: Any, pages: Pages, more: str) -> None:
    raise Reject("no", requeue=False)


def _exit(task: Any, pages: Pages, more: str) -> None:
    sys.exit(int(more))


def _exit_at_once(task: Any, pages: Pages, more: str) -> None:
    """As a C library does that gives up."""
    os._exit(int(more))


def _die(task: Any, pages: Pages, more: str) -> None:
    os.kill(os.getpid(), signal.Signals[more])
    time.sleep(60)


def _retry(task: Any, pages: Pages, more: str) -> str:
    if task.request.retries < int(more):
        raise task.retry(countdown=0)
    return "at last"


def _replace(task: Any, pages: Pages, more: str) -> None:
    raise task.replace(write.s(50, 0, 0, "return"))


def _wait(task: Any, pages: Pages, more: str) -> None:
    """Be there, silent."""
    time.sleep(float(more))


def _go_on(task: Any, pages: Pages, more: str) -> None:
    """Print until somebody ends it, or its test is over."""
    while not _told(task).exists():
        pages.print(100, float(more or 0))


def _until_told(task: Any, pages: Pages, more: str) -> str:
    """Print until ``House.tell`` says that it is enough."""
    while not _told(task).exists():
        pages.print(20, float(more))
    pages.complete()
    return pages.token


def _told(task: Any) -> Path:
    return Path(os.environ["SYSTEM_JOURNALS"]) / f"{task.request.id}.told"


def _fork(task: Any, pages: Pages, more: str) -> str:
    """Two processes print on, one after the other; the child ends as a forked child does."""
    pid = os.fork()
    if pid == 0:
        pages.print(50)
        os._exit(0)
    os.waitpid(pid, 0)
    pages.lines += 50
    pages.print(50)
    pages.complete()
    return pages.token


_ENDS = {
    "return": _return,
    "raise": _raise,
    "ignore": _ignore,
    "reject": _reject,
    "exit": _exit,
    "exit_at_once": _exit_at_once,
    "die": _die,
    "retry": _retry,
    "replace": _replace,
    "wait": _wait,
    "go_on": _go_on,
    "until_told": _until_told,
    "fork": _fork,
}
