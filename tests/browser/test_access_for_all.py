"""axe-core finds nothing wrong with any page in any state, in both themes, on a desk and on a phone."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page, expect

from livetask.keys import alive_member
from tests.browser.test_board import put
from tests.browser.watching import Watched, numbered
from tests.server.serving import Writer
from tests.system.rig import CHECKOUT, Dashboard, Redis

AXE = CHECKOUT / "node_modules" / "axe-core" / "axe.min.js"

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""The rules that a theme can break; the others look at what themes have in common."""

LOOK = """async (rules) => {
  const { violations } = await axe.run(document, { runOnly: rules, resultTypes: ['violations'] });
  const said = (node) => `${node.target.join(' ')}: ${node.any[0]?.message ?? node.failureSummary}`;
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(said).join(' | ')}`);
}"""

THEMES: tuple[tuple[Literal["light", "dark"], Any], ...] = (("light", RULES), ("dark", COLOURS))

TRACE = 'Traceback (most recent call last):\n  File "/x/site-packages/celery/a.py", line 1, in b\n    c()\n' \
        '  File "/srv/a.py", line 1, in b\n    c()\nKeyError: 1\n'  # fmt: skip


@pytest.fixture(scope="module")
def filled(store: Redis) -> Redis:
    """Tasks in every state."""
    for number, how in enumerate(("SUCCESS", "FAILURE", "RETRY", "REVOKED", "REJECTED", "IGNORED", "LOST")):
        run = Writer(store.url, f"axe-{number}").begin(name=f"axe.{how.lower()}")
        colours = "".join(f"\x1b[{code}mcolour {code}\x1b[0m " for code in (*range(30, 38), *range(90, 98)))
        run.write(numbered(1, 20) + colours.encode() + b"\nERROR no\n").finish(how)
        detail = json.dumps({"exception": "KeyError: 1", "traceback": TRACE})
        put(store, run, queue="q", result="{'a': 1}", call='{"args": []}', **{"1.detail": detail})
    second = Writer(store.url, "axe-2", "othernoncexx").begin(name="axe.retry", why="retry").write(b"again\n")
    put(store, second, progress='{"current": 3, "total": 9, "info": "epoch"}', root_id="axe-2")
    with store.client() as client:  # it has no worker that renews its lease
        client.zadd(second._shared("alive")[0], {alive_member("axe-2", 2, "othernoncexx"): 10**14})
    child = Writer(store.url, "axe-child").begin(name="axe.child").write(b"child\n")
    put(store, child, root_id="axe-2", parent_id="axe-2")
    return store


async def cards(page: Page) -> None:
    await expect(page.locator(".card")).to_have_count(8)
    await expect(page.locator(".card .tail").first).not_to_be_empty()


async def listed(page: Page) -> None:
    await cards(page)
    await page.get_by_role("button", name="List", exact=True).click()
    await page.get_by_role("button", name="Select").click()
    await page.locator(".card").nth(2).click(position={"x": 200, "y": 30})


async def refused(page: Page) -> None:
    await page.locator("#filter").fill("colour:red")
    await expect(page.get_by_role("alert")).not_to_be_empty()


async def nothing(page: Page) -> None:
    await expect(page.get_by_role("heading", name="No task matches")).to_be_visible()


async def keys(page: Page) -> None:
    await cards(page)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()


async def asked(page: Page) -> None:
    await expect(page.locator("#cancel")).to_be_visible()
    await page.keyboard.press("c")
    await expect(page.get_by_role("dialog")).to_be_visible()


async def task(page: Page) -> None:
    await expect(page.locator("#name")).to_contain_text("axe.")
    for summary in await page.locator("summary:visible").all():
        await summary.click()


async def flow(page: Page) -> None:
    await expect(page.locator("#tree a")).to_have_count(2)
    await expect(page.locator("#merged .row").first).to_be_visible()


async def plain(page: Page) -> None:
    await expect(page.locator("h1")).to_be_visible()


