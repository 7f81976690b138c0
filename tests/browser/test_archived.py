"""Archived tasks that the list has forgotten: found from the dashboard, listed, opened, a workflow of them whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from playwright.async_api import Browser, expect

from tests.browser.test_access_for_all import faults_by_any_eye
from tests.browser.watching import Watched
from tests.real.writer import RunWriter
from tests.server.archiving import Archiving
from tests.server.serving import Writer
from tests.system.rig import Dashboard, Redis, Rig

LONG = "mail." + "a_very_long_name_" * 8


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def server(rig: Rig, store: Redis, shelf: Path) -> Dashboard:
    return rig.serve(store.url, env={"LIVETASK_ARCHIVE_DIR": str(shelf)})


@pytest.fixture
async def archived(store: Redis, shelf: Path) -> None:
    """Three tasks in the archive alone, two of them of one root; and one in the list, which the archive has too."""
    with store.client() as client:
        client.flushall()
    async with Archiving(store.url, "livetask", shelf) as archiving:
        for number, name in enumerate(("mail.send", "mail.check", LONG)):
            run = RunWriter(redis.Redis.from_url(store.url), f"old-{number}", name=name)
            run.begin()
            run.write(f"printed {number}\n".encode())
            run.finish("FAILURE" if number == 1 else "SUCCESS")
            kin = {"root_id": "old-0", "parent_id": "old-0" if number else ""} if number < 2 else {}
            run.client.hset(run.task, mapping={"name": name, **kin})
            await archiving.move(run.task_id)
            run.client.delete(run.task, run.output, run.recent)
        Writer(store.url, "young-1").begin(name="mail.young").write(b"young\n").finish()
        await archiving.move("young-1")


async def test_a_filter_that_finds_little_says_what_the_archive_has_and_leads_there(
    archived: None, watched: Watched
) -> None:
    page = watched.page
    await watched.go("/?q=mail")
    await expect(page.locator(".card")).to_have_count(1)
    await page.get_by_role("link", name="3 in the archive").click()
    await expect(page.locator("tbody tr")).to_have_count(4)
    await expect(page.get_by_role("searchbox")).to_have_value("mail")
    await watched.go("/?q=mail&show=failed")
    await expect(page.get_by_role("heading", name="No task matches")).to_be_visible()
    await page.get_by_role("link", name="1 in the archive").click()
    await page.get_by_role("link", name="mail.check").click()
    await watched.wait_for_line(1, "printed 1")
    await expect(page.locator("#flow summary")).to_have_text("Workflow: 2 tasks, 2 ended")
    await page.locator("#flow summary").click()
    await page.get_by_role("link", name="All their logs as one").click()
    await expect(page.locator("#merged .row .text")).to_have_count(2)
    assert sorted(await page.locator("#merged .row .text").all_inner_texts()) == ["printed 0", "printed 1"]
    await watched.go("/?q=nothing-at-all")
    await expect(page.get_by_role("heading", name="No task matches")).to_be_visible()
    await expect(page.locator("#archived")).to_be_hidden()


async def test_the_archives_page_is_right_for_any_eye_and_as_wide_as_a_phone(
    archived: None, server: Dashboard, browser: Browser
) -> None:
    watched = await Watched.open(browser, server.url, bypass_csp=True)
    wrong = []
    for path in ("/archived", "/archived?q=mail&limit=1", "/archived?q=nothing-at-all"):
        await watched.go(path)
        wrong += await faults_by_any_eye(watched.page)
        await watched.page.set_viewport_size({"width": 390, "height": 800})
        wide = await watched.page.evaluate("document.documentElement.scrollWidth")
        wrong += [f"{path} is {wide} px wide"] if wide > 390 else []
    await watched.context.close()
    assert not wrong, "\n".join(wrong)
