"""The spool: files in which a run's output lies from the moment it is written until it is shipped.

One directory for each worker, held by its main process through a lock on ``owner.lock``; in it, for each run:

| file | written by | holds |
|---|---|---|
| ``<name>.out`` | whoever writes the task's output | the bytes; only ever appended to |
| ``<name>.run`` | the process that runs the task | what it is, later its end (JSON lines); locked by a pool child |
| ``<nonce>.quiet`` | the handler of log records | which ranges the console has already: pairs (start, length) |
| ``<nonce>.err`` | the task's sys.stderr | which ranges it wrote: pairs (start, length) |
| ``<nonce>.progress`` | the task | the latest progress (JSON) |
| ``<nonce>.events`` | the task | what a LiveTask emits, a line of JSON each, after a line about the run |
| ``<nonce>.groups`` | the task | process groups of commands that must not outlive the run |
| ``<nonce>.stop`` | the shipper | that somebody wishes that the run stops, and who (JSON) |
| ``<nonce>.base`` | the shipper | where the oldest byte that is still held stands (JSON) |

and ``console``, the path of the file that stands for the console, where there is one; and ``stops``, which tasks shall
not begin, from the shipper for the main process (lines of JSON).

A run has the two files of its nonce, unless the run before it in the same pool process printed nothing: then that one's
files are handed on, for making and deleting them costs more than all else that is done for a run. They are only if
nobody else has the output open, which the system is asked (``_is_ours_alone``): a child that was left behind may print
later, and the shipper takes what it has open for the run that it opened it for. So it opens the output first, and
then looks whether the run has ended (``household``); of a run that has ended with no bytes it opens nothing.

The lock is a POSIX one (``lockf``): children that a task starts do not inherit it, as they would a ``flock``, so it is
free at the moment its process dies. Its price: closing any descriptor of the file drops it, so its process opens the
file once. A file is written whole under another name and then renamed: whoever sees it sees all of it; but for the .run
file, whose first line counts when it has its end: a rename costs more than all else that is done for a run.

This module knows files only; nothing of Celery, nothing of Redis.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from json.encoder import encode_basestring as _quoted
from pathlib import Path
from typing import Any, NamedTuple

from livetask.worker.room import RESERVED_BYTES, reserve
from livetask.worker.small_files import write_at_once

OWNER_LOCK = "owner.lock"
CONSOLE = "console"
STOPS = "stops"
BELL = "bell"
"""A FIFO in the directory: the worker's processes tell the shipper through it what files cannot say."""

RUN_BYTES = 256 * 1024
"""A .run file is never larger: a run's facts have some thousand characters, an end with its traceback ten thousand."""

_HANDED_ON_BYTES = 192 * 1024
"""A .run file of this size is not handed on any more: some 250 short runs have had it by then. To make one costs as
much as twenty runs that are handed theirs."""

_HAS_LEASES = hasattr(fcntl, "F_SETLEASE")
_WITHOUT_EFFECT = signal.SIGURG

_encoded = json.JSONEncoder(ensure_ascii=False, default=repr).encode
"""Made once: json.dumps makes an encoder for each call, which takes longer than a run's facts."""


def new_nonce() -> str:
    """Twelve random characters of a-z and 2-7 that name a run."""
    return secrets.token_bytes(12).translate(_LETTERS).decode()


_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8


class RunFacts(NamedTuple):
    """What is known of a run when it begins. A tuple, since one is made, written and read for every task.

    ``begun_ms``: wall clock. ``locked``: its process holds a lock on it. ``pool``: Celery's name for the kind of it.
    ``call``: the fields that keep its arguments for another run (``livetask.arguments``). ``owner``: who sent the task
    by livetask, '' if nobody is known to have. ``begun_ns``: the monotonic clock of the machine, which orders the runs
    of one worker when the wall clock is set back between them. ``retries``: how often the task was tried before.
    ``received_ms``: when its worker has received it, wall clock, 0 if nobody knows.
    """

    task_id: str
    name: str
    nonce: str
    why: str
    queue: str
    root_id: str
    parent_id: str
    args: str
    kwargs: str
    pid: int
    host: str
    worker: str
    begun_ms: int
    locked: bool
    pool: str = ""
    call: dict[str, str] = {}  # noqa: RUF012 - nobody changes the facts of a run
    owner: str = ""
    begun_ns: int = 0
    retries: int = 0
    received_ms: int = 0

    def as_bytes(self) -> bytes:
        """A line with a list of them, in this order: half as long to write, and a third as long to read, as by name.

        Each is written as what it is; an encoder would find that out of all of them.
        """
        call = self.call and ", ".join([f"{_quoted(key)}: {_quoted(text)}" for key, text in self.call.items()])
        line = (
            f"[{_quoted(self.task_id)}, {_quoted(self.name)}, {_quoted(self.nonce)}, {_quoted(self.why)}, "
            f"{_quoted(self.queue)}, {_quoted(self.root_id)}, {_quoted(self.parent_id)}, {_quoted(self.args)}, "
            f"{_quoted(self.kwargs)}, {self.pid}, {_quoted(self.host)}, {_quoted(self.worker)}, {self.begun_ms}, "
            f"{'true' if self.locked else 'false'}, {_quoted(self.pool)}, {{{call or ''}}}, {_quoted(self.owner)}, "
            f"{self.begun_ns}, {self.retries}, {self.received_ms}]\n"
        )
        return line.encode("utf-8", "backslashreplace")

    @classmethod
    def parse(cls, data: bytes) -> RunFacts:
        """Read what ``as_bytes`` wrote, or wrote when it gave each fact its name; ValueError if it is neither."""
        return cls.of(json.loads(data.partition(b"\n")[0]))

    @classmethod
    def of(cls, found: Any) -> RunFacts:
        """The facts in a line that was read; ValueError if it is something else."""
        if isinstance(found, list) and len(found) >= _FACTS_OF_LISTS:
            return cls(*found[: len(cls._fields)])
        if isinstance(found, dict) and found.keys() >= _FACTS_OF_BEFORE:
            return cls(**{name: found[name] for name in cls._fields if name in found})
        raise ValueError("not the facts of a run")


