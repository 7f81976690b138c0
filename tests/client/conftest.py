"""A Redis, a server and a worker for all tests of the client; each test has tasks of its own."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.serving import Writer
from tests.system.rig import Dashboard, Redis, Rig, Running, free_port, rig_in

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("client")) as rig:
        yield rig


@pytest.fixture(scope="session")
def store(rig: Rig) -> Redis:
    return rig.redis("no")


@pytest.fixture(scope="session")
def app_env(rig: Rig, store: Redis) -> dict[str, str]:
    return rig.app_env(store.url, LIVETASK_REDIS_URL=store.url, LIVETASK_AVAILABLE_TASKS="clients.*")


@pytest.fixture(scope="session")
def server(rig: Rig, app_env: dict[str, str]) -> Dashboard:
    """``celery -A tests.client.app livetask``, which may start the app's tasks."""
    port = free_port()
    command = ["-m", "celery", "-A", "tests.client.app", "livetask", "--host", "127.0.0.1", "--port", str(port)]
    running = rig.run("server", command, app_env)
    running.wait_for_log(f"livetask is at http://127.0.0.1:{port}/")
    return Dashboard(running, port)


@pytest.fixture(scope="session")
def worker(rig: Rig, app_env: dict[str, str]) -> Running:
    command = ["-m", "celery", "-A", "tests.client.app", "worker", "-I", "livetask.worker", "-c", "2"]
    return rig.run("worker", [*command, "--without-mingle", "--without-gossip", "--without-heartbeat"], app_env)


@pytest.fixture
def url(server: Dashboard) -> str:
    return server.url


@pytest.fixture
def own_server(rig: Rig, store: Redis) -> Iterator[Dashboard]:
    """A server of the test's own, to be killed and started again."""
    dashboard = rig.serve(store.url, env={"LIVETASK_HEARTBEAT_MS": "300"})
    yield dashboard
    dashboard.running.stop()


@pytest.fixture
def begun(store: Redis) -> Callable[..., Writer]:
    """Begins a run of a new task, or of ``task_id``, in place of a worker."""

    def begin(task_id: str | None = None, why: str = "first", cap_bytes: int = 8 << 20) -> Writer:
        number = next(_numbers)
        return Writer(store.url, task_id or f"client-{number}", f"nonce{number:07}", cap_bytes).begin(why=why)

    return begin


@pytest.fixture
def python() -> str:
    return sys.executable


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path
