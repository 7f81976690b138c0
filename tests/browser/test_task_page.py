"""What stands around the log of one task: its runs, what went wrong, and the ways to other tasks."""

from __future__ import annotations

import json
import re

from playwright.async_api import Browser, expect

from tests.browser.test_board import LOOK_AWAY, put
from tests.browser.watching import Watched, numbered, wait_until
from tests.server.serving import Writer
from tests.system.rig import Redis


async def test_each_run_is_a_tab_with_its_reason_and_its_fate(store: Redis, watched: Watched) -> None:
    first = Writer(store.url, "runs-1", "firstnoncexx").begin().write(b"one\n")
    first.finish("RETRY")
    detail = json.dumps({"exception": "ConnectionError: refused", "retry_in_s": 8})
    put(store, first, **{"1.detail": detail, "1.begun_at": 1_700_000_000_000, "1.ended_at": 1_700_000_041_000})
    second = Writer(store.url, "runs-1", "secondnoncex").begin(why="retry").write(b"two\n")
    await watched.task("runs-1")
    tabs = watched.page.locator("#runs button")
    await expect(tabs).to_have_text(["Run 1firstretry 41 s", "Run 2retryrunning"])
    assert await tabs.nth(0).get_attribute("title") == "To be tried again · ConnectionError: refused · again in 8 s"
    await expect(tabs.nth(1)).to_have_attribute("aria-pressed", "true")
    await tabs.nth(0).click()
    await watched.wait_for_line(1, "one")
    await expect(watched.page.locator("#failure strong")).to_have_text("ConnectionError: refused")
    second.finish("KILLED", "FAILURE")
    put(store, second, **{"2.detail": json.dumps({"signal": "SIGSEGV"})})
    await tabs.nth(1).click()
    await watched.wait_for_line(1, "two")


async def test_the_log_opens_at_its_first_error(store: Redis, watched: Watched) -> None:
    text = numbered(1, 600) + b"ERROR the disk is full\n" + numbered(602, 2000)
    run = Writer(store.url, "error-1").begin().write(text)
    run.finish("FAILURE")
    put(store, run, **{"1.detail": json.dumps({"exception": "OSError: no space"})})
    await watched.task("error-1")
    await watched.page.get_by_role("button", name="Open at first error").click()
    row = await watched.wait_for_line(601, "ERROR the disk is full")
    assert row["marked"]
    clean = Writer(store.url, "error-2").begin().write(b"all is well\n")
    clean.finish("FAILURE")
    await watched.task("error-2")
    await watched.page.get_by_role("button", name="Open at first error").click()
    await expect(watched.page.locator("#notice")).to_have_text("No line of the output looks like an error.")


async def test_a_traceback_is_copied_whole(store: Redis, watched: Watched, browser: Browser) -> None:
    await watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    trace = 'Traceback (most recent call last):\n  File "/srv/a.py", line 1, in b\n    c()\nKeyError: 1\n'
    run = Writer(store.url, "copy-1").begin().write(b"x\n")
    run.finish("FAILURE")
    put(store, run, **{"1.detail": json.dumps({"exception": "KeyError: 1", "traceback": trace})})
    await watched.task("copy-1")
    await watched.page.get_by_role("button", name="Copy traceback").click()
    await expect(watched.page.get_by_role("button", name="Copied")).to_be_visible()
    assert await watched.page.evaluate("navigator.clipboard.readText()") == trace


async def test_h_and_l_go_through_the_list_as_it_was_shown(store: Redis, watched: Watched) -> None:
    for at, name in enumerate("acb"):
        run = Writer(store.url, f"walk-{name}").begin(name=f"walk.{name}").write(name.encode() + b"\n")
        put(store, run, began_at=1_700_000_000_000 + at)
    page = watched.page
    await watched.go("/?q=name:walk.&sort=name")
    await expect(page.locator(".card .name")).to_have_text(["walk.a", "walk.b", "walk.c"])
    await page.locator(".card .name").first.click()
    await watched.wait_for_line(1, "a")
    for key, name in (("l", "b"), ("l", "c"), ("h", "b")):
        await page.keyboard.press(key)
        await page.wait_for_url(f"**/tasks/walk-{name}")
        await watched.wait_for_line(1, name)
    await page.keyboard.press("h")
    await page.wait_for_url("**/tasks/walk-a")
    await watched.wait_for_line(1, "a")
    await page.get_by_role("button", name="Task before").click()
    await expect(page.locator("#notice")).to_have_text("This is the first task of the list.")
    await page.evaluate("sessionStorage.clear()")
    await page.get_by_role("button", name="Task before").click()
    await page.wait_for_url(re.compile(r"/tasks/walk-c$"))


async def test_the_timings_of_a_task_are_told(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "times-1").begin().write(b"x\n")
    run.finish()
    put(store, run, queued_at=1_700_000_000_000, began_at=1_700_000_004_200, ended_at=1_700_000_100_000)
    await watched.task("times-1")
    facts = watched.page.locator("#facts")
    for text in ("queued", "waited4.2 s", "started", "ended"):
        await expect(facts).to_contain_text(text)
    await expect(watched.page.locator("#took")).to_have_text("1m 35s")


async def test_the_end_of_a_task_is_told_from_its_page_too(store: Redis, watched: Watched) -> None:
    await watched.page.add_init_script(LOOK_AWAY)
    run = Writer(store.url, "told-1").begin(name="told.one").write(b"x\n")
    await watched.task("told-1")
    await watched.page.keyboard.press("b")
    await expect(watched.page.locator("#tell")).to_have_attribute("aria-pressed", "true")
    await watched.page.evaluate("window.away = true")
    run.finish("FAILURE")

    async def told() -> bool:
        return bool(await watched.page.evaluate("JSON.stringify(told) === JSON.stringify([['told.one', 'Failed']])"))

    await wait_until("it is told", told)
    await expect(watched.page).to_have_title("(1) ✕ told.one · livetask")
