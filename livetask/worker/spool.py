"""The spool: files in which a run's output lies from the moment it is written until it is shipped.

One directory for each worker, held by its main process through a lock on ``owner.lock``; in it, for each run:

| file | written by | holds |
|---|---|---|
| ``<nonce>.out`` | whoever writes the task's output | the bytes; only ever appended to |
| ``<nonce>.run`` | the process that runs the task | what it is, later its end (JSON lines); locked by a pool child |
| ``<nonce>.quiet`` | the handler of log records | which ranges the console has already: pairs (start, length) |
| ``<nonce>.err`` | the task's sys.stderr | which ranges it wrote: pairs (start, length) |
| ``<nonce>.progress`` | the task | the latest progress (JSON) |
| ``<nonce>.events`` | the task | what a LiveTask emits, a line of JSON each, after a line about the run |
| ``<nonce>.groups`` | the task | process groups of commands that must not outlive the run |
| ``<nonce>.stop`` | the shipper | that somebody wishes that the run stops, and who (JSON) |
| ``<nonce>.base`` | the shipper | where the oldest byte that is still held stands (JSON) |

and ``console``, the path of the file that stands for the console, where there is one; and ``stops``, which tasks shall
not begin, from the shipper for the main process (lines of JSON).

The lock is a POSIX one (``lockf``): children that a task starts do not inherit it, as they would a ``flock``, so it is
free at the moment its process dies. Its price: closing any descriptor of the file drops it, so its process opens the
file once. A file is written whole under another name and then renamed: whoever sees it sees all of it; but for the .run
file, whose first line counts when it has its end: a rename costs more than all else that is done for a run.

This module knows files only; nothing of Celery, nothing of Redis.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import os
import secrets
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from livetask.worker.room import RESERVED_BYTES, reserve

OWNER_LOCK = "owner.lock"
CONSOLE = "console"
STOPS = "stops"
BELL = "bell"
"""A FIFO in the directory: the worker's processes tell the shipper through it what files cannot say."""

_RUN_BYTES = 256 * 1024
"""A .run file is never larger: its facts have some thousand characters, an end with its traceback ten thousand."""

_encoded = json.JSONEncoder(ensure_ascii=False, default=repr).encode
"""Made once: json.dumps makes an encoder for each call, which takes longer than a run's facts."""


def new_nonce() -> str:
    """Twelve random characters of a-z and 0-9 that name a run."""
    return base64.b32encode(secrets.token_bytes(10))[:12].decode().lower()


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run when it begins.

    ``begun_ms``: wall clock. ``locked``: its process holds a lock on it. ``pool``: Celery's name for the kind of it.
    ``call``: the fields that keep its arguments for another run (``livetask.arguments``). ``owner``: who sent the task
    by livetask, '' if nobody is known to have. ``begun_ns``: the monotonic clock of the machine, which orders the runs
    of one worker when the wall clock is set back between them.
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
    call: dict[str, str] = field(default_factory=dict)
    owner: str = ""
    begun_ns: int = 0

    def as_bytes(self) -> bytes:
        return _line({name: getattr(self, name) for name in _FACTS})

    @classmethod
    def parse(cls, data: bytes) -> RunFacts:
        """Read what ``as_bytes`` wrote; ValueError if it is something else."""
        found = json.loads(data.partition(b"\n")[0])
        names = set(_FACTS)
        if not isinstance(found, dict) or not names - {"owner", "begun_ns"} <= set(found):  # spools of before
            raise ValueError("not the facts of a run")
        return cls(**{name: found[name] for name in names if name in found})


_FACTS = tuple(item.name for item in fields(RunFacts))


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run."""

    directory: Path
    nonce: str

    def of(self, kind: str) -> str:
        """The path of the file of that kind: out, run, quiet, err, progress, end, base."""
        return f"{self.directory}/{self.nonce}.{kind}"

    def remove(self) -> None:
        """Delete all files of the run; the one that makes it visible goes first."""
        for kind in ("run", "out", "quiet", "err", "progress", "events", "groups", "base", "stop"):
            with suppress(FileNotFoundError):
                os.unlink(self.of(kind))  # noqa: PTH108 - a Path costs more than the call


def home_of(spool_dir: str, redis_url: str, prefix: str) -> Path:
    """The directory in which the directories of all workers of this user lie that ship to the same place.

    ``spool_dir``: where to put it; '' for the system's temporary directory.
    """
    ships_to = zlib.crc32(f"{redis_url}\n{prefix}".encode())
    return Path(spool_dir or tempfile.gettempdir()) / f"livetask-{os.getuid()}" / f"{ships_to:08x}"


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


def write_whole(path: str, data: bytes) -> None:
    """Write a file so that nobody ever sees a part of it."""
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(fd, data)
    finally:
        os.close(fd)
    Path(path + ".new").rename(path)


def _write_all(fd: int, data: bytes) -> None:
    """Write all of it with one call; where the disk has room for a part only, OSError."""
    if os.write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(found: dict[str, Any]) -> bytes:
    """One line of JSON. A lone surrogate becomes the escape sequence that JSON has for it."""
    return _encoded(found).encode("utf-8", "backslashreplace") + b"\n"


def read_end(run_fd: int) -> dict[str, Any] | None:
    """How the run ended, as its process wrote it; None if that has not come to it. ``run_fd``: of the .run file."""
    _, _, rest = os.pread(run_fd, _RUN_BYTES, 0).partition(b"\n")
    end, complete, _ = rest.partition(b"\n")
    if not complete:
        return None
    found = json.loads(end)
    return found if isinstance(found, dict) else None


def read_file(path: str, most_bytes: int = _RUN_BYTES) -> bytes:
    """What is in a small file. Raises OSError; mostly as there is none, for which a Path takes ten times as long."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, most_bytes)
    finally:
        os.close(fd)


def read_json(path: str) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no such file or it holds something else."""
    try:
        found = json.loads(read_file(path))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def runs_in(directory: Path) -> Iterator[str]:
    """The nonces of the runs in a worker's directory, in no order."""
    with os.scandir(directory) as found:
        for item in found:
            if item.name.endswith(".run"):
                yield item.name.removesuffix(".run")


class RunSpool:
    """The files of a run that goes on in this process.

    ``out_fd``: append-only; file descriptors 1 and 2 of the task may point at it.
    """

    def __init__(self, directory: Path, facts: RunFacts) -> None:
        """Open the run; it is visible to the shipper when this returns. Raises OSError."""
        self.facts = facts
        self.paths = RunPaths(directory, facts.nonce)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self.out_fd = os.open(self.paths.of("out"), flags, 0o600)
        self._run_fd: int | None = None
        reserve(self.out_fd, 0, RESERVED_BYTES)
        try:
            self._make_visible()
        except OSError:
            self.close()
            self.paths.remove()
            raise

    def _make_visible(self) -> None:
        fd = os.open(self.paths.of("run"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._run_fd = fd
        if self.facts.locked:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write_all(fd, self.facts.as_bytes())

    def size_bytes(self) -> int:
        return os.fstat(self.out_fd).st_size

    def end(self, end: dict[str, Any]) -> None:
        """Write down how the run ended, then let go of its lock."""
        try:
            if self._run_fd is not None:
                _write_all(self._run_fd, _line(end))
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Drop the lock."""
        if self._run_fd is not None:
            os.close(self._run_fd)
            self._run_fd = None

    def close(self) -> None:
        """Close all; nobody may write to the run's descriptor any more."""
        self.let_go()
        if self.out_fd >= 0:
            os.close(self.out_fd)
            self.out_fd = -1
