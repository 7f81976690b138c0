"""A Celery app whose tasks write lines that prove themselves, so that a reader can tell that it has them all."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from celery import Celery

from tests.system.apps.lines import line
from tests.system.apps.pacing import at_rate

app = Celery("numbered", broker=os.environ["SYSTEM_BROKER_URL"], backend=os.environ["SYSTEM_BACKEND_URL"])
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)


@app.task(name="numbered.write")
def write(lines: int, a_second: float) -> int:
    """Print so many lines, spread over the time."""
    _print(1, lines, a_second)
    return lines


@app.task(name="numbered.write_until")
def write_until(lines: int, a_second: float, enough: str) -> int:
    """The same, and then more of them, slowly, until that file is there; returns how many."""
    _print(1, lines, a_second)
    while not Path(enough).exists():
        _print(lines + 1, lines + 20, 200.0)
        lines += 20
    return lines


@app.task(name="numbered.write_and_die")
def write_and_die(lines: int, a_second: float) -> None:
    """Print so many lines, then die as a process does for which memory ran out."""
    write.run(lines, a_second)
    os.kill(os.getpid(), signal.SIGKILL)


def _print(first: int, last: int, a_second: float) -> None:
    for number in at_rate(range(first, last + 1), a_second):
        print(line(number), end="")