_FACTS_OF_LISTS = len(RunFacts._fields)
_FACTS_OF_BEFORE = frozenset(RunFacts._fields) - {"owner", "begun_ns", "retries", "received_ms"}
"""What also the oldest spools say that may be found."""


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run. ``name``: of the two that it may have been handed, '' for its nonce."""

    directory: Path
    nonce: str
    name: str = ""

    def of(self, kind: str) -> str:
        """The path of the file of that kind: out, run, quiet, err, progress, end, base."""
        name = self.name if self.name and kind in _HANDED_ON else self.nonce
        return f"{self.directory}/{name}.{kind}"

    def remove(self) -> None:
        """Delete all files of the run; the one that makes it visible goes first."""
        self._remove(*_HANDED_ON, *_BESIDE)

    def remove_shared(self) -> None:
        """Delete the two that runs may have in turn."""
        self._remove(*_HANDED_ON)

    def remove_beside(self) -> None:
        """Delete those that are the run's alone."""
        self._remove(*_BESIDE)

    def _remove(self, *kinds: str) -> None:
        for kind in kinds:
            with suppress(FileNotFoundError):
                os.unlink(self.of(kind))  # noqa: PTH108 - a Path costs more than the call


_HANDED_ON = ("run", "out")
_BESIDE = ("quiet", "err", "progress", "events", "groups", "base", "stop")
KINDS = frozenset((*_HANDED_ON, *_BESIDE))
"""Of the files that runs have."""


def home_of(spool_dir: str, redis_url: str, prefix: str) -> Path:
    """The directory in which the directories of all workers of this user lie that ship to the same place.

    ``spool_dir``: where to put it; '' for the system's temporary directory. What is relative is so to where this
    process is now: tasks may go elsewhere.
    """
    ships_to = zlib.crc32(f"{redis_url}\n{prefix}".encode())
    return Path(spool_dir or tempfile.gettempdir()).absolute() / f"livetask-{os.getuid()}" / f"{ships_to:08x}"


def make_directory(home: Path) -> tuple[Path, int]:
    """Make a directory for this process' runs, below ``home``; nobody but this user can enter it.

    Returns it with the descriptor whose lock holds it. It becomes visible when it is locked already: one without a
    lock is taken for a dead worker's. Raises OSError, also when somebody else owns what should be ours.
    """
    home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if home.parent.stat().st_uid != os.getuid():
        raise PermissionError(f"{home.parent} belongs to somebody else")
    home.mkdir(mode=0o700, exist_ok=True)
    name = f"{os.getpid()}.{new_nonce()}"
    hidden = home / f".{name}"
    hidden.mkdir(mode=0o700)
    os.mkfifo(hidden / BELL, 0o600)
    lock_fd = take_lock(hidden / OWNER_LOCK)
    assert lock_fd is not None, "nobody else can know the name yet"
    hidden.rename(home / name)
    return home / name, lock_fd


def left_behind(home: Path) -> Iterator[tuple[Path, int]]:
    """The directories of workers that have died, each with the descriptor whose lock holds it from now on."""
    for directory in sorted(home.glob("[0-9]*.*")):
        try:
            lock_fd = take_lock(directory / OWNER_LOCK)
        except OSError:
            continue
        if lock_fd is not None:
            yield directory, lock_fd


def take_lock(path: str | Path) -> int | None:
    """Lock the file, made if needed, and return the descriptor that holds the lock; None if another process has it.

    The lock is gone when this process ends or closes any descriptor of the file.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(fd)
        return None
    return fd


def is_locked(fd: int) -> bool:
    """Whether another process holds a lock on the file; ``fd`` must be open for writing."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    fcntl.lockf(fd, fcntl.LOCK_UN)
    return False


