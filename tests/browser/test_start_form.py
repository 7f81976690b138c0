"""The form that starts a task: made of what its worker has published, checked beside each field, by keyboard too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.test_access_for_all import axe_faults
from tests.browser.watching import Watched, wait_until
from tests.system.rig import Dashboard


async def opened(watched: Watched, task: str = "small.build") -> Locator:
    await watched.go("/")
    await watched.page.locator("#start").click()
    dialog = watched.page.get_by_role("dialog", name="Start a task")

    async def published() -> bool:
        answer = await watched.page.evaluate("fetch('/api/startable').then((answer) => answer.json())")
        return all(task["workers"] for task in answer["tasks"])

    if not await dialog.locator(".facts-line", has_text="on celery@").count():
        await wait_until("the worker has published", published)
        await watched.page.keyboard.press("Escape")
        await watched.page.locator("#start").click()
    await dialog.get_by_label("Task", exact=True).select_option(task)
    return dialog


def field(dialog: Locator, name: str) -> Locator:
    return dialog.get_by_label(name, exact=True)


def error(dialog: Locator, name: str) -> Locator:
    return dialog.locator(".field", has=dialog.page.get_by_label(name, exact=True)).get_by_role("alert")


async def shown_call(dialog: Locator, form: str) -> str:
    summary = dialog.get_by_text("The same call as JSON, curl or Python")
    if not await dialog.locator("details.call[open]").count():
        await summary.click()
    await dialog.get_by_role("button", name=form, exact=True).click()
    return await dialog.locator(".call pre").inner_text()


async def test_every_parameter_has_its_own_field_with_hint_and_default(small: Dashboard, browser: Browser) -> None:
    watched = await Watched.open(browser, small.url)
    dialog = await opened(watched)
    await expect(dialog).to_contain_text("Build a target, with as many jobs as you like.")
    await expect(dialog.locator(".facts-line")).to_have_text(re.compile(r"on celery@.* · queue celery · at most 100/s"))
    await expect(field(dialog, "target")).to_have_value("")
    await expect(field(dialog, "target")).to_have_attribute("aria-required", "true")
    await expect(field(dialog, "jobs")).to_have_value("2")
    await expect(field(dialog, "ratio")).to_have_value("0.5")
    await expect(field(dialog, "clean")).not_to_be_checked()
    assert await field(dialog, "colour").locator("option").all_inner_texts() == ["auto", "never"]
    await expect(field(dialog, "env")).to_have_value("")
    await expect(field(dialog, "env")).to_have_attribute("placeholder", "{}")
    await expect(field(dialog, "only")).to_have_value("[]")
    await expect(field(dialog, "**more")).to_be_visible()
    await expect(dialog.locator(".field", has=watched.page.get_by_label("env", exact=True))).to_contain_text(
        "dict[str, str] | None"
    )
    watched.assert_clean()
    assert await watched.breaches() == []


async def test_what_is_wrong_stands_beside_its_field_and_nothing_is_sent(small: Dashboard, browser: Browser) -> None:
    watched = await Watched.open(browser, small.url)
    sent: list[str] = []
    watched.page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    dialog = await opened(watched)
    await field(dialog, "jobs").fill("many")
    await field(dialog, "env").fill('{"a":')
    await field(dialog, "only").fill("{}")
    await dialog.get_by_text("Queue, delay, priority").click()
    await field(dialog, "Priority, 0 to 255").fill("300")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await expect(error(dialog, "target")).to_have_text("a value is needed")
    await expect(field(dialog, "target")).to_be_focused()
    await expect(error(dialog, "jobs")).to_have_text("a whole number is needed")
    await expect(error(dialog, "env")).to_have_text("this is not JSON")
    await expect(error(dialog, "only")).to_contain_text("a JSON list is needed")
    await expect(error(dialog, "Priority, 0 to 255")).to_have_text("0 to 255 is possible")
    await expect(field(dialog, "jobs")).to_have_attribute("aria-invalid", "true")
    await field(dialog, "jobs").fill("3")
    await expect(error(dialog, "jobs")).to_have_text("")
    assert sent == []
    watched.assert_clean()


async def test_what_only_the_server_sees_stands_beside_the_field_too(small: Dashboard, browser: Browser) -> None:
    watched = await Watched.open(browser, small.url)
    watched.expect("400")
    dialog = await opened(watched)
    await field(dialog, "target").fill("all")
    await field(dialog, "**more").fill('{"depth": "deep"}')
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await expect(error(dialog, "**more")).to_have_text("depth: expected a whole number, got 'deep'")
    await expect(field(dialog, "**more")).to_be_focused()
    await expect(dialog).to_be_visible()
    watched.assert_clean()


async def test_start_and_open_shows_the_task_that_got_these_arguments(small: Dashboard, browser: Browser) -> None:
    watched = await Watched.open(browser, small.url)
    dialog = await opened(watched)
    await field(dialog, "target").fill("all 'of' it")
    await field(dialog, "jobs").fill("7")
    await field(dialog, "clean").check()
    await field(dialog, "colour").select_option("never")
    await field(dialog, "env").fill('{"CC": "clang"}')
    await field(dialog, "anything").fill('[1, null, "x"]')
    await field(dialog, "**more").fill('{"depth": 3}')
    kwargs: dict[str, Any] = {"target": "all 'of' it", "jobs": 7, "clean": True, "colour": "never"}
    kwargs |= {"env": {"CC": "clang"}, "anything": [1, None, "x"], "depth": 3}
    assert json.loads(await shown_call(dialog, "JSON")) == {"task_name": "small.build", "kwargs": kwargs}
    python = await shown_call(dialog, "Python")
    calls: list[Any] = []
    stand_in = type("App", (), {"send_task": staticmethod(lambda name, **more: calls.append((name, more)))})
    exec(python, {"app": stand_in})
    assert calls == [("small.build", {"kwargs": kwargs})]
    curl = await shown_call(dialog, "curl")
    assert curl.startswith(f"curl {small.url}/task")
    assert r"all '\''of'\'' it" in curl
    await dialog.get_by_role("button", name="Start and open").click()
    await watched.page.wait_for_url("**/tasks/*")
    expected = {"target": "all 'of' it", "jobs": 7, "ratio": 0.5, "clean": True, "colour": "never"}
    expected |= {"env": {"CC": "clang"}, "only": [], "anything": [1, None, "x"], "depth": 3}
    await watched.wait_for_line(1, json.dumps(expected))
    watched.assert_clean()
    assert await watched.breaches() == []


async def test_a_task_is_started_with_the_keyboard_alone(small: Dashboard, browser: Browser) -> None:
    watched = await Watched.open(browser, small.url)
    page = watched.page
    await opened(watched)
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Start a task")
    await expect(field(dialog, "Task")).to_be_focused()
    await page.keyboard.type("small.greet")
    await page.keyboard.press("Tab")
    await expect(field(dialog, "name")).to_be_focused()
    await page.keyboard.type("keyboard")
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    card = page.locator(".card", has_text="small.greet").first
    await expect(card).to_contain_text("hello keyboard", timeout=90_000)
    watched.assert_clean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
async def test_the_form_fits_its_screen_in_both_themes(
    small: Dashboard, browser: Browser, scheme: str, width: int, tmp_path: Path
) -> None:
    watched = await Watched.open(browser, small.url, viewport={"width": width, "height": 844}, bypass_csp=True)
    await watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    dialog = await opened(watched)
    await shown_call(dialog, "curl")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await expect(error(dialog, "target")).to_have_text("a value is needed")
    assert await axe_faults(watched.page) == []
    await watched.page.screenshot(path=tmp_path / "form.png")
    box = await dialog.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["height"] <= 844
    assert await _overflow(watched.page) <= 0
    button = await dialog.get_by_role("button", name="Start", exact=True).bounding_box()
    assert button
    assert button["y"] + button["height"] <= 844, "the buttons are always in sight"
    watched.assert_clean()


async def _overflow(page: Page) -> int:
    found: int = await page.evaluate(
        "(() => { const it = document.querySelector('dialog'); return it.scrollWidth - it.clientWidth; })()"
    )
    return found
