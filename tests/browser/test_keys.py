"""By keyboard alone: each key that a page lists does what it says, and what can be pressed can be reached."""

from __future__ import annotations

import asyncio
import re
import uuid

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.test_board import put
from tests.browser.watching import Watched, line_of, numbered, wait_until
from tests.server.serving import Writer
from tests.system.rig import Redis

CALL = '{"args": [], "kwargs": {}}'

FOCUSED = """() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  window.reached ??= new Set();
  if (!at || at === document.body) return true;
  const again = reached.has(at);
  reached.add(at);
  return again;
}"""

MISSED = """() => {
  const within = (one) => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])];
  const all = (root) => [...root.querySelectorAll('*')].flatMap(within);
  return all(document)
    .filter((one) => one.matches('button, a[href], input, select, summary, textarea') && !one.disabled)
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && one.tabIndex >= 0 && !reached.has(one))
    .map((one) => one.outerHTML.slice(0, 120));
}"""


async def listed(page: Page) -> set[str]:
    """The keys that ``?`` lists, each once."""
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    await expect(dialog).to_be_visible()
    terms = await dialog.locator("dt").all()
    each = [" ".join(await term.locator("kbd").all_inner_texts()) for term in terms]
    found = set(each)
    assert len(found) == len(each), each
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    return found


async def pressed(button: Locator, on: bool) -> None:
    await expect(button).to_have_attribute("aria-pressed", str(on).lower())


def tool(page: Page, name: str) -> Locator:
    return page.locator("livetask-log").get_by_role("button", name=name, exact=True)


async def test_every_key_of_the_task_page_does_what_the_list_says(store: Redis, watched: Watched) -> None:
    log = numbered(1, 300) + b"ERROR one\n" + numbered(302, 600) + b"ERROR two\n"
    log += b"::group::all of it\na\nb\n::endgroup::\n" + numbered(606, 900)
    run = Writer(store.url, "every-key").begin("every.key").write(log)
    put(store, run, call=CALL)
    Writer(store.url, "every-other").begin("every.other").write(b"the other\n")
    await watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, key = watched.page, watched.page.keyboard.press
    await watched.task("every-key")
    await watched.wait_for_line(900)
    await expect(tool(page, "Fold")).to_be_visible()

    async def goes_to(keys: str, line: int, text: str | None = None) -> None:
        for one in keys.split(" "):
            await key(one)
        row = await watched.wait_for_line(line, text)
        assert row["marked"] or keys in ("g g", "G", "Home", "End")

    await goes_to("g g", 1)
    await goes_to("G", 900)
    await goes_to("Home", 1)
    await goes_to("End", 900)
    await key("f")
    await pressed(tool(page, "Follow"), on=False)
    await key("f")
    await pressed(tool(page, "Follow"), on=True)
    await key("w")
    await pressed(tool(page, "Wrap"), on=True)
    await key("w")
    await key("t")
    await pressed(tool(page, "Time"), on=True)
    await key("t")
    await key("g")
    await goes_to("g e", 301)
    await goes_to("e", 601)
    await goes_to("E", 301)
    await goes_to("j", 302)
    await goes_to("k", 301)
    await key("y")
    await wait_until("the link is copied", lambda: ends_with(page, "/tasks/every-key#L301"))
    await key(":")
    await page.keyboard.type("450")
    await goes_to("Enter", 450, line_of(450))
    await key("/")
    await page.keyboard.type("77 ")
    here = await at_match(page)
    await key("Enter")
    here += 1
    await expect(page.locator("livetask-log .count")).to_have_text(re.compile(f"^{here} of"))
    await page.get_by_role("log").focus()
    await key("n")
    await expect(page.locator("livetask-log .count")).to_have_text(re.compile(f"^{here + 1} of"))
    await key("N")
    await expect(page.locator("livetask-log .count")).to_have_text(re.compile(f"^{here} of"))
    await key("Escape")
    await expect(page.locator("livetask-log .count")).to_be_hidden()
    await pressed(tool(page, "Fold"), on=True)  # what had ended when the page was opened
    await key("z")
    await pressed(tool(page, "Fold"), on=False)
    await key("z")
    await pressed(tool(page, "Fold"), on=True)
    await key("b")
    await pressed(page.locator("#tell"), on=True)
    await key("b")
    await key("c")
    await asked_and_left(page.get_by_role("dialog", name="Cancel this task?"))
    run.finish()
    await expect(page.locator("#again")).to_be_visible()
    await key("r")
    await asked_and_left(page.get_by_role("dialog", name="Run this task again"))
    done = {"g g", "G", "Home", "End", "f", "w", "t", "e", "E", "j", "k", "y", ":", "/", "n", "N", "Escape", "z"}
    assert await listed(page) == done | {"b", "c", "r", "h", "l", "?"}
    await watched.go("/?q=every.&sort=name")
    await page.locator(".card .name").first.click()
    await watched.wait_for_line(900)
    await key("l")
    await page.wait_for_url("**/tasks/every-other")
    await watched.wait_for_line(1, "the other")
    await key("h")
    await page.wait_for_url("**/tasks/every-key")


