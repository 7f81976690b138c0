"""Running a command inside a task: its output live, its whole tree gone when the task has ended.

The command's descriptors are the run's, in every pool; nothing pumps its output, except from a pty. Celery leaves the
children of a task that is terminated running; here each command has a session of its own, whose group is written down
beside the spool, and an environment variable that its descendants inherit: whoever sees the run's end (the task's
process, or the shipper when that process was killed) ends them all.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty as ptys
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from livetask.errors import CommandFailed
from livetask.worker.capture import OpenRun, current_run
from livetask.worker.small_files import is_there, read_file
from livetask.worker.spool import RunPaths
from livetask.worker.streams import SpoolRaw
from livetask.worker.within import WITHIN

_MARK = "_LIVETASK_RUN"
"""In the environment of all that a run's commands start."""

_PTY_SIZE = struct.pack("HHHH", 40, 120, 0, 0)
_GRACE_S = 1.0


def run(
    cmd: Sequence[str] | str,
    *,
    pty: bool = False,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> int:
    """Run a command and wait for it, its output shown live in the task's; returns its return code.

    ``cmd``: the words of the command; a text is run by the shell. ``pty``: give it a terminal, for programs that hold
    their output back or show no progress otherwise. ``cwd``: where to run it. ``env``: its environment, this process'
    if None. ``check``: raise CommandFailed when it ends with another status than 0.

    When the task ends, by whatever cause, the command and all that it started are killed. Raises OSError if the
    command cannot be started.
    """
    words = ["/bin/sh", "-c", cmd] if isinstance(cmd, str) else [os.fspath(word) for word in cmd]
    current = current_run()
    environ = {**(os.environ if env is None else env), "PYTHONUNBUFFERED": "1"}
    if current is not None:
        environ[_MARK] = current.facts.nonce
    code = _run_in_pty(words, cwd, environ, current) if pty else _run_plainly(words, cwd, environ, current)
    if check and code != 0:
        raise CommandFailed(tuple(words), code)
    return code


def kill_tree(paths: RunPaths) -> None:
    """Kill all that the commands of a run have started and that still runs."""
    if not is_there(paths.of("groups")):
        return
    try:
        groups = [int(word) for word in read_file(paths.of("groups")).split()]
    except (OSError, ValueError):
        return
    mark = f"{_MARK}={paths.nonce}".encode()
    for pid in _processes_with(mark):
        with suppress(OSError):
            # A group's number may be another's by now; one that still has a marked process is ours.
            if (group := os.getpgid(pid)) in groups:
                os.killpg(group, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)


def kill_inherited(paths: RunPaths) -> None:
    """Kill what a run that was stopped has started by itself and that still runs, wherever its process is by now."""
    for pid in _processes_with(f"{WITHIN}={paths.nonce}".encode()):
        with suppress(OSError):
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)


def kill_descendants() -> None:
    """Kill all that this process has started, forks included, which carry no mark: it is about to be gone itself."""
    parents = _parents()
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    for pid in found - {os.getpid()}:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _parents() -> dict[int, int]:
    """The parent of each process, as far as /proc tells."""
    found = {}
    for item in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            found[int(item.parent.name)] = int(item.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    return found


def _processes_with(mark: bytes) -> list[int]:
    """The processes of this user that have the variable in their environment."""
    found = []
    for item in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if item.stat().st_uid == os.getuid() and mark in (item / "environ").read_bytes().split(b"\0"):
                found.append(int(item.name))
    return found


def _run_plainly(words: list[str], cwd: str | Path | None, env: Mapping[str, str], current: OpenRun | None) -> int:
    process = subprocess.Popen(words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
    return _waited(process, current, None)


def _run_in_pty(words: list[str], cwd: str | Path | None, env: Mapping[str, str], current: OpenRun | None) -> int:
    ours, theirs = ptys.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, _PTY_SIZE)
        flags = termios.tcgetattr(theirs)
        flags[1] &= ~termios.ONLCR  # a line ends with \n in the output, as it does without a terminal
        termios.tcsetattr(theirs, termios.TCSANOW, flags)
        process = subprocess.Popen(
            words, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    try:
        return _waited(process, current, ours)
    finally:
        os.close(ours)


def _waited(process: subprocess.Popen[bytes], current: OpenRun | None, terminal: int | None) -> int:
    """Wait for the end of the process; when this is left otherwise, the process and its group go first."""
    try:
        if current is not None:
            _write_down(process.pid, current)
        if terminal is not None:
            _pump(terminal, current)
        return process.wait()
    except BaseException:
        _end_group(process)
        raise


def _write_down(group: int, run: OpenRun) -> None:
    run.has_commands = True
    with suppress(OSError), open_to_append(run.spool.paths.of("groups")) as file:
        file.write(f"{group}\n".encode())


def open_to_append(path: str) -> IO[bytes]:
    """The file, made if needed, such that every write is appended at once."""
    return Path(path).open("ab", buffering=0)


def _pump(terminal: int, run: OpenRun | None) -> None:
    """Copy what comes from the terminal until nobody has it open any more."""
    out = SpoolRaw(1) if run is None else SpoolRaw(run.spool.out_fd, mask=run.mask)
    os.set_blocking(terminal, False)
    while True:
        select.select([terminal], [], [])
        try:
            data = os.read(terminal, 65536)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno == errno.EIO:  # how Linux says that the other side is closed
                return
            raise
        if not data:
            return
        out.put(data)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number, wait_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _GRACE_S)):
        with suppress(OSError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
