"""The console gets every byte of every run but those it has already."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from livetask.worker.capture import OpenRun
from livetask.worker.spool import RunFacts, RunPaths, new_nonce
from livetask.worker.teeing import Tee
from tests.system.rig import wait_for


class Console:
    """A tee, a run, and what came out."""

    def __init__(self, directory: Path) -> None:
        facts = RunFacts("t", "n", new_nonce(), "first", "q", "", "", "", "", 1, "h", "w", 1, False)
        self.run = OpenRun(directory, facts, None)
        self.paths = RunPaths(directory, facts.nonce)
        self.path = directory / "console"
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.tee = Tee(self.fd)

    def write(self, data: bytes) -> None:
        os.write(self.run.spool.out_fd, data)

    def finish(self) -> bytes:
        self.tee.ended(self.paths.nonce, self.run.spool.size_bytes())
        self.tee.finish(10)
        return self.path.read_bytes()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    found = Console(tmp_path)
    yield found
    found.run.close()
    os.close(found.fd)


def test_records_are_left_out_and_all_else_is_shown(console: Console) -> None:
    console.tee.follow(console.paths)
    console.tee.start()
    wanted = b""
    for number in range(500):
        line = b"print %d\n" % number
        console.write(line)
        wanted += line
        console.run.write_record(b"record %d\n" % number, mark=True)
    console.write(b"no end")
    assert console.finish() == wanted + b"no end"


def test_a_line_without_an_end_is_shown_after_a_moment(console: Console) -> None:
    console.tee.follow(console.paths)
    console.tee.start()
    console.write(b"partial")
    wait_for("it", lambda: console.path.read_bytes() == b"partial")
    console.finish()


def test_what_the_spool_gave_up_is_named_by_its_size(console: Console) -> None:
    console.write(b"a line\n" * 10_000)
    console.tee.follow(console.paths)
    console.tee.freed(console.paths.nonce, 69_993)
    console.tee.start()
    assert console.finish() == b"[livetask: 69993 bytes left out here; the console was too slow]\na line\n"


def test_a_console_that_blocks_holds_nobody_else(tmp_path: Path) -> None:
    console = Console(tmp_path)
    read, write = os.pipe()
    console.tee = Tee(write)
    console.tee.follow(console.paths)
    console.tee.start()
    console.write(b"x" * 1_000_000)
    console.tee.ended(console.paths.nonce, 1_000_000)
    console.tee.finish(0.2)
    assert not console.tee.finished
    os.set_blocking(read, False)
    shown = bytearray()

    def drained() -> bool:
        with contextlib.suppress(BlockingIOError):
            shown.extend(os.read(read, 1 << 20))
        return console.tee.finished and len(shown) == 1_000_000

    wait_for("all of it", drained, every_s=0.001)
    console.run.close()
    for fd in (console.fd, read, write):
        os.close(fd)


def test_a_console_that_is_gone_does_not_matter(tmp_path: Path) -> None:
    console = Console(tmp_path)
    read, write = os.pipe()
    os.close(read)
    console.tee = Tee(write)
    console.tee.follow(console.paths)
    console.tee.start()
    console.write(b"nobody reads this\n")
    console.finish()
    assert console.tee.finished
    console.run.close()
    os.close(console.fd)
    os.close(write)
