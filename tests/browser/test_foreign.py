"""The log element in pages of other origins: as an element, and in a frame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser.watching import Watched, line_of, numbered, wait_until
from tests.real.plain_server import plain_server
from tests.server.serving import Writer
from tests.system.rig import CHECKOUT, Dashboard, Redis, Rig


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "example.html").write_text((CHECKOUT / "docs" / "example.html").read_text())
    (folder / "frame.html").write_text(
        """<!doctype html><title>frame</title><iframe id="frame" width="900" height="500"></iframe><script>
        document.getElementById('frame').src = new URLSearchParams(location.search).get('of');</script>"""
    )
    with plain_server(folder) as address:
        yield address


@pytest.fixture(scope="module")
def open_server(rig: Rig, store: Redis, elsewhere: str) -> Dashboard:
    """A server that lets the pages of `elsewhere` read, and frame."""
    env = {"LIVETASK_CORS_ALLOWED_ORIGINS": elsewhere, "LIVETASK_FRAME_ANCESTORS": elsewhere}
    return rig.serve(store.url, env=env)


async def test_a_page_of_another_origin_shows_a_log_and_is_told_of_it(
    store: Redis, browser: Browser, open_server: Dashboard, elsewhere: str
) -> None:
    run = Writer(store.url, "foreign-1").begin().write(numbered(1, 700))
    run.write(b"[2026-01-01 10:00:00,000: ERROR/MainProcess] it broke\n").write(numbered(702, 1500))
    watched = await Watched.open(browser, elsewhere)
    await watched.go(f"/example.html?server={open_server.url}&task=foreign-1")
    await watched.wait_for_line(1500, line_of(1500))
    run.write(numbered(1501, 1600))
    await watched.wait_for_line(1600, line_of(1600))
    await expect(watched.page.locator("#state")).to_have_text("running")
    await watched.page.get_by_role("button", name="First error").click()
    assert (await watched.wait_for_line(701))["marked"]
    tools = (
        "getComputedStyle(document.querySelector('livetask-log').shadowRoot.querySelector('.tools')).backgroundColor"
    )
    assert await watched.page.evaluate(tools) == "rgb(243, 236, 217)"
    run.finish()
    await expect(watched.page.locator("#state")).to_have_text("success")
    watched.assert_clean()
    await watched.context.close()


async def test_a_page_that_is_not_allowed_cannot_load_it(
    store: Redis, browser: Browser, server: Dashboard, elsewhere: str
) -> None:
    Writer(store.url, "foreign-2").begin().write(b"secret\n")
    watched = await Watched.open(browser, elsewhere)
    await watched.go(f"/example.html?server={server.url}&task=foreign-2")

    async def refused() -> bool:
        return any("CORS" in error for error in watched.errors)

    await wait_until("the browser refuses it", refused)
    assert "secret" not in await watched.page.content()
    await watched.context.close()


async def test_a_frame_shows_the_log_where_the_setting_allows_it(
    store: Redis, browser: Browser, open_server: Dashboard, server: Dashboard, elsewhere: str
) -> None:
    Writer(store.url, "framed-1").begin().write(numbered(1, 300)).finish()
    watched = await Watched.open(browser, elsewhere)
    await watched.go(f"/frame.html?of={open_server.url}/embed/tasks/framed-1?theme=dark%26times")
    frame = watched.page.frame_locator("#frame")
    await expect(frame.locator("livetask-log .row[data-line='300'] .text")).to_have_text(line_of(300))
    await expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(frame.get_by_role("button", name="Time", exact=True)).to_have_attribute("aria-pressed", "true")
    watched.assert_clean()
    await watched.go(f"/frame.html?of={server.url}/embed/tasks/framed-1")

    async def refused() -> bool:
        return any("frame-ancestors" in error or "X-Frame-Options" in error for error in watched.errors)

    await wait_until("the browser refuses it", refused)
    await watched.context.close()
