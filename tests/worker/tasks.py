"""A Celery app whose tasks never mention livetask, except where a test is about its own functions."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from celery import Celery, shared_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.utils.log import get_task_logger


def make_app(broker: str, queue: str) -> Celery:
    found = Celery("tests", broker=broker, backend="cache+memory://", set_as_current=False)
    found.conf.update(task_default_queue=queue, broker_connection_retry_on_startup=True, task_track_started=True)
    found.conf.task_routes = {"tests.formed": {"queue": "beside"}}
    return found


if "LIVETASK_TEST_BROKER" in os.environ:
    app = make_app(os.environ["LIVETASK_TEST_BROKER"], os.environ["LIVETASK_TEST_QUEUE"])
    app.set_default()

logger = get_task_logger(__name__)


def task(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    def made(found: Callable[..., Any]) -> Any:
        return shared_task(name=f"tests.{found.__name__}", **options)(found)

    return made if function is None else made(function)


@task
def say(text: str) -> None:
    print(text)


class _Odd:
    def __repr__(self) -> str:
        return "<object>"


@task(bind=True, rate_limit="10/m", autoretry_for=(OSError,))
def formed(
    self: Any,
    count: int,
    name: str | None = "you",
    deep: dict[str, list[int]] = {"a": [1]},  # noqa: B006 - as users write it
    odd=_Odd(),  # type: ignore[no-untyped-def]  # noqa: B008
    *,
    colour: Literal["red", "blue"] = "red",
    **more: float,
) -> None:
    """Takes all kinds of arguments.

    A second paragraph.
    """


@task
def print_forms() -> None:
    print("a", "b", 3)
    print("no end", end="")
    print()
    print()
    print("x", "y", sep="-", end="!\n", flush=True)
    sys.stdout.write("written\n")
    sys.stdout.writelines(["one\n", "two\n"])
    sys.stdout.buffer.write(b"bytes \xff\x00\n")
    sys.stdout.buffer.flush()
    print("ü ☃ 😀")
    print("bad: \ud800")
    print("carriage\rreturn", file=sys.stderr)
    print("last", end="")


@task
def send_on(text: str) -> str:
    return str(say.delay(text).id)


@task
def both_streams() -> None:
    print("out 1")
    print("err 2", file=sys.stderr)
    print("out 3")
    sys.stderr.write("err 4\nerr 5\n")
    sys.stderr.buffer.write(b"err 6\n")
    print("out ", end="")
    print("err 7, too", file=sys.stderr)
    subprocess.run("echo not told >&2", shell=True, check=True)


@task
def stream_traits() -> list[Any]:
    out = sys.stdout
    subprocess.run([sys.executable, "-c", "print('given')"], stdout=sys.stdout, check=True)
    return [out.encoding.lower(), out.isatty(), out.fileno() >= 0, out.writable(), out.errors is not None]


@task
def below_python() -> None:
    print("python")
    os.write(1, b"os.write\n")
    ctypes.CDLL(None).printf(b"printf\n")
    subprocess.run(["echo", "echo"], check=True)
    subprocess.run("echo err >&2", shell=True, check=True)
    os.system("echo system")
    sys.__stdout__.write("old stdout\n")  # type: ignore[union-attr]
    print("end")


@task
def threads_and_forks() -> None:
    thread = threading.Thread(target=print, args=("thread",))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(print, "executor").result()
    pid = os.fork()
    if pid == 0:
        print("forked")
        os._exit(0)
    os.waitpid(pid, 0)


@task
def log_levels() -> None:
    for source in (logger, logging.getLogger("some.place")):
        source.debug("debug")
        source.info("info")
        source.warning("warning")
        source.error("error")


@task
def record_between_prints(count: int) -> None:
    for number in range(count):
        print(f"print {number}")
        logger.warning("record %s", number)


@task
def number_lines(count: int, pause_s: float = 0.0) -> None:
    for number in range(count):
        print(f"line {number}")
        if pause_s:
            time.sleep(pause_s)


@task
def fail() -> None:
    print("going")
    raise ValueError("bad thing")


@task(bind=True)
def again(self: Any, countdown: int) -> str:
    print("attempt", self.request.retries)
    if not self.request.retries:
        raise self.retry(countdown=countdown, exc=KeyError("k"))
    return "done"


@task
def ignore() -> None:
    print("ignored")
    raise Ignore


@task
def reject() -> None:
    print("rejected")
    raise Reject("no", requeue=False)


@task
def leave(code: int) -> None:
    print("leaving")
    sys.exit(code)


@task
def die(number: int) -> None:
    sys.stdout.write("last words")
    os.kill(os.getpid(), number)
    signal.pause()


@task
def exit_at_once(code: int) -> None:
    sys.stdout.write("last words")
    os._exit(code)


@task
def count_and_die(path: str, seconds: float) -> None:
    """Print numbered lines, and note in a file how many are out, until somebody kills this process."""
    threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    number = 0
    while True:
        print(f"line {number} of some output")
        number += 1
        os.pwrite(fd, b"%020d" % number, 0)


@task(time_limit=1)
def too_long() -> None:
    print("too long")
    time.sleep(60)


@task(soft_time_limit=1, time_limit=10)
def softly_limited() -> str:
    print("begin")
    try:
        while True:
            print(".", end="")
    except SoftTimeLimitExceeded:
        print("limit seen")
    return "handled"


@task
def wait_until(path: str) -> str:
    print("waiting")
    while not Path(path).exists():
        time.sleep(0.02)
    print("over")
    return "over"


@task(bind=True)
def outer(self: Any) -> None:
    print("outer begins")
    inner = self.app.tasks["tests.say"].apply(args=("inner",))
    print("outer ends", inner.state)


@task(bind=True)
def steps(self: Any) -> None:
    for number in range(1, 4):
        self.update_state(state="PROGRESS", meta={"current": number, "total": 3})


@task
def progress(total: int) -> None:
    from livetask.worker import emit_progress

    for number in range(total + 1):
        emit_progress(number, total, {"at": number})


@task
def command(words: list[str] | str, pty: bool = False, check: bool = True) -> int:
    from livetask.worker import run

    return run(words, pty=pty, check=check)


@task
def log_in_a_fork() -> None:
    pid = os.fork()
    if pid == 0:
        logger.warning("from the child")
        os._exit(0)
    os.waitpid(pid, 0)
    logger.warning("from the parent")


@task
def busy(seconds: float) -> float:
    """Print for a while; returns how long the loop took in the end."""
    begun = time.perf_counter()
    for number in range(2000):
        print("line", number)
    return time.perf_counter() - begun


@task
def until_cancelled(path: str, ending: str) -> str:
    """Work in small steps until cancelled; ``ending``: 'raise' at a checkpoint, or 'return'."""
    from livetask.worker import cancelled, checkpoint

    print("working")
    try:
        while not Path(path).exists():
            if ending == "return" and cancelled():
                return "tidied up"
            if ending == "raise":
                checkpoint()
            time.sleep(0.01)
    finally:
        print("cleaned up")
    return "over"


@task
def family(path: str) -> None:
    """Start children in every way there is, note their numbers in a file, and wait."""
    from livetask.worker import run

    sleep = ["sleep", "600"]
    found = [subprocess.Popen(sleep).pid, subprocess.Popen(sleep, env={"PATH": os.environ["PATH"]}).pid]
    found.append(subprocess.Popen("sleep 600 & exec sleep 600", shell=True).pid)
    found.append(subprocess.Popen(sleep, start_new_session=True).pid)
    if threading.current_thread() is threading.main_thread() and (pid := os.fork()) == 0:
        while True:
            time.sleep(1)
    elif threading.current_thread() is threading.main_thread():
        found.append(pid)
    Path(path).write_text(" ".join(map(str, found)))
    run(sleep)


@task
def leak(*parts: str, fail: bool = False, **more: Any) -> Any:
    """Write a secret, which comes in parts, by every way there is."""
    whole = "".join(parts)
    print("print", whole)
    for part in parts:
        print(part, end="")
    print()
    logger.warning("record %s", whole)
    for part in parts:
        os.write(1, part.encode())
        time.sleep(0.1)
    os.write(1, b"\n")
    subprocess.run(["echo", "child", whole], check=True)
    print("value", os.environ.get("LEAK_PASSWORD"))
    if fail:
        raise ValueError(f"cannot use {whole}")
    return {"whole": whole, "password": "swordfish", "kept": "shown", **more}


@task
def leak_progress(*parts: str) -> None:
    from livetask.worker import emit_progress

    emit_progress(1, 2, {"about": "".join(parts)})


@task
def nothing() -> None:
    """Print nothing."""


@task
def leave_a_child_that_prints(seconds: float) -> None:
    """Print nothing, and leave a process behind that does, for a while."""
    code = f"import time\nwhile time.process_time() < {seconds}: print('late', flush=True)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
