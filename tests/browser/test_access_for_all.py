"""axe-core finds nothing wrong with any page in any state, in both themes, on a desk and on a phone."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from livetask.keys import alive_member
from tests.browser.test_board import put
from tests.browser.watching import Watched, numbered
from tests.server.serving import Writer
from tests.system.rig import CHECKOUT, Dashboard, Redis

AXE = CHECKOUT / "node_modules" / "axe-core" / "axe.min.js"

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

LOOK = """async (tags) => {
  const { violations } = await axe.run(document, { runOnly: tags, resultTypes: ['violations'] });
  const said = (node) => `${node.target.join(' ')}: ${node.any[0]?.message ?? node.failureSummary}`;
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(said).join(' | ')}`);
}"""

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
}


async def axe_faults(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it stands, a line each."""
    if not AXE.exists():
        pytest.skip("axe-core is not here: `make test` fetches it with the other packages of node")
    await page.evaluate(AXE.read_text())
    faults: list[str] = await page.evaluate(LOOK, RULES)
    return faults


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(filled: Redis, server: Dashboard, browser: Browser, theme: str, width: int) -> None:
    options: dict[str, Any] = {"color_scheme": theme, "reduced_motion": "reduce", "bypass_csp": True}
    watched = await Watched.open(browser, server.url, viewport={"width": width, "height": 800}, **options)
    found: dict[str, list[str]] = {}
    for name, (path, reach) in STATES.items():
        await watched.go(path)
        await reach(watched.page)
        found[name] = await axe_faults(watched.page)
    await watched.context.close()
    wrong = [f"{name}: {text}" for name, texts in found.items() for text in texts]
    assert not wrong, "\n".join(wrong)