def _end_line(nonce: str, end: dict[str, Any]) -> bytes:
    """One line of JSON. A lone surrogate becomes the escape sequence that JSON has for it.

    Most runs end well, of which there is little to say: that is written down without an encoder.
    """
    if end.keys() == _ENDED_WELL and not end["detail"]:
        how, at_ms, result, size = _quoted(end["how"]), end["at_ms"], _quoted(end["result"]), end["size"]
        line = f'{{"nonce": "{nonce}", "how": {how}, "at_ms": {at_ms}, "result": {result}, "size": {size}}}'
    else:
        line = _encoded({"nonce": nonce, **end})
    return line.encode("utf-8", "backslashreplace") + b"\n"


_ENDED_WELL = {"how", "at_ms", "detail", "result", "size"}


class SpoolFiles:
    """The two files that runs of one process have in turn. ``out_fd``: append-only, -1 between runs."""

    def __init__(self, directory: Path, name: str, *, locked: bool) -> None:
        """Make them. Raises OSError."""
        self.name = name
        self._out = f"{directory}/{name}.out"
        self._pid = os.getpid()
        self._run_fd = -1
        self._run_bytes = 0
        self.out_fd = os.open(self._out, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        reserve(self.out_fd, 0, RESERVED_BYTES)
        try:
            self._run_fd = os.open(f"{directory}/{name}.run", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if locked:
                fcntl.lockf(self._run_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise

    def write(self, line: bytes) -> None:
        """Add a line about a run. Raises OSError."""
        if self._run_fd >= 0:
            self._run_bytes += len(line)
            write_at_once(self._run_fd, line)

    def again(self) -> bool:
        """Make ready for another run; False, and all is closed, if that must have files of its own."""
        with suppress(OSError):
            if _HAS_LEASES and self._run_bytes < _HANDED_ON_BYTES and self._pid == os.getpid():
                self.out_fd = os.open(self._out, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                if _is_ours_alone(self.out_fd):
                    return True
        self.close()
        return False

    def close_out(self) -> None:
        """Nobody may write to the descriptor any more."""
        if self.out_fd >= 0:
            os.close(self.out_fd)
            self.out_fd = -1

    def let_go(self) -> None:
        """Drop the lock: no other run will have these files."""
        if self._run_fd >= 0:
            os.close(self._run_fd)
            self._run_fd = -1

    def close(self) -> None:
        self.let_go()
        self.close_out()


def _is_ours_alone(out_fd: int) -> bool:
    """Whether the file is empty and nobody else has it open; the room that was reserved in it is there, then.

    The system gives a lease for writing only to the one description of a file that there is (fcntl(2), F_SETLEASE):
    children, copies of descriptors and the shipper have another one. Where there are no leases the answer is no.
    Somebody who opens the file while the lease is held, for microseconds, waits; its signal is one that does nothing.
    """
    fcntl.fcntl(out_fd, fcntl.F_SETSIG, _WITHOUT_EFFECT)
    fcntl.fcntl(out_fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    fcntl.fcntl(out_fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    found = os.fstat(out_fd)
    if found.st_size == 0 and found.st_blocks * 512 < RESERVED_BYTES:
        reserve(out_fd, 0, RESERVED_BYTES)
    return found.st_size == 0


class RunSpool:
    """The files of a run that goes on in this process.

    ``out_fd``: append-only; file descriptors 1 and 2 of the task may point at it. ``handed_on``: the two files that
    another run may have, once this one has ended without a byte, else None.
    """

    def __init__(self, directory: Path, facts: RunFacts, files: SpoolFiles | None = None) -> None:
        """Open the run, in ``files`` that were handed on or in its own.

        It is visible to the shipper when this returns. Raises OSError.
        """
        self.facts = facts
        self._files = files or SpoolFiles(directory, facts.nonce, locked=facts.locked)
        self.paths = RunPaths(directory, facts.nonce, self._files.name)
        self.handed_on: SpoolFiles | None = None
        self.out_fd = self._files.out_fd
        try:
            self._files.write(facts.as_bytes())
        except OSError:
            self.close()
            if files is None:
                self.paths.remove()
            raise

    @property
    def name(self) -> str:
        """The name of its files."""
        return self._files.name

    def size_bytes(self) -> int:
        return os.fstat(self.out_fd).st_size

    def end(self, end: dict[str, Any], *, hand_on: bool = False) -> None:
        """Write down how the run ended, then let go of its lock, unless the files are handed on. Raises OSError."""
        try:
            self._files.write(_end_line(self.facts.nonce, end))
            self.handed_on = self._files if hand_on else None
        finally:
            if self.handed_on is None:
                self._files.let_go()

    def close(self) -> None:
        """Close all that is not handed on; nobody may write to the run's descriptor any more."""
        self.out_fd = -1
        if self.handed_on is not None:
            self.handed_on.close_out()
        else:
            self._files.close()
