"""A real task in a real worker, followed in a real browser: print to pixel, also when the task is killed."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from playwright.async_api import Browser

from tests.browser.watching import Watched
from tests.system.apps.lines import text
from tests.system.reading import asked, ended_task
from tests.system.rig import Dashboard, Redis, Rig
from tests.system.sending import sent

A_SECOND = 2000


@pytest.fixture(scope="module")
def app_env(rig: Rig, store: Redis) -> dict[str, str]:
    """The environment of a prefork worker that runs ``tests.system.apps.numbered``."""
    env = rig.app_env(store.url)
    rig.worker("numbered", env)
    return env


async def followed(browser: Browser, server: Dashboard, task_id: str) -> Watched:
    """The task's page, in the mode in which it keeps every byte and can check them itself."""
    watched = await Watched.open(browser, server.url)
    await watched.task(task_id)
    await watched.page.evaluate("document.querySelector('livetask-log').setAttribute('mode', 'all')")
    return watched


async def assert_shows(watched: Watched, expected: bytes) -> None:
    await watched.wait_for_foot("ended")
    assert (await watched.text()).encode("utf-8") == expected
    journal = await watched.journal()
    assert (journal["bytes"], journal["gaps"], journal["repeats"], journal["resets"]) == (len(expected), [], 0, 0)
    assert journal["verified"] is True, "the browser's own CRC-32 equals the worker's"
    watched.assert_clean()
    await watched.context.close()


async def test_what_a_task_prints_is_what_the_browser_shows(
    server: Dashboard, browser: Browser, app_env: dict[str, str]
) -> None:
    task_id = sent(app_env, "numbered.write", 6000, A_SECOND)
    watched = await followed(browser, server, task_id)
    await assert_shows(watched, text(6000))


async def test_a_task_whose_process_is_killed_is_shown_to_its_last_byte_with_the_reason(
    server: Dashboard, browser: Browser, app_env: dict[str, str]
) -> None:
    task_id = sent(app_env, "numbered.write", 40_000, A_SECOND)
    watched = await followed(browser, server, task_id)
    await watched.wait_for_rows(
        "line 500", lambda rows: any(row["kind"] == "line" and row["line"] > 500 for row in rows)
    )
    run = asked(f"{server.url}/api/tasks/{task_id}").json["runs"][0]
    os.kill(int(run["pid"]), signal.SIGKILL)
    task = await asyncio.to_thread(ended_task, server.url, task_id)
    end_byte = int(task["runs"][0]["end"].split("-")[1])
    assert end_byte > 0
    await watched.wait_for_foot("ended")
    assert "SIGKILL" in await watched.page.locator("livetask-log").evaluate("log => log.shadowRoot.textContent")
    await assert_shows(watched, text(40_000)[:end_byte])
