"""A workflow on the page: its tasks as a tree with states, and their logs as one."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.test_board import put
from tests.browser.watching import Watched
from tests.server.serving import Writer
from tests.system.rig import Redis


def begin(store: Redis, task_id: str, parent: str, at: int) -> Writer:
    run = Writer(store.url, task_id).begin(name=f"flow.{task_id}")
    put(store, run, root_id="flow-1", parent_id=parent, began_at=1_700_000_000_000 + at)
    return run


async def test_a_workflow_is_a_live_tree_and_one_log(store: Redis, watched: Watched) -> None:
    page = watched.page
    first = begin(store, "flow-1", "", 0).write(b"fetch \x1b[32mgreen\nstill green\x1b[0m\nhalf a ")
    second = begin(store, "flow-2", "flow-1", 1).write(b"<b>load</b>\n")
    await watched.task("flow-2")
    await expect(page.locator("#flow summary")).to_have_text("Workflow: 2 tasks, 0 ended")
    await page.locator("#flow summary").click()
    await expect(page.locator("#tree li li a")).to_have_text("flow.flow-2")
    await expect(page.locator("#tree a[aria-current=page]")).to_have_text("flow.flow-2")
    await page.get_by_role("link", name="All their logs as one").click()
    texts = page.locator("#merged .row .text")
    await expect(texts).to_have_text(["fetch green", "still green", "half a ", "<b>load</b>"])
    await expect(page.locator("#merged .row").nth(1).locator(".f2").last).to_have_text("still green")
    first.write(b"line\n")
    await expect(texts.nth(2)).to_have_text("half a line")
    third = begin(store, "flow-3", "flow-2", 2).write(b"report\n")
    first.finish()
    await expect(page.locator("#tree li li li a")).to_have_text("flow.flow-3")
    await expect(page.locator("#sum")).to_have_text("3 tasks, 2 under way")
    await expect(texts.last).to_have_text("report")
    second.finish()
    third.finish("FAILURE")
    await expect(page.locator("#tree .state[data-state=FAILURE]")).to_have_count(1)
    await expect(page.locator("#where")).to_have_text("5 lines · ended")
    await page.locator("#merged .label").last.click()
    await watched.wait_for_line(1, "report")


async def test_a_task_that_is_its_own_sender_makes_no_endless_tree(store: Redis, watched: Watched) -> None:
    begin(store, "flow-1", "flow-5", 0)
    begin(store, "flow-5", "flow-1", 1)
    begin(store, "flow-6", "flow-6", 2)
    await watched.go("/tasks/flow-5/workflow")
    await expect(watched.page.locator("#tree a", has_text="flow.flow-5")).to_have_count(1)
    await expect(watched.page.locator("#tree a", has_text="flow.flow-6")).to_have_count(1)
