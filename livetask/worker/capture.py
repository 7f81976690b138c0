"""Leading a task's output into its run's spool.

Two ways, by pool:

- ``FdCapture`` (prefork, solo): one task at a time has the whole process, so file descriptors 1 and 2 point at the
  spool while it runs. Whatever writes there is in it, C code and child processes too.
- ``ContextCapture`` (threads, gevent, eventlet): several tasks share the process, so sys.stdout and sys.stderr ask in
  whose context they are called. What goes past Python to descriptors 1 and 2 cannot be told apart and goes to the
  console.

A run within a run (a task called eagerly) has its own output; the outer one goes on when it ends. Nothing here knows
Celery or Redis.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import posix
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from livetask.masking import Mask
from livetask.worker.event_log import EventLog
from livetask.worker.spool import RunFacts, RunSpool, SpoolFiles
from livetask.worker.stderr import ErrNotes, ErrRaw, ErrText
from livetask.worker.streams import Router, SpoolRaw, SpoolText
from livetask.worker.within import mark_within

MARK = struct.Struct("<qq")
"""One mark in the quiet file: (start, length) of a range that the console has already got; with a negative length it
says that such a range will come, at ``start`` or later."""

_PLENTY_BYTES = 1024 * 1024 * 1024
_PLENTY_S = 1.0
"""Where so much is free it is not looked again for so long."""

_FREE_LEAST_BYTES = 16 * 1024 * 1024
"""With less room than this on the spool's disk a run is not captured: its children would see their writes fail."""


class SpoolFull(OSError):
    """There is hardly any room on the disk of the spool."""


class OpenRun:
    """A run that goes on in this process.

    ``detail``: what is known of its end so far. ``outer``: the run within which it was called, or None.
    ``size_bytes``: how much it has written, once it has ended. ``has_commands``: commands were started in it that must
    not outlive it. ``stop_seen``: it is known to be cancelled; ``stop_looked_s``: when that was last looked for.
    ``events``: where a LiveTask's events are written, else None. ``notes``: where stderr's output is noted.
    ``replaced``: it has sent a task with its own id, which takes its place or is its retry.
    ``mask``: hides secrets in all that is written down of it, None for nothing to hide.
    """

    def __init__(
        self,
        directory: Path,
        facts: RunFacts,
        outer: OpenRun | None,
        mask: Mask | None = None,
        files: SpoolFiles | None = None,
    ) -> None:
        """Open it. ``files``: those that another run has handed on, None to make new ones. Raises OSError."""
        self.facts = facts
        self.outer = outer
        self.mask = mask
        self.spool = RunSpool(directory, facts, files)
        self.notes = ErrNotes(self.spool.paths)
        self.detail: dict[str, Any] = {}
        self.events: EventLog | None = None
        self.ended = False
        self.has_commands = False
        self.replaced = False
        self.stop_seen = False
        self.stop_looked_s = 0.0
        self.size_bytes = 0
        self._record_fd = -1
        self._quiet_fd = -1
        self._record_pid = 0

    @property
    def task_id(self) -> str:
        return self.facts.task_id

    def write_record(self, data: bytes, mark: bool) -> None:
        """Write a log record's text; ``mark`` it as one that the console does not need. Raises OSError.

        A record goes through a description of its own, whose offset then says where O_APPEND has put it. Calls must
        not overlap within one process.
        """
        if self._record_pid != os.getpid():
            self._open_for_records()
        if self.mask is not None:
            data = self.mask.hidden_at_once(data)
        if mark:
            posix.write(self._quiet_fd, MARK.pack(self.spool.size_bytes(), -len(data)))
        size = posix.write(self._record_fd, data)
        if mark:
            end = os.lseek(self._record_fd, 0, os.SEEK_CUR)
            posix.write(self._quiet_fd, MARK.pack(end - size, size))

    def _open_for_records(self) -> None:
        """Also after a fork in the task: the offset of a shared description would say nothing."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._record_fd = os.open(self.spool.paths.of("out"), flags, 0o600)
        self._quiet_fd = os.open(self.spool.paths.of("quiet"), flags, 0o600)
        self._record_pid = os.getpid()

    def end(self, end: dict[str, Any], *, hand_on: bool = False) -> None:
        """Write down the end; from here on the run's output is complete. ``hand_on``: its files, if it has none."""
        if self.events is not None:
            with suppress(OSError):
                self.events.close()
        self.ended = True
        self.size_bytes = self.spool.size_bytes()
        try:
            hand_on = hand_on and not self.size_bytes and end.get("how") is not None
            self.spool.end({**self._shown(end), "size": self.size_bytes}, hand_on=hand_on)
        finally:
            if self._record_pid == os.getpid():
                os.close(self._record_fd)
                os.close(self._quiet_fd)
                self._record_pid = 0

    def _shown(self, end: dict[str, Any]) -> dict[str, Any]:
        """The end without secrets; a result is given without them."""
        if self.mask is None or not end.get("detail"):
            return end
        shown = self.mask.text
        return {
            **end,
            "detail": {key: shown(one) if isinstance(one, str) else one for key, one in end["detail"].items()},
        }

    def close(self) -> None:
        self.notes.close()
        self.spool.close()


