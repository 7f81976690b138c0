"""Python processes that begin warm: forked from one that has imported what all of them import from others.

Most of what a worker, a server or a command costs until it does anything is importing Celery, redis-py, aiohttp and
Socket.IO, and the tests start hundreds. ``started`` gives a process that runs ``python -m MODULE ...`` as it would run
from its beginning, in a session of its own, with its own environment, and with nothing of livetask imported before it.
Where that would not be the same (gevent and eventlet patch what others import, a sitecustomize is to run first,
coverage is to be measured), and where the system has no pidfds, it is begun cold.

Run as a program, this file is the parent; as that it knows the standard library and what it imports for its children.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

MODULES = ("celery", "livetask", "livetask.demo")
"""What may be begun warm."""

COLD = "LIVETASK_TEST_COLD"
"""Set, everything is begun cold: `make cov` measures processes from their beginning."""

_IMPORTED = (
    "celery.bin.celery", "celery.bin.worker", "celery.apps.worker", "celery.worker.consumer", "celery.worker.worker",
    "celery.concurrency.prefork", "celery.concurrency.thread", "celery.concurrency.solo", "celery.backends.redis",
    "celery.app.amqp", "celery.app.control", "celery.app.events", "celery.app.log", "celery.fixups.django",
    "celery.loaders.app", "kombu.transport.redis", "redis.asyncio", "socketio", "aiohttp.web", "aiohttp_jinja2",
    "jinja2", "prometheus_client",
)  # fmt: skip
_MESSAGE_BYTES = 128 * 1024


class Warm:
    """A process that runs, as `subprocess.Popen` shows it."""

    def __init__(self, parent: _Parent, pid: int, args: list[str]) -> None:
        self.args, self.pid = args, pid
        self.returncode: int | None = None
        self._parent, self._looking = parent, threading.Lock()
        self._fd = os.pidfd_open(pid)

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def _ended(self, within_s: float | None) -> int | None:
        with self._looking:
            if self.returncode is None:
                ended = select.poll()
                ended.register(self._fd, select.POLLIN)
                if ended.poll(None if within_s is None else within_s * 1000):
                    self.returncode = self._parent.asked({"ended": self.pid})
                    os.close(self._fd)
            return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Parent:
    """The process that forks, one for this process of tests. It ends with it."""

    def __init__(self) -> None:
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asking = threading.Lock()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(its.fileno())], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                pass_fds=[its.fileno()], env=_plain(os.environ), start_new_session=True,
            )  # fmt: skip
        atexit.register(self._end)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait(30)

    def asked(self, order: dict[str, Any], fds: list[int] | None = None) -> int:
        with self._asking:
            socket.send_fds(self._socket, [json.dumps(order).encode()], fds or [])
            answer = self._socket.recv(_MESSAGE_BYTES)
        assert answer, "the parent of warm processes has ended"
        return int(answer)


@cache
def _parent() -> _Parent:
    return _Parent()


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what a child is given of its own."""
    return {name: text for name, text in environ.items() if name not in ("PYTHONPATH", "PYTHONWARNINGS")}


def started(command: list[str], out: int, err: int, env: dict[str, str], cwd: Path) -> subprocess.Popen[bytes] | Warm:
    """Start ``command`` in a session of its own, with these files for its output and nothing to read."""
    if _can_be_warm(command, env):
        order = {"words": command[2:], "env": env, "cwd": str(cwd)}
        return Warm(_parent(), _parent().asked(order, [out, err]), command)
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd, start_new_session=True
    )


def ran(command: list[str], env: dict[str, str], cwd: Path, within_s: float = 90) -> subprocess.CompletedProcess[bytes]:
    """Run ``command`` to its end, and keep what it says. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = started(command, out.fileno(), err.fileno(), env, cwd)
        try:
            code = process.wait(within_s)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), err.read())


def _can_be_warm(command: list[str], env: dict[str, str]) -> bool:
    if not hasattr(os, "pidfd_open") or COLD in os.environ:
        return False
    if command[:2] != [sys.executable, "-m"] or command[2] not in MODULES:
        return False
    if any("gevent" in word or "eventlet" in word for word in command):
        return False
    own = {name: text for name, text in env.items() if name.startswith(("PYTHON", "LD_"))}
    if _plain(own) != {name: text for name, text in _plain(os.environ).items() if name.startswith(("PYTHON", "LD_"))}:
        return False
    places = env.get("PYTHONPATH", "").split(os.pathsep)
    return env.get("PYTHONWARNINGS", "ignore") == "ignore" and not any(
        Path(place, "sitecustomize.py").exists() for place in places
    )


# ---------------------------------------------------------------- the parent, and what it becomes


def main() -> None:
    """Fork a child for each order, until the tests are over; in a child, run what it was ordered."""
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        for name in _IMPORTED:
            importlib.import_module(name)
        gc.collect()
        gc.freeze()
        order, fds = _ordered(connection)
    if order:
        _become(order, fds)
        sys.argv = order["words"]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _ordered(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """In each child its order, with its files; in the parent nothing, when the tests are over."""
    while True:
        message, fds, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 2)
        if not message:
            return {}, []
        order = json.loads(message)
        if "ended" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["ended"], 0)[1])
        elif (answer := os.fork()) == 0:
            return order, fds
        for fd in fds:
            os.close(fd)
        connection.send(str(answer).encode())


def _become(order: dict[str, Any], fds: list[int]) -> None:
    """Be as a process is that has just begun with this order."""
    os.setsid()
    for fd, place in zip(fds, (1, 2), strict=True):
        os.dup2(fd, place)
        os.close(fd)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    first = [order["cwd"], *filter(None, order["env"].get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:] = [*first, *(place for place in sys.path[1:] if place not in first)]
    if "PYTHONWARNINGS" in order["env"]:
        sys.warnoptions.append("ignore")
        warnings.simplefilter("ignore")


if __name__ == "__main__":
    main()
