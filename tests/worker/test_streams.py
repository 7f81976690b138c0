"""What a task's stdout is: exact, at once in the file, and never an error for the task."""

from __future__ import annotations

import io
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.worker import streams
from livetask.worker.guard import blunders, guarded
from livetask.worker.streams import Router, SpoolRaw, SpoolText


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def text(out: Path) -> Iterator[SpoolText]:
    fd = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    yield SpoolText(SpoolRaw(fd))
    os.close(fd)


def test_every_piece_is_in_the_file_at_once(text: SpoolText, out: Path) -> None:
    text.write("par")
    assert out.read_bytes() == b"par"
    print("tial", end="", file=text)
    assert out.read_bytes() == b"partial"


def test_all_that_code_expects_of_stdout_is_there(text: SpoolText, out: Path) -> None:
    assert isinstance(text, io.TextIOWrapper)
    assert text.encoding == "utf-8"
    assert not text.isatty()
    assert text.writable()
    assert text.fileno() == text.buffer.fileno()
    text.buffer.write(b"\xff\n")
    text.buffer.raw.write(memoryview(b"view\n"))  # type: ignore[attr-defined]
    text.writelines(["a\n", "b\n"])
    text.flush()
    text.close()
    print("after close", file=text)
    assert out.read_bytes() == b"\xff\nview\na\nb\nafter close\n"


def test_a_task_may_take_stdout_apart_and_so_may_the_next_one(text: SpoolText, out: Path) -> None:
    for word in ("first", "second"):
        wrapper = io.TextIOWrapper(text.detach(), "utf-16-le")
        print(word, file=wrapper, flush=True)
        del wrapper
        print("then", file=text)
    assert out.read_bytes() == b"".join(word.encode("utf-16-le") + b"then\n" for word in ("first\n", "second\n"))


def test_what_is_no_text_is_refused_as_ever(text: SpoolText) -> None:
    with pytest.raises(TypeError):
        text.write(b"bytes")  # type: ignore[arg-type]


@given(st.text())
def test_any_text_is_written(text: str) -> None:
    read, write = os.pipe()
    assert SpoolText(SpoolRaw(write)).write(text) == len(text)
    os.close(write)
    assert _read_all(read) == text.encode("utf-8", "backslashreplace")


def test_a_full_disk_costs_output_but_raises_nothing() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    text = SpoolText(SpoolRaw(fd))
    print("lost", file=text)
    assert text.take_lost() == len("lost\n")
    assert text.take_lost() == 0
    os.close(fd)


def test_a_print_on_a_full_disk_does_not_look_through_all_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look takes twenty times as long as the print, and a task may print a million lines more."""
    looks: list[int] = []
    monkeypatch.setattr(signal, "getsignal", looks.append)
    fd = os.open("/dev/full", os.O_WRONLY)
    text = SpoolText(SpoolRaw(fd))
    for _ in range(3):
        print("lost", file=text)
    os.close(fd)
    assert (text.take_lost(), looks) == (15, [])


def test_what_a_full_disk_cost_is_said_where_it_is_missing(out: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    raw = SpoolRaw(full)
    text = SpoolText(raw)
    print("lost", file=text)
    raw.fd = os.open(out, os.O_WRONLY | os.O_CREAT)
    print("kept", file=text)
    print("kept too", file=text)
    os.close(raw.fd)
    os.close(full)
    assert out.read_bytes() == b"\n[livetask: 5 bytes could not be written here]\nkept\nkept too\n"
    assert text.take_lost() == 5


def test_a_descriptor_that_does_not_block_takes_everything_all_the_same() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(_read_all(read)))
    reader.start()
    SpoolText(SpoolRaw(write)).write("x" * 1_000_000)
    os.close(write)
    reader.join(30)
    assert found == [b"x" * 1_000_000]


class _Alarm:
    """A handler as a task may have one, in the form of an object; what it raises is an OSError.

    ``waited_for``: the other end of the pipe that is waited for, so that who does not hear the alarm does not hang.
    """

    def __init__(self, waited_for: int) -> None:
        self.waited_for = waited_for

    def __call__(self, number: int, frame: object) -> None:
        os.close(self.waited_for)
        raise TimeoutError("the task's own time is over")


def _rings_during(call: Callable[[], object], handler: Callable[[int, Any], None]) -> None:
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        call()
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("threads", [0, 1])
def test_an_alarm_that_rings_during_a_print_is_heard_by_the_task(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the print waits for is a pipe that is full."""
    monkeypatch.setattr(streams, "_other_threads", lambda: threads)
    read, write = os.pipe()
    text = SpoolText(SpoolRaw(write))
    with pytest.raises(TimeoutError, match="the task's own"):
        _rings_during(lambda: print("x" * 1_000_000, file=text), _Alarm(read))
    assert text.take_lost() == 0
    os.close(write)


@pytest.mark.parametrize("form", [lambda alarm: alarm.__call__, partial], ids=["method", "partial"])
def test_an_alarm_that_rings_while_livetask_notes_something_is_heard_by_the_task(form: Any) -> None:
    read, write = os.pipe()
    note = guarded("an alarm is no failure of livetask's")(os.read)
    with pytest.raises(TimeoutError, match="the task's own"):
        _rings_during(lambda: note(read, 1), form(_Alarm(write)))
    os.close(read)


def test_what_fails_in_livetask_itself_is_not_taken_for_an_alarm() -> None:
    guarded("a file is not there")(os.stat)("/nowhere")
    assert blunders["a file is not there"] == 1


def _read_all(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


def test_lines_of_several_threads_hardly_ever_mix(text: SpoolText, out: Path) -> None:
    def say(sign: str) -> None:
        for number in range(5000):
            print(f"{sign * 20}{number:06d}", file=text)

    threads = [threading.Thread(target=say, args=(sign,)) for sign in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = out.read_bytes().splitlines()
    mixed = [line for line in lines if not re.fullmatch(rb"([abcd])\1{19}\d{6}", line)]
    # With a write that lets other threads run in between it is two lines of three.
    assert len(mixed) < 1000
    assert sum(map(len, lines)) == 4 * 5000 * 26


def test_after_the_run_text_goes_where_it_went_before() -> None:
    before = io.StringIO()
    raw = SpoolRaw(-1, before)
    print("late", file=SpoolText(raw))
    assert before.getvalue() == "late\n"


def test_a_router_asks_for_the_stream_each_time(text: SpoolText, out: Path) -> None:
    console = io.StringIO()
    target: list[SpoolText] = []
    router = Router(console, lambda: target[0] if target else None)
    print("outside", file=router)
    target.append(text)
    print("inside", file=router)
    router.writelines(["more\n"])
    assert (router.fileno(), router.encoding, router.isatty()) == (text.fileno(), "utf-8", False)
    target.clear()
    print("outside", file=router)
    assert console.getvalue() == "outside\noutside\n"
    assert out.read_bytes() == b"inside\nmore\n"
