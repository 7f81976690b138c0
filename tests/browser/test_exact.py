"""What the page shows is what the task wrote, whatever happens between them: reloads, cuts, killed servers."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.async_api import Browser

from tests.browser.watching import Watched, line_of, numbered, wait_until
from tests.oracle.verdict import judging
from tests.real.fault_proxy import FaultProxy
from tests.server.serving import Writer
from tests.system.rig import Dashboard, Redis, Rig
from tests.system.viewers import must_equal

CUT = ("WebSocket connection to", "Failed to load resource", "net::ERR")
"""What the browser itself says of a connection that was cut on purpose."""


class Steady:
    """A task that prints numbered lines at a steady pace in a thread of its own until it is told to end."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.lines = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        while not self._over.wait(0.02):
            data = numbered(self.lines + 1, self.lines + 40)
            # in two pieces that cut a line, as pipes do
            self.writer.write(data[:333]).write(data[333:])
            self.lines += 40

    def start(self) -> Steady:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._over.set()
        self._thread.join(20)

    def end(self) -> int:
        """Stop printing, end the run; how many lines there are."""
        self.stop()
        self.writer.finish()
        return self.lines


@contextmanager
def steady(url: str, task_id: str) -> Iterator[Steady]:
    task = Steady(Writer(url, task_id, cap_bytes=256 << 20).begin())
    try:
        yield task.start()
    finally:
        task.stop()


async def begun_at_the_start(browser: Browser, url: str, task_id: str, mode: str) -> Watched:
    watched = await Watched.open(browser, url)
    watched.expect(*CUT)
    await watched.task(task_id)
    if mode == "all":
        await watched.page.evaluate("document.querySelector('livetask-log').setAttribute('mode', 'all')")
    return watched


async def assert_exact(watched: Watched, mode: str, lines: int, writer: Writer) -> None:
    """The page stands at the end, every line it shows is right, and all text is what was printed."""
    await watched.wait_for_foot("ended")
    await watched.wait_for_line(lines, line_of(lines))
    await watched.assert_lines_are_right()
    must_equal((await watched.text()).encode(), writer.all)
    journal = await watched.journal()
    with judging():
        assert journal["gaps"] == []
        assert journal["resets"] == 0
        if mode == "all":
            assert journal["bytes"] == len(writer.all)
            assert journal["verified"] is True
            assert journal["repeats"] == 0
    rng = random.Random(lines)
    for line in [1, *(rng.randrange(1, lines) for _ in range(6)), lines]:
        await watched.page.evaluate("(line) => document.querySelector('livetask-log').jump(line)", line)
        await watched.wait_for_line(line, line_of(line))
        await watched.wait_for_rows("every row", lambda rows: all(row["kind"] != "wait" for row in rows))
        await watched.assert_lines_are_right()
    watched.assert_clean()
    assert await watched.breaches() == []
    await watched.context.close()


@pytest.mark.parametrize("mode", ["screen", "all"])
async def test_a_reload_in_mid_run_shows_everything_once(
    rig: Rig, server: Dashboard, browser: Browser, mode: str
) -> None:
    url = rig_store(rig)
    with steady(url, f"reload-{mode}") as task:
        watched = await begun_at_the_start(browser, server.url, f"reload-{mode}", mode)
        for _ in range(3):
            await reached(watched, task.lines + 200)
            await watched.page.reload()
            if mode == "all":
                await watched.page.evaluate("document.querySelector('livetask-log').setAttribute('mode', 'all')")
        await reached(watched, task.lines + 200)
        lines = await asyncio.to_thread(task.end)
        await assert_exact(watched, mode, lines, task.writer)


@pytest.mark.parametrize(("mode", "times"), [("screen", 20), ("all", 50)])
async def test_a_socket_cut_again_and_again_shows_everything_once(
    rig: Rig, server: Dashboard, browser: Browser, mode: str, times: int
) -> None:
    url = rig_store(rig)
    rng = random.Random(50)
    with FaultProxy(server.port) as proxy, steady(url, f"cut-{mode}") as task:
        watched = await begun_at_the_start(browser, f"http://127.0.0.1:{proxy.port}", f"cut-{mode}", mode)
        cuts = 0
        while cuts < times:
            await reached(watched, task.lines)
            await asyncio.sleep(rng.random() * 0.1)  # the cut comes at any moment of the delivery
            cuts += 1 if proxy.cut() else 0
        lines = await asyncio.to_thread(task.end)
        await assert_exact(watched, mode, lines, task.writer)


