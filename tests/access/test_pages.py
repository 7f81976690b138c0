"""Logging in and out in a real browser: the way to the login and back, who one is, and a session that is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from livetask.server.access.gate import GATE
from tests.access.conftest import PASSWORD, Stored
from tests.browser.test_access_for_all import faults_by_any_eye
from tests.server.serving import Client, Writer, served


@pytest.fixture
async def guarded(stored: Stored) -> AsyncIterator[Client]:
    """A server that asks, with a user and a task that runs."""
    await stored.users.make("anna", "operator", PASSWORD)
    Writer(stored.url, "task-1").begin().write(b"the first line\n")
    async with served(stored.url, auth="required") as found:
        yield found


def _at(client: Client, path: str) -> str:
    return str(client.make_url(path))


async def _log_in(page: Page, password: str = PASSWORD) -> None:
    await page.get_by_label("Name").fill("anna")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()


async def test_a_person_logs_in_sees_the_page_they_wanted_and_logs_out(guarded: Client, page: Page) -> None:
    await page.goto(_at(guarded, "/tasks/task-1?run=1"))
    await expect(page).to_have_title("Log in · livetask")
    await _log_in(page, "wrong wrong")
    await expect(page.get_by_role("alert")).to_have_text("the name or the password is wrong")
    await expect(page.get_by_label("Name")).to_have_value("anna")
    await _log_in(page)
    await expect(page).to_have_url(_at(guarded, "/tasks/task-1?run=1"))
    await expect(page.get_by_text("the first line")).to_be_visible()
    await expect(page.locator("#link")).to_have_attribute("data-state", "live")
    await page.locator(".me summary").click()
    await expect(page.locator(".me")).to_contain_text("operator")
    await page.get_by_role("button", name="Log out", exact=True).click()
    await expect(page).to_have_title("Log in · livetask")
    await page.goto(_at(guarded, "/"))
    await expect(page).to_have_title("Log in · livetask")


async def test_a_session_that_is_over_is_shown_on_the_page_and_a_new_login_leads_back(
    guarded: Client, stored: Stored, page: Page
) -> None:
    await page.goto(_at(guarded, "/login?next=/tasks/task-1"))
    await _log_in(page)
    await expect(page.locator("#link")).to_have_attribute("data-state", "live")
    await expect(page.get_by_text("the first line")).to_be_visible()
    await stored.users.log_out_everywhere("anna")
    await guarded.app[GATE].standing.look()
    again = page.locator("#link").get_by_role("link", name="log in again")
    await expect(again).to_be_visible(timeout=90_000)
    await expect(page.get_by_text("the first line")).to_be_visible()
    await again.click()
    await expect(page).to_have_title("Log in · livetask")
    await _log_in(page)
    await expect(page).to_have_url(_at(guarded, "/tasks/task-1"))
    await expect(page.locator("#link")).to_have_attribute("data-state", "live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_login_fits_a_phone_and_needs_no_script(guarded: Client, own_browser: Browser, scheme: str) -> None:
    phone = {"width": 390, "height": 844}
    context = await own_browser.new_context(java_script_enabled=False, viewport=phone, color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(_at(guarded, "/tasks/task-1/log"))
    for thing in (page.get_by_label("Name"), page.get_by_label("Password"), page.get_by_role("button", name="Log in")):
        box = await thing.bounding_box()
        assert box is not None
        assert box["x"] >= 8
        assert box["x"] + box["width"] <= 382
        assert box["height"] >= 40
    await _log_in(page)
    await expect(page).to_have_url(_at(guarded, "/tasks/task-1/log"))
    await expect(page.get_by_text("the first line")).to_be_visible()
    await context.close()


async def test_axe_finds_nothing_in_the_login_and_in_the_menu_of_who_one_is(
    guarded: Client, own_browser: Browser
) -> None:
    context = await own_browser.new_context(reduced_motion="reduce", bypass_csp=True)
    page = await context.new_page()
    wrong: list[str] = []

    async def look() -> None:
        wrong.extend(await faults_by_any_eye(page))

    await page.goto(_at(guarded, "/login?next=/"))
    await look()
    await _log_in(page, "wrong wrong")
    await expect(page.get_by_role("alert")).to_be_visible()
    await look()
    await _log_in(page)
    await page.locator(".me summary").click()
    await expect(page.locator(".card")).to_have_count(1)
    await look()
    await context.close()
    assert not wrong, "\n".join(wrong)
