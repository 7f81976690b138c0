"""Forced colours, less motion, text from right to left, a narrow screen: nothing is lost, nothing is mistaken."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.test_board import put
from tests.browser.watching import Watched, numbered
from tests.server.serving import Writer
from tests.system.rig import Dashboard, Redis

LOOK = """([one, names]) => {
  const style = getComputedStyle(one);
  return names.map((name) => style.getPropertyValue(name)).join(' ');
}"""

MOVING = """() => {
  const within = (one) => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])];
  const all = (root) => [...root.querySelectorAll('*')].flatMap(within);
  const moves = (style) => style.animationName !== 'none' || !/^(0s(, )?)+$/.test(style.transitionDuration);
  return all(document).filter((one) => ['', '::before', '::after'].some((part) => moves(getComputedStyle(one, part))))
    .map((one) => one.outerHTML.slice(0, 100));
}"""

MOVE = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('main { animation: turn 2s infinite } @keyframes turn { 50% { opacity: .5 } }');
  document.adoptedStyleSheets = [sheet];
}"""

PLACES = """() => {
  const log = document.querySelector('livetask-log').shadowRoot;
  return [...log.querySelectorAll('.row:not(.away)')].map((row) => {
    const text = row.querySelector('.text'), range = document.createRange();
    range.selectNodeContents(text);
    const signs = [];
    const walk = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      for (let at = 0; at < node.length; at++) {
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        signs.push([node.data[at], range.getBoundingClientRect().left]);
      }
    }
    return { line: Number(row.dataset.line), number: row.querySelector('.no').getBoundingClientRect().left, signs };
  });
}"""

BIDI = "\u202eabc \u05d0\u05d1\u05d2 \u2067def"
"""An override and an isolate that are never closed, and Hebrew letters."""


async def look(page: Page, selector: str, *names: str) -> str:
    one = await page.locator(selector).first.element_handle()
    return str(await page.evaluate(LOOK, [one, names]))


async def test_with_forced_colours_what_is_chosen_can_still_be_told(
    store: Redis, server: Dashboard, browser: Browser
) -> None:
    run = Writer(store.url, "forced-1").begin("forced.one").write(numbered(1, 50))
    put(store, run, progress='{"current": 3, "total": 9, "info": "epoch"}')
    watched = await Watched.open(browser, server.url, forced_colors="active")
    page = watched.page
    await watched.go("/?q=forced.")
    await expect(page.locator(".card")).to_have_count(1)
    frame = ("outline-style", "outline-width", "outline-color")
    assert await look(page, "#as-grid", *frame) != await look(page, "#as-list", *frame)
    # what stays of a state without its colours: its word, and an icon
    await expect(page.locator(".card .state")).to_have_text("RUNNING")
    assert await page.evaluate("getComputedStyle(document.querySelector('.card .state'), '::before').content") != "none"
    bar = [await look(page, f".progress .{part}", "background-color") for part in ("fill", "track")]
    assert bar[0] != bar[1]
    await page.get_by_role("button", name="Select").click()
    plain = await look(page, ".card", *frame)
    await page.locator(".card").click(position={"x": 200, "y": 30})
    assert await look(page, ".card.selected", *frame) != plain
    await watched.task("forced-1", "#L20")
    await watched.wait_for_line(20)
    log = "livetask-log .row:visible"
    assert await look(page, f"{log}.marked .no", *frame) != await look(page, f"{log}:not(.marked) .no", *frame)
    tools = "livetask-log .tools button[aria-pressed={}]"
    await page.keyboard.press("w")
    await expect(page.locator(tools.format("true")).first).to_be_visible()
    assert await look(page, tools.format("true"), *frame) != await look(page, tools.format("false"), *frame)
    watched.assert_clean()
    await watched.context.close()


async def test_nothing_moves_by_itself_for_those_who_wish_that(
    store: Redis, server: Dashboard, browser: Browser
) -> None:
    run = Writer(store.url, "still-1").begin("still.one").write(numbered(1, 50))
    put(store, run, progress='{"current": 3, "total": 9, "info": "epoch"}')
    watched = await Watched.open(browser, server.url, reduced_motion="reduce")
    await watched.go("/?q=still.")
    await expect(watched.page.locator(".card")).to_have_count(1)
    assert await watched.page.evaluate(MOVING) == []
    await watched.task("still-1")
    await watched.wait_for_line(50)
    await watched.wait_for_foot("live")
    assert await watched.page.evaluate(MOVING) == []
    await watched.page.evaluate(MOVE)
    assert await watched.page.evaluate(MOVING) == [], "the page takes it from whatever is to move"
    await watched.page.emulate_media(reduced_motion="no-preference")
    assert await watched.page.evaluate(MOVING) != [], "the test would see what moves"
    await watched.context.close()


