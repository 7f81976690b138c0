"""Fixtures of the browser tests: a real Valkey and a real server for each file, a real Chromium for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.watching import Watched
from tests.real.browser import FLAGS, BrowserMissing, environment, find_browser
from tests.system.rig import Dashboard, Redis, Rig, rig_in


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("browser")) as rig:
        yield rig


@pytest.fixture(scope="module")
def store(rig: Rig) -> Redis:
    return rig.redis("no")


@pytest.fixture(scope="module")
def server(rig: Rig, store: Redis) -> Dashboard:
    return rig.serve(store.url)


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    try:
        path = find_browser()
    except BrowserMissing as missing:
        if os.environ.get("LIVETASK_TEST_BROWSER_REQUIRED"):
            raise
        pytest.skip(str(missing))
    # playwright's own node needs a library that minimal systems lack; any node will do
    if node := shutil.which("node"):
        os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", node)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS), env=dict(environment()))
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def watched(browser: Browser, server: Dashboard) -> AsyncIterator[Watched]:
    """A page of the server; the test fails if it logs an error or breaks its policy."""
    watched = await Watched.open(browser, server.url)
    yield watched
    watched.assert_clean()
    await watched.context.close()