class FdCapture:
    """Capture of a whole process. ``console``: descriptors of what 1 and 2 were before. ``mask``: hides secrets in
    what Python writes, None for nothing to hide."""

    locked = True

    def __init__(self, mask: Mask | None = None) -> None:
        self.mask = mask
        self.console = tuple(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (1, 2))
        self._run: OpenRun | None = None
        self._files: SpoolFiles | None = None  # that the run before has handed on
        self._err = ErrRaw(2, mask=mask)
        self._streams = (SpoolText(SpoolRaw(1, mask=mask)), ErrText(self._err))
        self._before: list[TextIO] = []
        self._flush_c = _c_flush()
        for stream in (sys.__stdout__, sys.__stderr__):
            # Code that kept the first sys.stdout is shown line by line, not when 8 KiB have come together.
            with suppress(AttributeError, ValueError, OSError):
                stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    def current(self) -> OpenRun | None:
        """The run that goes on in this process."""
        return self._run

    def begin(self, directory: Path, facts: RunFacts) -> OpenRun:
        """Open a run and lead the process' output into it. Raises OSError."""
        _check_room(directory)
        files, self._files = self._files if self._run is None else None, None
        if files is not None and not files.again():
            files = None
        run = OpenRun(directory, facts, self._run, self.mask, files)
        self._flush()
        self._lead_to(run.spool.out_fd, run.spool.out_fd)
        if self._run is None:
            self._before = [sys.stdout, sys.stderr]
            sys.stdout, sys.stderr = self._streams
        self._run, self._err.notes = run, run.notes
        mark_within(facts.nonce)
        return run

    def finish(self, run: OpenRun, end: dict[str, Any]) -> None:
        """End the run, and lead the output to where it went before."""
        self._flush()
        outer = run.outer
        if outer is None:
            self._lead_to(*self.console)
            self._restore_streams()
        else:
            self._lead_to(outer.spool.out_fd, outer.spool.out_fd)
        mark_within(None if outer is None else outer.facts.nonce)
        self._run, self._err.notes = outer, None if outer is None else outer.notes
        try:
            lost_bytes = sum(stream.take_lost() for stream in self._streams)
            hand_on = outer is None and not lost_bytes and run.facts.locked
            run.end(_with_losses(end, lost_bytes), hand_on=hand_on)
        finally:
            run.close()
            self._files = run.spool.handed_on

    def stream(self) -> TextIO | None:
        """What text written to the old streams shall go to, or None."""
        return self._streams[0] if self._run is not None else None

    def _lead_to(self, out: int, err: int) -> None:
        posix.dup2(out, 1)
        posix.dup2(err, 2)

    def _restore_streams(self) -> None:
        """Put the old streams back where the task has not put others that stay."""
        if sys.stdout is self._streams[0]:
            sys.stdout = self._before[0]
        if sys.stderr is self._streams[1]:
            sys.stderr = self._before[1]

    def _flush(self) -> None:
        """What was written before a switch must not come out after it."""
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            if stream is not self._streams[0] and stream is not self._streams[1]:  # these hold nothing back
                _flushed(stream)
        self._flush_c()