@pytest.mark.parametrize("wraps", [False, True])
async def test_a_line_that_turns_its_direction_around_turns_no_other(
    store: Redis, watched: Watched, wraps: bool
) -> None:
    task_id = f"bidi-{wraps}"
    lines = ["left to right", BIDI, "left to right", "\u05d0\u05d1\u05d2 first", "left to right"]
    Writer(store.url, task_id).begin(name=BIDI).write("\n".join(lines).encode() + b"\n").finish()
    await watched.task(task_id)
    await watched.wait_for_line(5, "left to right")
    if wraps:
        await watched.page.keyboard.press("w")
    rows = {row["line"]: row for row in await watched.page.evaluate(PLACES) if row["line"]}
    for number in (1, 3, 5):
        assert "".join(sign for sign, _ in rows[number]["signs"]) == "left to right"
        assert rows[number]["signs"] == rows[1]["signs"], "each sign stands where it stands in the first line"
    lefts = [left for sign, left in rows[2]["signs"] if sign in "abc" or sign in "def"]
    assert lefts == sorted(lefts), "what is written from left to right stays so, also within such a line"
    hebrew = [left for sign, left in rows[4]["signs"] if "\u05d0" <= sign <= "\u05ea"]
    assert hebrew == sorted(hebrew, reverse=True), "letters that are read from right to left stand so"
    assert len({row["number"] for row in rows.values()}) == 1, "the numbers of lines stay in their column"
    assert "\u202e" not in await watched.page.inner_text("body")


@pytest.mark.parametrize(
    "path", ["/?q=wide-", "/tasks/{}", "/tasks/{}/workflow", "/tasks/{}/log", "/audit", "/nowhere"]
)
async def test_no_page_is_wider_than_a_phone(store: Redis, server: Dashboard, browser: Browser, path: str) -> None:
    task_id = f"wide-{abs(hash(path))}"
    long = "x" * 150
    run = Writer(store.url, task_id).begin(f"{task_id}.{long}").write(b"y" * 3000 + b"\n")
    fields = {"queue": long, "worker": long, "result": long * 5, "call": '{"args": []}', "root_id": task_id}
    put(store, run, progress=json.dumps({"current": 3, "total": 9, "info": long}), **fields)
    watched = await Watched.open(
        browser, server.url, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    )
    await watched.go(path.format(task_id))
    await expect(watched.page.locator("h1").first).to_be_attached()
    if path.startswith("/?"):
        await expect(watched.page.locator(".card").first).to_be_visible()
    if path == "/tasks/{}":
        await watched.wait_for_rows("its line", lambda rows: rows[0]["line"] == 1)
    assert await watched.page.evaluate("document.documentElement.scrollWidth") == 390
    await watched.context.close()


async def test_the_bar_of_a_task_stays_as_high_when_the_connection_is_lost(store: Redis, watched: Watched) -> None:
    Writer(store.url, "bar-1").begin().write(b"a line\n")
    await watched.task("bar-1")
    link = watched.page.locator("#link")
    await expect(link).to_have_text("live")
    await expect(watched.page.locator("#tell")).to_be_visible()
    for width in (390, 660, 768, 1000):
        await watched.page.set_viewport_size({"width": width, "height": 800})
        heights = []
        for text in ("live", "store unreachable"):
            await link.evaluate("(link, text) => { link.textContent = text; }", text)
            heights.append(await watched.page.evaluate("document.querySelector('.bar').offsetHeight"))
        assert heights[0] == heights[1], width
        wide, high = await watched.page.evaluate(
            "(({ scrollWidth, offsetWidth }, button, bar) => [scrollWidth - offsetWidth, button.offsetHeight])"
            "(document.documentElement, document.getElementById('tell'))"
        )
        assert wide <= 0, width
        assert high < 40, f"one line of text at {width}"
