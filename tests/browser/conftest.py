"""Fixtures of the browser tests: a real Valkey and a real server for each file, the browser is everybody's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.watching import Watched
from tests.system.rig import Dashboard, Redis, Rig, free_port, rig_in


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("browser")) as rig:
        yield rig


@pytest.fixture(scope="module")
def store(rig: Rig) -> Redis:
    return rig.redis("no")


@pytest.fixture(autouse=True)
def nothing_left_of_the_first_try(request: pytest.FixtureRequest) -> None:
    """A test that is run once more because it waited in vain finds none of the tasks that it has written."""
    if getattr(request.node, "execution_count", 1) > 1 and "store" in request.fixturenames:
        with request.getfixturevalue("store").client() as client:
            client.flushall()


@pytest.fixture(scope="module")
def server(rig: Rig, store: Redis) -> Dashboard:
    return rig.serve(store.url)


@pytest.fixture(scope="module")
def small(rig: Rig, store: Redis) -> Dashboard:
    """A dashboard that may start the tasks of a small app, and a worker for them."""
    env = rig.app_env(store.url)
    command = ["-m", "celery", "-A", "tests.browser.small_app", "worker", "-P", "prefork", "-c", "2", "-l", "WARNING"]
    command += ["--without-mingle", "--without-gossip", "--without-heartbeat", "-I", "livetask.worker"]
    rig.run("small-worker", command, env)
    port = free_port()
    serve = ["-m", "livetask", "serve", "-A", "tests.browser.small_app", "--port", str(port)]
    running = rig.run("small-server", serve, env)
    running.wait_for_log("livetask is at")
    return Dashboard(running, port)


@pytest_asyncio.fixture(loop_scope="session")
async def watched(browser: Browser, server: Dashboard) -> AsyncIterator[Watched]:
    """A page of the server; the test fails if it logs an error or breaks its policy."""
    watched = await Watched.open(browser, server.url)
    yield watched
    watched.assert_clean()
    await watched.context.close()