async def test_where_no_websocket_gets_through_everything_is_shown_once_over_polling(
    rig: Rig, server: Dashboard, browser: Browser
) -> None:
    url = rig_store(rig)
    with FaultProxy(server.port) as proxy, steady(url, "polled") as task:
        proxy.forbidden = b"Upgrade: websocket"
        watched = await begun_at_the_start(browser, f"http://127.0.0.1:{proxy.port}", "polled", "all")
        for _ in range(5):
            await reached(watched, task.lines + 100)
            await wait_until("a poll is cut", cut_by(proxy))
        lines = await asyncio.to_thread(task.end)
        await assert_exact(watched, "all", lines, task.writer)


def cut_by(proxy: FaultProxy) -> Callable[[], Awaitable[int]]:
    async def cut() -> int:
        return proxy.cut()

    return cut


@pytest.mark.parametrize("mode", ["screen", "all"])
async def test_a_server_that_is_killed_and_started_again_is_gone_on_with(
    rig: Rig, server: Dashboard, browser: Browser, mode: str
) -> None:
    url = rig_store(rig)
    own = rig.serve(url)
    with steady(url, f"killed-{mode}") as task:
        watched = await begun_at_the_start(browser, own.url, f"killed-{mode}", mode)
        for _ in range(2):
            await reached(watched, task.lines + 100)
            await asyncio.to_thread(own.running.kill)
            await watched.wait_for_foot("reconnecting from line")
            own = await asyncio.to_thread(rig.serve, url, own.port)
            await watched.wait_for_foot("live")
        await reached(watched, task.lines + 100)
        lines = await asyncio.to_thread(task.end)
        await assert_exact(watched, mode, lines, task.writer)


async def assert_goes_on_after_a_kill(watched: Watched, store: Redis, writer: Writer) -> None:
    """Of the store, which writes down everything at once. ``writer``: has written 500 lines."""
    await watched.wait_for_line(500)
    await asyncio.to_thread(store.kill)
    await watched.wait_for_foot("store unreachable")
    await asyncio.to_thread(store.start, "always")
    await watched.wait_for_foot("live")
    writer.write(numbered(501, 900)).finish()
    await assert_exact(watched, "screen", 900, writer)


async def test_a_store_that_is_killed_and_started_again_is_gone_on_with(rig: Rig, browser: Browser) -> None:
    store = rig.redis("always")
    own = rig.serve(store.url)
    writer = Writer(store.url, "store-1").begin().write(numbered(1, 500))
    watched = await begun_at_the_start(browser, own.url, "store-1", "screen")
    await assert_goes_on_after_a_kill(watched, store, writer)


async def test_a_reader_who_has_scrolled_up_stays_there_through_a_cut(
    rig: Rig, server: Dashboard, browser: Browser
) -> None:
    url = rig_store(rig)
    with FaultProxy(server.port) as proxy:
        writer = Writer(url, "still-1").begin().write(numbered(1, 3000))
        watched = await begun_at_the_start(browser, f"http://127.0.0.1:{proxy.port}", "still-1", "screen")
        await watched.wait_for_line(3000)
        await watched.page.evaluate("document.querySelector('livetask-log').jump(1500)")
        await watched.wait_for_rows(
            "every row", lambda rows: len(rows) > 20 and all(row["kind"] == "line" for row in rows)
        )
        before = await watched.rows()
        proxy.refusing = True
        proxy.cut()
        await watched.wait_for_foot("reconnecting from line 3,001")
        writer.write(numbered(3001, 5000))
        proxy.refusing = False
        await watched.wait_for_foot("live")

        async def told() -> bool:
            return "2,000 new lines" in await watched.page.locator("livetask-log .pill").inner_text()

        await wait_until("the pill tells of the new lines", told)
        assert await watched.rows() == before
        writer.finish()
        await watched.page.keyboard.press("End")
        await watched.wait_for_line(5000)
        must_equal((await watched.text()).encode(), writer.all)


def rig_store(rig: Rig) -> str:
    """The URL of the file's own store, the first that its rig has started."""
    return next(started.url for started in rig.started if hasattr(started, "url"))


async def reached(watched: Watched, line: int) -> None:
    """Wait until the page has been told of a line."""

    async def seen() -> bool:
        return bool(
            await watched.page.evaluate(
                "(line) => (document.querySelector('livetask-log')?.feed?.finished ?? 0) >= line", line
            )
        )

    await wait_until(f"the page knows of line {line}", seen)