class ContextCapture:
    """Capture by context. ``console``: descriptors 1 and 2 themselves; they stay as they are. ``mask``: as above."""

    locked = False
    console = (1, 2)

    def __init__(self, mask: Mask | None = None) -> None:
        self.mask = mask
        self._run: ContextVar[OpenRun | None] = ContextVar("livetask_run", default=None)
        self._texts: dict[str, tuple[SpoolText, SpoolText]] = {}
        self._closing: deque[OpenRun] = deque()

    def current(self) -> OpenRun | None:
        """The run in whose context this is called."""
        run = self._run.get()
        while run is not None and run.ended:
            run = run.outer
        return run

    def begin(self, directory: Path, facts: RunFacts) -> OpenRun:
        """Open a run and lead the output of this context into it. Raises OSError."""
        _check_room(directory)
        self._stand_in()
        run = OpenRun(directory, facts, self.current(), self.mask)
        out = SpoolText(SpoolRaw(run.spool.out_fd, _old(sys.stdout), self.mask))
        err = ErrText(ErrRaw(run.spool.out_fd, _old(sys.stderr), run.notes, self.mask))
        self._texts[facts.nonce] = (out, err)
        self._run.set(run)
        return run

    def finish(self, run: OpenRun, end: dict[str, Any]) -> None:
        """End the run; threads of it that go on print to where they would without livetask."""
        self._run.set(run.outer)
        texts = self._texts.pop(run.facts.nonce)
        try:
            run.end(_with_losses(end, sum(text.take_lost() for text in texts)))
        finally:
            for text in texts:
                text.buffer.fd = -1  # type: ignore[attr-defined]
            # A thread may be between reading the descriptor and writing to it: it is not used anew for a while.
            self._closing.append(run)
            if len(self._closing) > 16:
                self._closing.popleft().close()

    def stream(self) -> TextIO | None:
        """The stream of the run in whose context this is called, or None."""
        return self._text(0)

    def _text(self, which: int) -> TextIO | None:
        """The stdout (0) or stderr (1) of that run."""
        run = self.current()
        texts = self._texts.get(run.facts.nonce) if run is not None else None
        return texts and texts[which]

    def carried(self, call: Callable[..., Any], run: OpenRun) -> Callable[..., Any]:
        """``call`` as something that another thread can call within the run."""

        def within(*args: Any, **kwargs: Any) -> Any:
            token = self._run.set(run)
            try:
                return call(*args, **kwargs)
            finally:
                self._run.reset(token)

        return within

    def _stand_in(self) -> None:
        if not isinstance(sys.stdout, Router):
            sys.stdout = Router(sys.stdout, partial(self._text, 0))
        if not isinstance(sys.stderr, Router):
            sys.stderr = Router(sys.stderr, partial(self._text, 1))


Capture = FdCapture | ContextCapture

_plenty: tuple[Path | None, float] = (None, 0.0)
"""Where there was plenty of room, and until when that is believed."""


def _check_room(directory: Path) -> None:
    """Raises SpoolFull if a run must not be captured there."""
    global _plenty
    if _plenty[0] is directory and time.monotonic() < _plenty[1]:
        return
    free = os.statvfs(directory)
    free_bytes = free.f_bavail * free.f_frsize
    if free_bytes < _FREE_LEAST_BYTES:
        raise SpoolFull(f"less than {_FREE_LEAST_BYTES} bytes are free in {directory}")
    if free_bytes > _PLENTY_BYTES:
        _plenty = (directory, time.monotonic() + _PLENTY_S)


_installed: Capture | None = None


def install_capture(capture: Capture) -> None:
    """Make it the capture of this process."""
    global _installed
    _installed = capture


def current_run() -> OpenRun | None:
    """The run in whose context this is called, or None."""
    return _installed.current() if _installed is not None else None


def _flushed(stream: Any) -> bool:
    """Flush it; whether it could be. Without a context manager, of which every run would need eight."""
    try:
        stream.flush()
    except (AttributeError, ValueError, OSError):
        return False
    return True


def _with_losses(end: dict[str, Any], lost_bytes: int) -> dict[str, Any]:
    if not lost_bytes:
        return end
    reason = f"{lost_bytes} bytes of output could not be written to the spool"
    return {**end, "detail": {"reason": reason, **end.get("detail", {})}}


def _old(stream: TextIO) -> TextIO:
    return stream.old if isinstance(stream, Router) else stream


def _c_flush() -> Callable[[], object]:
    """Flush what C code has printed; makes C's stdout line-buffered, so that its lines are shown as they come."""
    try:
        c = ctypes.CDLL(None)
        stdout = ctypes.c_void_p.in_dll(c, "stdout")
        c.setvbuf(stdout, None, 1, ctypes.c_size_t(8192))
        flush = c.fflush
    except (OSError, AttributeError, ValueError):
        return lambda: None
    return lambda: flush(None)
