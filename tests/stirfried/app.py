"""Tasks as they are written for StirfriedTask, with its import changed; and some without a ``room``."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery

from livetask.worker import LiveTask

app = Celery("stirfried", task_cls=LiveTask, set_as_current=False)
app.config_from_object("tests.stirfried.tasks_settings")


@app.task(name="add")
def add(x: Any, y: Any, room: str | None = None) -> Any:
    return x + y


@app.task(name="count", bind=True)
def count(self: Any, upto: int, room: str | None = None) -> int:
    for number in range(1, upto + 1):
        print(f"line {number}")
        self.emit_progress(number, upto, info={"at": number})
    print("the end")
    return upto


@app.task(name="fails")
def fails(text: str) -> None:
    raise ValueError(text)


@app.task(name="again", bind=True)
def again(self: Any, room: str | None = None) -> str:
    print("attempt", self.request.retries)
    if not self.request.retries:
        raise self.retry(countdown=0, exc=KeyError("k"))
    return "done"


@app.task(name="killed", bind=True)
def killed(self: Any) -> None:
    self.emit_progress(1, 2)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="gate", bind=True)
def gate(self: Any, path: str) -> str:
    """Tell progress 1, wait for a file, tell progress 2 and 3."""
    self.emit_progress(1, 3)
    while not Path(path).exists():
        time.sleep(0.02)
    self.emit_progress(2, 3)
    self.emit_progress(3, 3, info=b"\x00\xff")
    return "over"


@app.task(name="flood", bind=True)
def flood(self: Any, times: int) -> str:
    for number in range(times):
        self.emit_progress(number, times)
    return "over"


@app.task(name="large")
def large(size: int) -> str:
    return "x" * size


@app.task(name="which_room")
def which_room(room: str | None = None) -> str | None:
    return room


@app.task(name="wants_room")
def wants_room(room: str) -> str:
    return room


@app.task(name="parent")
def parent(room: str | None = None) -> str:
    found: str = app.tasks["add"].delay(1, 1, room=room).id
    return found


@app.task(name="whoami")
def whoami(user: str = "nobody") -> str:
    return user


@app.task(name="interleave", bind=True)
def interleave(self: Any, upto: int) -> None:
    for number in range(upto):
        sys.stdout.write(f"{number};")
        self.emit_progress(number, upto)


@app.task(name="reverse")
def reverse(data: bytes) -> bytes:
    assert isinstance(data, bytes)
    return data[::-1]
