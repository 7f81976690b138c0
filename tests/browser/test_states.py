"""A page says how it stands: nothing there, loading, offline, without the store; and axe-core finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Browser, WebSocketRoute, expect

from tests.browser.test_access_for_all import faults_by_any_eye
from tests.browser.watching import Watched, numbered
from tests.real.fault_proxy import FaultProxy
from tests.server.serving import Writer
from tests.system.rig import Redis, Rig

SOCKETS = "**/socket.io/**"


@dataclass
class Ways:
    """The ways that can be broken: from the page to the server, and from there to the store."""

    to_server: FaultProxy
    to_store: FaultProxy

    def heal(self) -> None:
        for way in (self.to_server, self.to_store):
            way.refusing = False


@pytest.fixture(scope="module")
def empty(rig: Rig) -> Redis:
    return rig.redis("no")


@pytest.fixture(scope="module")
def ways(rig: Rig, empty: Redis) -> Iterator[Ways]:
    with FaultProxy(empty.port) as to_store:
        server = rig.serve(f"redis://127.0.0.1:{to_store.port}/0", env={"LIVETASK_HEARTBEAT_MS": "300"})
        with FaultProxy(server.port) as to_server:
            yield Ways(to_server, to_store)


def break_way(way: FaultProxy) -> None:
    way.refusing = True
    way.cut()


def silent(socket: WebSocketRoute) -> None:
    """A connection that is made, over which nothing comes."""


async def test_dashboard_and_task_page_say_how_they_stand(ways: Ways, empty: Redis, browser: Browser) -> None:
    options: dict[str, Any] = {"reduced_motion": "reduce", "bypass_csp": True}
    watched = await Watched.open(browser, f"http://127.0.0.1:{ways.to_server.port}", **options)
    page, wrong = watched.page, []

    async def look(state: str) -> None:
        wrong.extend(f"{state}: {text}" for text in await faults_by_any_eye(page))

    await page.route_web_socket(SOCKETS, silent)
    await watched.go("/")
    await expect(page.locator("#empty")).to_have_text("Loading …")
    await expect(page.locator("#link")).to_have_text("connecting")
    await look("loading")
    await watched.context.close()
    watched = await Watched.open(browser, f"http://127.0.0.1:{ways.to_server.port}", **options)
    page = watched.page
    await watched.go("/")
    await expect(page.get_by_role("heading", name="No tasks yet")).to_be_visible()
    await look("no tasks")
    task_id = "stands"
    run = Writer(empty.url, task_id).begin("the.task").write(numbered(1, 100))
    await expect(page.locator(".card")).to_have_count(1)

    notice = page.locator("#notice")
    for path, card in (
        ("/", page.locator(".card")),
        (f"/tasks/{task_id}", page.locator("livetask-log .row:visible").first),
    ):
        await watched.go(path)
        await expect(card).to_be_visible()
        await expect(page.locator("#link")).to_have_text("live")
        break_way(ways.to_server)
        await expect(page.locator("#link")).to_have_text("reconnecting")
        if path == "/":
            await expect(notice).to_have_text(
                "The server does not answer. What is shown may be old; it goes on by itself."
            )
        else:
            await watched.wait_for_foot("reconnecting from line 10")
        await expect(card).to_be_visible()
        await look(f"{path} offline")
        ways.heal()
        await expect(page.locator("#link")).to_have_text("live", timeout=90_000)
        break_way(ways.to_store)
        await expect(page.locator("#link")).to_have_text("store unreachable", timeout=90_000)
        if path == "/":
            await expect(notice).to_contain_text("The store cannot be reached.")
        await look(f"{path} without its store")
        ways.heal()
        await expect(page.locator("#link")).to_have_text("live", timeout=90_000)
    run.finish()
    await watched.context.close()
    assert not wrong, "\n".join(wrong)