async def test_every_key_of_the_dashboard_does_what_the_list_says(store: Redis, watched: Watched) -> None:
    for number in range(3):
        run = Writer(store.url, f"board-{number}").begin(f"board.{number}").write(b"x\n")
        put(store, run, call=CALL)
        if number == 2:
            run.finish()
    page, key = watched.page, watched.page.keyboard.press
    await watched.go("/?q=board.&sort=name")
    cards = page.locator(".card")
    await expect(cards).to_have_count(3)
    await expect(cards.first).to_contain_text("board.0")
    for keys, at in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        await key(keys)
        await expect(cards.nth(at).locator(":focus")).to_have_count(1)
    await key("p")
    await expect(cards.first).to_contain_text("board.1")
    await expect(cards.first.locator(":focus")).to_have_count(1)
    await key("b")
    await pressed(cards.first.locator("[data-does=tell]"), on=True)
    await key("b")
    await key("c")
    await asked_and_left(page.get_by_role("dialog", name="Cancel board.1?"))
    await key("j")
    await key("j")
    await key("r")
    await asked_and_left(page.get_by_role("dialog", name="Run board.2 again"))
    await key("v")
    await pressed(page.locator("#as-list"), on=True)
    await key("v")
    await pressed(page.locator("#as-grid"), on=True)
    await key("x")
    await expect(page.locator(".bulk .count")).to_have_text("1 selected")
    await key("s")
    await expect(page.locator(".bulk")).to_have_count(0)
    await key("s")
    await expect(page.locator(".bulk .count")).to_have_text("0 selected")
    await key("s")
    await key("/")
    await expect(page.locator("#filter")).to_be_focused()
    await page.keyboard.type("n?")
    await expect(page.locator("#filter")).to_have_value(re.compile(r"n\?$"))  # no key while somebody writes
    await page.locator("#main").focus()
    # starting with `n` is in test_start_form.py, where there are tasks to start
    assert await listed(page) == {"/", "n", "j", "k", "v", "s", "x", "p", "b", "c", "r", "?"}


@pytest.mark.parametrize(
    "path", ["/audit", "/login", "/no-such-page", "/tasks/{}/log", "/tasks/{}/workflow", "/embed/tasks/{}"]
)
async def test_every_page_lists_its_keys(store: Redis, watched: Watched, path: str) -> None:
    task_id = f"helped-{uuid.uuid4()}"
    Writer(store.url, task_id).begin().write(b"x\n")
    watched.expect("404")
    await watched.go(path.format(task_id))

    async def shown() -> bool:
        await watched.page.keyboard.press("?")  # the module that heeds it comes a moment after the page
        return await watched.page.get_by_role("dialog").count() == 1

    await wait_until("the list of keys", shown)
    assert await watched.breaches() == []


@pytest.mark.parametrize("path", ["/?q={}", "/tasks/{}", "/tasks/{}/workflow", "/audit"])
async def test_what_can_be_pressed_can_be_reached_with_tab(store: Redis, watched: Watched, path: str) -> None:
    task_id = f"reach-{uuid.uuid4()}"
    run = Writer(store.url, task_id).begin(task_id).write(b"::group::g\nx\nERROR no\n::endgroup::\n")
    put(store, run, call=CALL)
    await watched.go(path.format(task_id))
    await expect(watched.page.locator("h1").first).to_be_attached()
    if path.startswith("/tasks/"):
        await watched.page.locator(".row:visible, .merged-log > *").first.wait_for()
    if path == "/tasks/{}":
        await expect(tool(watched.page, "Fold")).to_be_visible()
    if path.startswith("/?"):
        await expect(watched.page.locator(".card")).to_have_count(1)
    for _ in range(150):
        await watched.page.keyboard.press("Tab")
        if await watched.page.evaluate(FOCUSED):
            break
    assert await watched.page.evaluate(MISSED) == []


async def test_the_first_error_is_gone_to_although_it_is_not_known_yet(store: Redis, watched: Watched) -> None:
    Writer(store.url, "soon").begin().write(numbered(1, 400) + b"ERROR no\n" + numbered(402, 900)).finish()
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await watched.page.route("**/api/**/marks*", hold)
    await watched.task("soon")
    await watched.wait_for_line(900)
    found = asyncio.ensure_future(watched.page.evaluate("document.querySelector('livetask-log').nextError()"))
    await watched.page.keyboard.press("w")
    await pressed(tool(watched.page, "Wrap"), on=True)
    assert not found.done()
    held.set()
    assert await found is True
    assert (await watched.wait_for_line(401, "ERROR no"))["marked"]


async def test_that_there_is_no_error_is_said_when_all_has_been_looked_at(store: Redis, watched: Watched) -> None:
    Writer(store.url, "none").begin().write(numbered(1, 900)).finish()
    await watched.task("none")
    assert await watched.page.evaluate("document.querySelector('livetask-log').nextError()") is False


async def asked_and_left(dialog: Locator) -> None:
    """The question is asked, and the key that leaves it does nothing else."""
    await expect(dialog).to_be_visible()
    await dialog.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()


async def ends_with(page: Page, text: str) -> bool:
    return str(await page.evaluate("navigator.clipboard.readText()")).endswith(text)


async def at_match(page: Page) -> int:
    """The number of the match that is shown, once all are known."""
    await expect(page.locator("livetask-log .count")).to_have_text(re.compile(r"^\d+ of \d+$"))
    return int((await page.locator("livetask-log .count").inner_text()).split(" ")[0].replace(",", ""))
