"""Starting, talking to, measuring and ending the processes that take part in a measurement.

Every child has an alarm that outlives ``exec``: should the harness itself be killed, the kernel ends the child when its
time is up.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from livetask.service.embedded import KEPT_FREE_BYTES, find_program, free_port

ROOT = Path(__file__).resolve().parents[2]


def cpu_s(pid: int) -> float:
    """User and system time a process has used so far, all its threads together, in seconds.

    The kernel's CPU clock of another process (clock_getcpuclockid(3)) counts nanoseconds; /proc/<pid>/stat only ticks.
    """
    return time.clock_gettime((~pid << 3) | 2)


def peak_rss_bytes(pid: int) -> int:
    """The most memory a process has ever had resident."""
    for text in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if text.startswith("VmHWM:"):
            return int(text.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has ended")


class ChildFailed(Exception):
    """A process of the harness ended, or did not answer in time; carries the end of what it said on stderr."""


class Child:
    """A running process that is talked to in lines. Made by ``started``."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name, self.process, self._log = name, process, log
        self.pid = process.pid
        self._read = b""

    def line(self, timeout_s: float = 20.0) -> str:
        """The next line of its stdout, without the line end; raises ChildFailed."""
        assert self.process.stdout is not None
        until = time.monotonic() + timeout_s
        while b"\n" not in self._read:
            left = until - time.monotonic()
            ready = select.select([self.process.stdout], [], [], max(0.0, left))[0]
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                raise ChildFailed(f"{self.name}: {'it ended' if ready else 'no answer in time'}\n{self.said()}")
            self._read += piece
        text, self._read = self._read.split(b"\n", 1)
        return text.decode()

    def line_with(self, mark: str, timeout_s: float = 20.0) -> str:
        """The next line that holds ``mark``; those before it are passed over."""
        until = time.monotonic() + timeout_s
        while mark not in (text := self.line(until - time.monotonic())):
            pass
        return text

    def tell(self, text: str) -> None:
        """Send one line to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def said(self) -> str:
        """The last lines of its stderr."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-15:])

    def end(self) -> None:
        """End it, by its own pid, with SIGTERM and after 3 s with SIGKILL."""
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class TookTooLong(Exception):
    """A part of the harness was not over in its time."""


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Raise TookTooLong in the block when it takes longer than that. For the main thread only, and not nested."""

    def over(*_: object) -> None:
        raise TookTooLong(f"{what}: not over after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def started(
    name: str, command: Sequence[str], *, limit_s: int = 120, env: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """Run a command until the block is left, at most ``limit_s``. ``env``: is added to the environment."""
    with tempfile.NamedTemporaryFile(prefix="livetask-bench-", suffix=".log") as log:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            preexec_fn=lambda: signal.alarm(limit_s),  # an alarm stays set across exec
        )
        child = Child(name, process, Path(log.name))
        try:
            yield child
        finally:
            child.end()


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]


@dataclass(frozen=True, slots=True)
class Valkey:
    """The store of one run of the harness: empty, without persistence, on a free port."""

    url: str
    port: int
    pid: int


@contextmanager
def valkey(limit_s: int = 1800) -> Iterator[Valkey]:
    """Run the embedded Valkey until the block is left."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="livetask-bench-") as folder:
        flags = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        env = {"MALLOC_TRIM_THRESHOLD_": str(KEPT_FREE_BYTES)}  # as ``make run`` starts it
        with started("valkey", [str(find_program().path), *flags], limit_s=limit_s, env=env) as child:
            child.line_with("Ready to accept connections")
            url = f"redis://127.0.0.1:{port}/0"
            with redis.Redis.from_url(url) as client:
                client.ping()
            yield Valkey(url, port, child.pid)
