"""A real Valkey, real Celery workers, and what Redis holds of their tasks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from livetask.keys import Keys
from livetask.position import START, Position
from livetask.service.embedded import find_program
from tests.real import warm
from tests.real.redis_servers import RealRedis, running_server
from tests.system.rig import ORDERLY, end_trees_at_once, wait_for

CHECKOUT = Path(__file__).resolve().parents[2]
ENDED = {"SUCCESS", "FAILURE", "REVOKED", "IGNORED", "REJECTED", "LOST"}


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """One server for the tests that do not hurt it."""
    with running_server(find_program().path, tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[RealRedis]:
    """A server that the test may kill, flush or stop."""
    with running_server(find_program().path, tmp_path / "valkey") as server:
        yield server


@dataclass
class Stored:
    """What Redis holds under one prefix."""

    client: redis.Redis
    keys: Keys

    def task(self, task_id: str) -> dict[str, str]:
        found: dict[bytes, bytes] = self.client.hgetall(self.keys.task(task_id))
        return {name.decode(): value.decode() for name, value in found.items()}

    def entries(self, task_id: str, run: int = 1) -> list[tuple[Position, dict[bytes, bytes]]]:
        nonce = self.task(task_id)[f"{run}.nonce"]
        found: Any = self.client.xrange(self.keys.output(task_id, nonce))
        return [(Position.parse(at), fields) for at, fields in found]

    def output(self, task_id: str, run: int = 1) -> bytes:
        """The run's output so far; AssertionError if anything is missing, double or misplaced in it."""
        task, at, data = self.task(task_id), START, b""
        for start, fields in self.entries(task_id, run):
            assert start == at, f"an entry at {start} where {at} was to come"
            at = start.after(fields[b"d"])
            data += fields[b"d"]
        if f"{run}.how" in task:
            assert str(at) == task[f"{run}.end"]
        return data

    def ended(self, task_id: str, within_s: float = 90) -> dict[str, str]:
        """The task once it has ended and no run of it goes on."""

        def seen() -> dict[str, str] | None:
            task = self.task(task_id)
            return task if task.get("state") in ENDED and task.get("open", "0") == "0" else None

        return wait_for(f"the end of {task_id}; seen: {self.task(task_id)}", seen, within_s)

    def detail(self, task_id: str, run: int = 1) -> dict[str, Any]:
        found = json.loads(self.task(task_id)[f"{run}.detail"])
        assert isinstance(found, dict)
        return found


@dataclass
class Worker:
    """A Celery worker with the tasks of ``tests.worker.tasks``."""

    process: subprocess.Popen[bytes] | warm.Warm
    log_path: Path
    spool_dir: Path
    stored: Stored
    app: Any

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    def send(self, name: str, *args: Any, **options: Any) -> str:
        task_id = str(uuid.uuid4())
        self.app.send_task(f"tests.{name}", args, task_id=task_id, **options)
        return task_id

    def outcome(self, name: str, *args: Any, **options: Any) -> tuple[str, dict[str, str], bytes]:
        """(id, task, output) of a task that is started now, once it has ended."""
        task_id = self.send(name, *args, **options)
        task = self.stored.ended(task_id)
        return task_id, task, self.stored.output(task_id, int(task["runs"]))

    def children(self) -> list[int]:
        """The processes whose parent is the worker's main process."""
        found = []
        for item in Path("/proc").glob("[0-9]*/stat"):
            try:
                after_name = item.read_text("utf-8", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(after_name[1]) == self.process.pid:
                found.append(int(item.parent.name))
        return found

    def shipper_pid(self) -> int:
        """The worker's shipper; another worker on this broker may have answered that it is ready."""

        def found() -> int | None:
            for pid in self.children():
                if b"livetask.worker.shipper" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
            return None

        return wait_for("the worker has a shipper", found)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(90)
            except subprocess.TimeoutExpired:
                self.kill_all()

    def end(self) -> None:
        """SIGKILL to it and to all it has started, unless it is to be asked."""
        if ORDERLY in os.environ:
            return self.stop()
        end_trees_at_once([self.process.pid])
        self.process.wait(90)
        return None

    def kill_all(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(90)


@dataclass
class Starter:
    """Starts workers that ship to ``url`` under a prefix of their own."""

    url: str
    directory: Path
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    started: list[Worker] = field(default_factory=list)

    @property
    def stored(self) -> Stored:
        return Stored(redis.Redis.from_url(self.url), Keys(self.prefix))

    def start(
        self, pool: str = "prefork", *options: str, broker: str = "", concurrency: int = 2, **settings: str
    ) -> Worker:
        """Start one and wait until it takes tasks. ``settings``: of livetask, by name."""
        from tests.worker.tasks import make_app

        broker = broker or self.url
        queue = f"{self.prefix}-{len(self.started)}"
        names = {
            "redis_url": self.url,
            "prefix": self.prefix,
            "spool_dir": str(self.directory),
            "lease_s": "3",
            **settings,
        }
        env = {name: text for name, text in os.environ.items() if not name.startswith("LIVETASK_")}
        env |= {f"LIVETASK_{name.upper()}": text for name, text in names.items() if text}
        env |= {"LIVETASK_TEST_BROKER": broker, "LIVETASK_TEST_QUEUE": queue, "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-m", "celery", "-A", "tests.worker.tasks", "worker", "-P", pool]
        name = f"{queue}@test"  # two workers of one name would answer for each other
        command += [
            "-n",
            name,
            "-c",
            str(concurrency),
            "--without-mingle",
            "--without-gossip",
            "-I",
            "livetask.worker",
            *options,
        ]
        log_path = self.directory / f"worker-{len(self.started)}.log"
        with log_path.open("wb") as log:
            process = warm.started(command, log.fileno(), log.fileno(), env, CHECKOUT)
        app = make_app(broker, queue)
        worker = Worker(process, log_path, self.directory, self.stored, app)
        self.started.append(worker)
        wait_for(f"the worker answers:\n{worker.log}", lambda: app.control.ping([name], timeout=0.5))
        return worker

    def end(self) -> None:
        """End everything at once: the tests are over."""
        for worker in self.started:
            worker.end()
            worker.app.close()


@pytest.fixture
def starter(valkey: RealRedis, tmp_path: Path) -> Iterator[Starter]:
    """Starts workers on the shared server."""
    found = Starter(valkey.url, tmp_path)
    yield found
    found.end()


@pytest.fixture
def own_starter(own_valkey: RealRedis, tmp_path: Path) -> Iterator[Starter]:
    """Starts workers that ship to a server which the test may hurt."""
    found = Starter(own_valkey.url, tmp_path)
    yield found
    found.end()


@pytest.fixture(scope="module")
def prefork(valkey: RealRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A prefork worker that a module's tests share."""
    found = Starter(valkey.url, tmp_path_factory.mktemp("prefork"))
    yield found.start("prefork")
    found.end()