async def dialog(page: Page) -> None:
    await expect(page.locator("#link")).to_have_text("live")
    await page.get_by_role("button", name="Share", exact=True).click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.get_by_role("button", name="Make a link").click()
    await expect(page.get_by_role("textbox", name="The link")).to_be_visible()


async def shared(page: Page) -> None:
    path = await page.evaluate("fetch('/api/tasks/axe-1/shares', {method: 'POST'}).then((made) => made.json())")
    await page.goto(f"{page.url.partition('/no')[0]}{path['path']}")
    await expect(page.locator("#name")).to_have_text("axe.failure")
    await expect(page.locator("livetask-log .row:visible").first).to_be_visible()


async def over(page: Page) -> None:
    await expect(page.locator("#notice")).to_contain_text("This link is over")


async def element(page: Page) -> None:
    await expect(page.locator("livetask-log .row:visible").first).to_be_visible()
    await expect(page.get_by_role("button", name="Raw", exact=True)).to_be_visible()


async def raw(page: Page) -> None:
    await element(page)
    await page.get_by_role("button", name="Raw", exact=True).click()
    await page.get_by_role("searchbox").fill("colour")
    await expect(page.locator("livetask-log .count")).to_have_text(re.compile(" of "))


async def who(page: Page) -> None:
    await expect(page.get_by_role("heading", name="Audit")).to_be_visible()


STATES: dict[str, tuple[str, Callable[[Page], Awaitable[None]]]] = {
    "cards": ("/?q=axe.", cards),
    "a list with a selection": ("/?q=axe.", listed),
    "a filter that is refused": ("/?q=axe.", refused),
    "nothing matches": ("/?q=nothing-at-all", nothing),
    "the list of keys": ("/?q=axe.", keys),
    "a task that runs, with runs and a workflow": ("/tasks/axe-2", task),
    "a question": ("/tasks/axe-2", asked),
    "a task that failed": ("/tasks/axe-1", task),
    "a task that is not known yet": ("/tasks/axe-unknown", plain),
    "a workflow": ("/tasks/axe-2/workflow", flow),
    "a log without JavaScript": ("/tasks/axe-0/log", plain),
    "an error": ("/tasks/axe-unknown/log", plain),
    "a place that is not there": ("/nowhere", plain),
    "a link is made": ("/tasks/axe-1", dialog),
    "a shared log": ("/no-such-page", shared),
    "a link that is over": ("/share#nothing", over),
    "a frame": ("/embed/tasks/axe-1", element),
    "a frame with a search, raw": ("/embed/tasks/axe-0", raw),
    "what was done": ("/audit", who),
    "nothing was done": ("/audit?who=nobody", who),
    "the login": ("/login", plain),
}


async def axe_faults(page: Page, rules: Any = RULES) -> list[str]:
    """What axe-core finds wrong with the page as it stands, a line each. ``rules``: tags, or what it calls runOnly."""
    if not AXE.exists():
        pytest.skip("axe-core is not here: `make test` fetches it with the other packages of node")
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())
    faults: list[str] = await page.evaluate(LOOK, rules)
    return faults


async def faults_by_any_eye(page: Page) -> list[str]:
    """The same in both themes, on a phone and on a desk."""
    found = []
    for theme, rules in THEMES:
        await page.emulate_media(color_scheme=theme)
        for width in (390, 1400):
            await page.set_viewport_size({"width": width, "height": 800})
            found += [f"{theme}, {width} px: {fault}" for fault in await axe_faults(page, rules)]
    return found


@pytest.mark.parametrize("half", [0, 1])
async def test_axe_finds_nothing(filled: Redis, server: Dashboard, browser: Browser, half: int) -> None:
    watched = await Watched.open(browser, server.url, reduced_motion="reduce", bypass_csp=True)
    wrong: list[str] = []
    for name, (path, reach) in list(STATES.items())[half::2]:
        await watched.page.set_viewport_size({"width": 1400, "height": 800})
        await watched.go(path)
        await reach(watched.page)
        wrong += [f"{name}: {fault}" for fault in await faults_by_any_eye(watched.page)]
    await watched.context.close()
    assert not wrong, "\n".join(wrong)
