"""Log views side by side in a browser: ``python -m tests.bench.view [--quick]``.

Interleaved, for livetask's element, for a list on TanStack's virtual-core, and for xterm.js, all of which are given the
same output by the same server: lines that arrive at several rates (frames a second, gaps between frames, how old the
newest line on the screen is, the heap and the text held afterwards), a long log that is opened (until its last line is
shown, from the navigation on, and since its code is there; a jump to its middle; for livetask a search of all of it,
whose first match and whose exact total are waited for), and a view that was scrolled up while lines come. The peers
take all bytes, as they must; livetask asks for what it shows. Under each table stands the goal.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import redis
from playwright.async_api import Browser, Page, async_playwright

from tests.bench import machine
from tests.real import browser as browsers
from tests.real.plain_server import plain_server
from tests.server.serving import Writer
from tests.system.rig import CHECKOUT, Dashboard, Redis, rig_in

WAYS = ("livetask", "tanstack", "xterm")
HERE = Path(__file__).parent
TICK_S = 0.02
WITHIN_MS = 60_000


class Printer:
    """Prints numbered lines of 100 bytes, each with its time, into one run at a rate, until it is stopped."""

    def __init__(self, run: Writer, rate: int, first: int = 1) -> None:
        self._run, self._rate, self._first = run, rate, first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._print)

    def __enter__(self) -> Printer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _print(self) -> None:
        began, line = time.monotonic(), self._first
        while not self._stop.wait(TICK_S):
            due = self._first - 1 + int((time.monotonic() - began) * self._rate)
            while line <= due and not self._stop.is_set():
                last = min(due, line + 160)
                self._run.write(lines(line, last))
                line = last + 1


def lines(first: int, last: int) -> bytes:
    now = int(time.time() * 1000)
    return b"".join(b"%-99s\n" % f"{number} {now} words of a log".encode() for number in range(first, last + 1))


async def opened(browser: Browser, address: str, way: str, server: str, task: str) -> Page:
    page = await browser.new_page(viewport={"width": 1200, "height": 800})
    page.on("pageerror", lambda error: print(f"{way}: {error}", file=sys.stderr))
    await page.goto(f"{address}/view.html?way={way}&server={server}&task={task}", wait_until="commit")
    return page


async def live(
    browser: Browser, address: str, server: Dashboard, store: Redis, way: str, rate: int, seconds: float
) -> dict[str, float]:
    task = f"live-{way}-{time.monotonic_ns()}"
    run = Writer(store.url, task, cap_bytes=8 << 20).begin()
    with Printer(run, rate):
        page = await opened(browser, address, way, server.url, task)
        await page.wait_for_function("window.way !== undefined && window.way.newest() !== ''", timeout=WITHIN_MS)
        found: dict[str, float] = await page.evaluate("(seconds) => window.watched(seconds)", seconds)
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    await session.send("Performance.enable")
    figures = {one["name"]: one["value"] for one in (await session.send("Performance.getMetrics"))["metrics"]}
    found["heap_mb"] = figures["JSHeapUsedSize"] / 1e6
    found["held_mb"] = await page.evaluate("window.way.held() / 1e6")
    await page.close()
    return found


async def backlog(
    browser: Browser, address: str, server: Dashboard, way: str, task: str, count: int
) -> dict[str, float]:
    page = await opened(browser, address, way, server.url, task)
    await page.wait_for_function("window.tailShown !== undefined", timeout=WITHIN_MS)
    found = {"tail_ms": await page.evaluate("([line, ms]) => window.tailShown(line, ms)", [count, WITHIN_MS])}
    found["from_code_ms"] = found["tail_ms"] - await page.evaluate("window.loaded")
    found["jump_ms"] = await page.evaluate("([line, ms]) => window.jumped(line, ms)", [count // 2, 10_000])
    if way == "livetask":
        found |= await page.evaluate("window.way.search('77 ')")
    await page.close()
    return found


async def scrolled_up(
    browser: Browser, address: str, server: Dashboard, store: Redis, way: str, rate: int, count: int
) -> dict[str, float]:
    """A reader in the middle of a log to which ``count`` lines are added."""
    task = f"up-{way}-{time.monotonic_ns()}"
    run = Writer(store.url, task, cap_bytes=256 << 20).begin()
    for first in range(1, 20_001, 160):
        run.write(lines(first, min(20_000, first + 159)))
    page = await opened(browser, address, way, server.url, task)
    await page.wait_for_function("window.tailShown !== undefined", timeout=WITHIN_MS)
    await page.evaluate("([line, ms]) => window.tailShown(line, ms)", [20_000, WITHIN_MS])
    await page.evaluate("([line, ms]) => window.jumped(line, ms)", [10_000, 10_000])
    with Printer(run, rate, 20_001):
        moved = await page.evaluate("([lines, ms]) => window.moved(lines, ms)", [count, WITHIN_MS])
    await page.close()
    return {"moved": moved}


def table(title: str, columns: dict[str, str], results: dict[str, list[dict[str, float]]]) -> str:
    """Medians of the rounds, with the least and the most."""
    head = [title, *columns.values()]
    rows = [[way, *(spread([one.get(key, math.nan) for one in results[way]]) for key in columns)] for way in results]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def spread(values: Sequence[float]) -> str:
    good = [value for value in values if not math.isnan(value)]
    if not good:
        return "-"
    return f"{median(good):.1f} ({min(good):.1f} to {max(good):.1f})"


async def measured(arguments: argparse.Namespace, place: Path) -> None:
    folder = place / "pages"
    shutil.copytree(CHECKOUT / "node_modules" / "@tanstack" / "virtual-core" / "dist" / "esm", folder / "virtual-core")
    for path in ("lib/xterm.js", "css/xterm.css"):
        shutil.copy(CHECKOUT / "node_modules" / "@xterm" / "xterm" / path, folder)
    shutil.copy(CHECKOUT / "node_modules" / "socket.io-client" / "dist" / "socket.io.esm.min.js", folder)
    for name in ("view.html", "view.mjs"):
        shutil.copy(HERE / name, folder)
    fast: dict[int, dict[str, list[dict[str, float]]]] = {rate: defaultdict(list) for rate in arguments.rates}
    long: dict[str, list[dict[str, float]]] = defaultdict(list)
    still: dict[str, list[dict[str, float]]] = defaultdict(list)
    with plain_server(folder) as address, rig_in(place) as rig:
        store = rig.redis("no")
        version = str(redis.Redis.from_url(store.url).info()["redis_version"])
        server = rig.serve(store.url, env={"LIVETASK_CORS_ALLOWED_ORIGINS": address})
        writer = Writer(store.url, "long", cap_bytes=1 << 30).begin()
        for first in range(1, arguments.backlog + 1, 160):
            writer.write(lines(first, min(arguments.backlog, first + 159)))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=str(browsers.find_browser()), env=browsers.environment(), args=list(browsers.FLAGS)
            )
            for _ in range(arguments.rounds):
                for way in arguments.ways:
                    for rate in arguments.rates:
                        fast[rate][way].append(
                            await live(browser, address, server, store, way, rate, arguments.seconds)
                        )
                    long[way].append(await backlog(browser, address, server, way, "long", arguments.backlog))
                    still[way].append(
                        await scrolled_up(browser, address, server, store, way, arguments.rates[0], arguments.added)
                    )
            print(machine.described(f"Chromium {browser.version}, Valkey {version}"), "\n")
            await browser.close()
    columns = {
        "fps": "frames/s",
        "gap95": "gap p95, ms",
        "age50": "line to screen p50, ms",
        "age95": "p95, ms",
        "heap_mb": "heap, MB",
        "held_mb": "text held, M characters",
    }
    for rate, results in fast.items():
        print(table(f"{rate:,} lines/s for {arguments.seconds:g} s", columns, results))
        fps = "58 frames/s or more, gap p95 20 ms" if rate <= 50_000 else "57 frames/s or more"
        print(f"\nGoal: {fps}, line to screen p95 50 ms, heap 10 MB and text 8 MB at most.\n")
    columns = {
        "tail_ms": "last line shown, ms",
        "from_code_ms": "since the code is there",
        "jump_ms": "jump to the middle, ms",
    }
    columns |= {"first_ms": "search: first match, ms", "all_ms": "exact total, ms", "matches": "matches"}
    print(table(f"log of {arguments.backlog:,} lines", columns, long))
    print(
        "\nGoal: the last line, since the code is there, and the jump within 100 ms;",
        "first match 200 ms, total 1 s.\n",
    )
    print(table(f"scrolled up while {arguments.added:,} lines come", {"moved": "lines it moves"}, still))
    print("\nGoal: 0.")


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.view", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rates", type=_whole_numbers, default=[50_000, 200_000], help="lines a second")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="lines of the long log")
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS), help=f"of {','.join(WAYS)}")
    parser.add_argument("--added", type=int, default=100_000, help="lines that come while a view is scrolled up")
    parser.add_argument("--quick", action="store_true", help="one round, small and short: whether it runs")
    if "--quick" in words:
        parser.set_defaults(rounds=1, seconds=2.0, rates=[50_000], backlog=100_000, added=20_000)
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(measured(parser.parse_args(words), Path(place)))
    return 0


def _whole_numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
