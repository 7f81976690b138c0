"""A Celery app as anyone would write it: its tasks write in every way there is, and know of nothing that reads it."""

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from celery import Celery
from celery.utils.log import get_task_logger

from tests.system.apps.plan import PAST_PYTHON, Step, steps

app = Celery("sixfold", broker=os.environ["SYSTEM_BROKER_URL"], backend=os.environ["SYSTEM_BACKEND_URL"])
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)
if os.environ.get("SYSTEM_FILESYSTEM"):
    place = os.environ["SYSTEM_FILESYSTEM"]
    app.conf.broker_transport_options = {
        "data_folder_in": place,
        "data_folder_out": place,
        "control_folder": f"{place}-control",
    }

# the library below Celery's result backend speaks at DEBUG, on the root logger and within a task's run
logging.getLogger("redis").setLevel(logging.WARNING)
root_log = logging.getLogger()
task_log = get_task_logger("sixfold")
libc = ctypes.CDLL(None)


@app.task(name="sixfold.write")
def write(mark: str, rounds: int, pause: float = 0.002) -> str:
    """Write all steps of the mark, and give the others a turn after each."""
    for step in steps(mark, rounds):
        written(step)
        time.sleep(pause)
    return mark


@app.task(name="sixfold.write_plainly")
def write_plainly(mark: str, rounds: int, pause: float = 0.0) -> str:
    """The same without what Celery's own stand-in for stdout cannot do: it works in every worker, livetask or not."""
    for step in steps(mark, rounds):
        if step.kind != "raw_bytes":
            written(step)
            time.sleep(pause)
    return mark


@app.task(name="sixfold.print_and_log")
def print_and_log(mark: str, rounds: int, pause: float) -> str:
    """Write all that does not go past Python's own streams."""
    for step in steps(mark, rounds):
        if step.kind not in ("raw_bytes", *PAST_PYTHON):
            written(step)
            time.sleep(pause)
    return mark


@app.task(name="sixfold.fail")
def fail(word: str) -> None:
    """Print and raise."""
    print("before", word)
    raise ValueError(word)


@app.task(name="sixfold.simple")
def simple(lines: int) -> int:
    """Print lines, and return what they add up to."""
    total = 0
    for number in range(lines):
        print("line", number)
        total += number
    return total


def written(step: Step) -> None:
    """Write one step in its own way."""
    token = step.token
    match step.kind:
        case "print" | "stderr":
            print(token, file=sys.stderr if step.kind == "stderr" else sys.stdout)
        case "print_parts":
            print("no end ", end="")
            print(token, 2, 3.0, None)
        case "print_blank":
            print()
            print()
            print(token)
            print("")
        case "unicode" | "nul":
            sys.stdout.write(step.data.decode())
        case "raw_bytes":
            sys.stdout.buffer.write(step.data)
            sys.stdout.buffer.flush()
        case "old_stdout":
            print(token, file=sys.__stdout__, flush=True)
        case "logging_root":
            root_log.log(getattr(logging, step.level), "%s", token)
        case "logging_task":
            task_log.log(getattr(logging, step.level), "%s", token)
        case "child_thread":
            thread = threading.Thread(target=print, args=(token,))
            thread.start()
            thread.join()
        case "executor":
            with ThreadPoolExecutor(1) as executor:
                executor.submit(print, token).result()
        case _:
            written_below(step)


def written_below(step: Step) -> None:
    """Write one step past Python's own streams."""
    match step.kind:
        case "subprocess":
            subprocess.run(["echo", step.token], check=True)
        case "subprocess_stderr":
            subprocess.run(["sh", "-c", 'echo "$0" >&2', step.token], check=True)
        case "os_write":
            os.write(1, step.data)
        case "os_write_raw":
            os.write(2, step.data)
        case "c_write":
            libc.printf(b"%s", step.data)
            libc.fflush(None)
        case _:
            raise ValueError(step.kind)
