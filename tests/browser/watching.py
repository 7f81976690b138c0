"""A page in a real browser, watched: what goes wrong in it is kept, and what the log element shows can be read."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page

from tests.oracle.verdict import judging

Found = TypeVar("Found")

# run before any script of a page: breaches of the policy are kept where the test can read them
KEEP_BREACHES = """
window.breaches = [];
addEventListener('securitypolicyviolation', (event) => breaches.push(event.violatedDirective + ' ' + event.blockedURI));
"""

CONNECTED = """
() => {
  const log = document.querySelector('livetask-log');
  return log?.shownRun > 0 && log.client.link === 'live' && !log.feed.asked && (log.extras !== null || log.lacking);
}
"""

SHOWN = """
() => {
  const log = document.querySelector('livetask-log');
  if (!log?.shadowRoot) return [];
  const rows = [...log.shadowRoot.querySelectorAll('.scroll .row')].filter((row) => !row.classList.contains('away'));
  const at = (row) => row.getBoundingClientRect().top;
  return rows.sort((a, b) => at(a) - at(b)).map((row) => ({
    kind: row.classList[1], line: Number(row.dataset.line), text: row.querySelector('.text').textContent,
    marked: row.classList.contains('marked'), top: at(row), height: row.offsetHeight,
  }));
}
"""


async def wait_until(
    what: str, seen: Callable[[], Awaitable[Found | None]], within_s: float = 90, every_s: float = 0.05
) -> Found:
    """Ask ``seen`` until it answers something true, which is returned; AssertionError after ``within_s``."""
    ends_at = time.monotonic() + within_s
    while True:
        answer = await seen()
        if answer:
            return answer
        assert time.monotonic() < ends_at, f"not within {within_s:g} s: {what}; last seen: {answer!r}"
        await asyncio.sleep(every_s)


def numbered(first: int, last: int) -> bytes:
    """Lines that say their number and a hash of it, so that each is known whole and in its place."""
    return b"".join(line_of(number).encode() + b"\n" for number in range(first, last + 1))


def line_of(number: int) -> str:
    return f"{number} {hashlib.sha256(str(number).encode()).hexdigest()[:12]}"


@dataclass
class Watched:
    """One page and what was seen to go wrong in it."""

    context: BrowserContext
    page: Page
    url: str
    errors: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    @classmethod
    async def open(cls, browser: Browser, url: str, **options: Any) -> Watched:
        """A page in a context of its own. ``options``: of the context, such as the viewport."""
        context = await browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
        context.set_default_timeout(90_000)
        page = await context.new_page()
        watched = cls(context, page, url)
        await page.add_init_script(KEEP_BREACHES)
        page.on("console", watched._heard)
        page.on("pageerror", lambda error: watched.errors.append(f"page error: {error}"))
        page.on("crash", lambda _: watched.errors.append("the page crashed"))
        return watched

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in self.expected):
            self.errors.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def expect(self, *texts: str) -> None:
        """Messages of the console that hold one of these are no fault: the browser's own, of connections cut."""
        self.expected += texts

    def assert_clean(self) -> None:
        assert self.errors == [], self.errors

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def task(self, task_id: str, rest: str = "") -> None:
        """Open a task's page and wait until it is connected and has its tools, or knows that it lacks them."""
        await self.go(f"/tasks/{task_id}{rest}")

        async def connected() -> bool:
            # not playwright's wait_for_function: it makes code of text, which the page's policy forbids
            return bool(await self.page.evaluate(CONNECTED))

        await wait_until("the page shows a run", connected)

    async def breaches(self) -> list[str]:
        found: list[str] = await self.page.evaluate("window.breaches")
        return found

    # ---- the log element

    async def rows(self) -> list[dict[str, Any]]:
        """What the log shows now, from above."""
        found: list[dict[str, Any]] = await self.page.evaluate(SHOWN)
        return found

    async def wait_for_rows(
        self, what: str, good: Callable[[list[dict[str, Any]]], bool], within_s: float = 90
    ) -> list[dict[str, Any]]:
        async def seen() -> list[dict[str, Any]] | None:
            rows = await self.rows()
            return rows if rows and good(rows) else None

        return await wait_until(what, seen, within_s)

    async def wait_for_line(self, number: int, text: str | None = None, within_s: float = 90) -> dict[str, Any]:
        """Wait until a line is among the rows, with this text; its row."""

        def good(rows: list[dict[str, Any]]) -> bool:
            return any(self._is(row, number, text) for row in rows)

        rows = await self.wait_for_rows(f"line {number} with {text!r}", good, within_s)
        return next(row for row in rows if self._is(row, number, text))

    @staticmethod
    def _is(row: dict[str, Any], number: int, text: str | None) -> bool:
        return row["kind"] == "line" and row["line"] == number and (text is None or row["text"] == text)

    async def foot(self) -> str:
        return await self.page.locator("livetask-log .foot .link").inner_text()

    async def wait_for_foot(self, *texts: str, within_s: float = 90) -> str:
        async def seen() -> str | None:
            text = await self.foot()
            return text if text.startswith(texts) else None

        return await wait_until(f"the foot says {texts}", seen, within_s)

    async def text(self) -> str:
        """The whole text that the element can reach."""
        found: str = await self.page.evaluate("document.querySelector('livetask-log').text()")
        return found

    async def journal(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.page.evaluate(
            "Object.assign({}, document.querySelector('livetask-log').journal)"
        )
        return found

    @property
    def scroller(self) -> Locator:
        return self.page.locator("livetask-log .body > .scroll")

    async def wheel(self, px: int) -> None:
        box = await self.scroller.bounding_box()
        assert box
        await self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await self.page.mouse.wheel(0, px)

    async def assert_lines_are_right(self) -> None:
        """Every numbered line that is shown has its own text, and they follow one another."""
        rows = [row for row in await self.rows() if row["kind"] == "line"]
        assert rows
        for before, row in itertools.pairwise(rows):
            assert row["line"] == before["line"] + 1
        with judging():
            for row in rows:
                assert row["text"] == line_of(row["line"])
