"""The same in Firefox: what the page shows is what the task wrote, through reloads, cuts, a killed server and a killed
store; and a log of a hundred thousand lines is shown through a window."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio

from tests.browser.test_exact import assert_exact, assert_goes_on_after_a_kill, reached, rig_store, steady
from tests.browser.watching import Watched, numbered, wait_until
from tests.real.fault_proxy import FaultProxy
from tests.real.firefox import Firefox, a_firefox, find_firefox
from tests.server.serving import Writer
from tests.system.rig import Dashboard, Redis, Rig

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

_FUNCTION = re.compile(r"\s*(?:async\s*)?\([^)]*\)\s*=>")


class Tab:
    """A tab of Firefox with what ``Watched`` asks of a page."""

    def __init__(self, firefox: Firefox) -> None:
        self._firefox = firefox

    async def evaluate(self, text: str, argument: object = None) -> Any:
        """The value of an expression, or of a function called with the argument."""
        return await self._firefox.evaluate(f"({text})({json.dumps(argument)})" if _FUNCTION.match(text) else text)

    async def goto(self, address: str) -> None:
        await self._firefox.go(address)

    async def reload(self) -> None:
        await self._firefox.go(await self.evaluate("location.href"))

    async def close(self) -> None:
        """The browser ends with its test."""


class WatchedInFirefox(Watched):
    """A page in Firefox, asked by its own scripts where Chromium's is asked by locators."""

    async def foot(self) -> str:
        query = "document.querySelector('livetask-log')?.shadowRoot?.querySelector('.foot .link')?.innerText ?? ''"
        return str(await self.page.evaluate(query))

    async def breaches(self) -> list[str]:
        return []  # the browser's own log is not read here; Chromium's tests look at it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started() -> AsyncIterator[Firefox]:
    """It takes longer to start than most of these tests."""
    program = find_firefox()
    if program is None:
        pytest.skip("no Firefox on the PATH (firefox-esr or firefox, or LIVETASK_TEST_FIREFOX): Chromium was tested")
    async with a_firefox(program) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def firefox(started: Firefox) -> AsyncIterator[Firefox]:
    """A tab that shows nothing yet."""
    await started.go("about:blank")
    started.errors.clear()
    yield started
    assert [text for text in started.errors if "/socket.io/" not in text] == []  # these were cut on purpose


async def opened(firefox: Firefox, url: str, task_id: str) -> Watched:
    tab = cast(Any, Tab(firefox))
    watched = WatchedInFirefox(tab, tab, url)
    await watched.task(task_id)
    return watched


async def test_a_reload_in_mid_run_shows_everything_once(rig: Rig, server: Dashboard, firefox: Firefox) -> None:
    with steady(rig_store(rig), "fox-reload") as task:
        watched = await opened(firefox, server.url, "fox-reload")
        for _ in range(2):
            await reached(watched, task.lines + 200)
            await watched.page.reload()
        await reached(watched, task.lines + 200)
        lines = await asyncio.to_thread(task.end)
        await assert_exact(watched, "screen", lines, task.writer)


async def test_a_socket_cut_again_and_again_shows_everything_once(
    rig: Rig, server: Dashboard, firefox: Firefox
) -> None:
    rng = random.Random(51)
    with FaultProxy(server.port) as proxy, steady(rig_store(rig), "fox-cut") as task:
        watched = await opened(firefox, f"http://127.0.0.1:{proxy.port}", "fox-cut")
        await watched.page.evaluate("document.querySelector('livetask-log').setAttribute('mode', 'all')")
        cuts = 0
        while cuts < 20:
            await reached(watched, task.lines)
            await asyncio.sleep(rng.random() * 0.1)  # the cut comes at any moment of the delivery
            cuts += 1 if proxy.cut() else 0
        lines = await asyncio.to_thread(task.end)
        await assert_exact(watched, "all", lines, task.writer)


async def test_a_server_that_is_killed_and_started_again_is_gone_on_with(
    rig: Rig, store: Redis, firefox: Firefox
) -> None:
    url = store.url
    own = rig.serve(url)
    with steady(url, "fox-killed") as task:
        watched = await opened(firefox, own.url, "fox-killed")
        await reached(watched, task.lines + 100)
        await asyncio.to_thread(own.running.kill)
        await watched.wait_for_foot("reconnecting from line")
        own = await asyncio.to_thread(rig.serve, url, own.port)
        await watched.wait_for_foot("live")
        await reached(watched, task.lines + 100)
        lines = await asyncio.to_thread(task.end)
        await assert_exact(watched, "screen", lines, task.writer)


async def test_a_store_that_is_killed_and_started_again_is_gone_on_with(rig: Rig, firefox: Firefox) -> None:
    own_store = rig.redis("always")
    own = rig.serve(own_store.url)
    writer = Writer(own_store.url, "fox-store").begin().write(numbered(1, 500))
    watched = await opened(firefox, own.url, "fox-store")
    await assert_goes_on_after_a_kill(watched, own_store, writer)


async def test_a_long_log_is_shown_through_a_window_that_stays_where_it_is(
    store: Redis, server: Dashboard, firefox: Firefox
) -> None:
    run = Writer(store.url, "fox-long", cap_bytes=64 << 20).begin()
    for first in range(1, 100_001, 5000):
        run.write(numbered(first, first + 4999))
    watched = await opened(firefox, server.url, "fox-long")
    await watched.wait_for_line(100_000)
    assert len(await watched.rows()) < 200
    for line in (50_000, 1, 77_777):
        await watched.page.evaluate("(line) => document.querySelector('livetask-log').jump(line)", line)
        await watched.wait_for_line(line)
        await watched.wait_for_rows("every row", lambda rows: all(row["kind"] != "wait" for row in rows))
        await watched.assert_lines_are_right()
    before = await watched.rows()
    run.write(numbered(100_001, 110_000))

    async def told() -> bool:
        return bool(await watched.page.evaluate("document.querySelector('livetask-log').feed.finished >= 110000"))

    await wait_until("the new end is known", told)
    assert [(row["line"], row["top"]) for row in await watched.rows()] == [(row["line"], row["top"]) for row in before]
    await firefox.wheel(-400, 600, 500)
    await watched.wait_for_rows("rows before", lambda rows: rows[0]["line"] < before[0]["line"])
    await watched.assert_lines_are_right()


async def test_the_dashboard_shows_tasks_live_and_by_its_filter(
    store: Redis, server: Dashboard, firefox: Firefox
) -> None:
    run = Writer(store.url, "fox-card").begin(name="fox.card").write(b"\x1b[32mgreen\x1b[0m\n")
    await firefox.go(f"{server.url}/?q=name:fox.card")

    async def shown(text: str) -> None:
        async def seen() -> bool:
            return text in str(await firefox.evaluate("document.getElementById('cards').innerText"))

        await wait_until(text, seen)

    await shown("green")
    run.write(b"more\n").finish()
    await shown("SUCCESS")
    await shown("more")
    colours = "['--card', '--ink'].map((name) => getComputedStyle(document.body).getPropertyValue(name))"
    assert all(await firefox.evaluate(colours))
