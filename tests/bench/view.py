"""Every goal of the pages, beside other log views: ``python -m tests.bench.view [--quick]``.

Interleaved, for livetask's element, for a list on TanStack's virtual-core, and for xterm.js, all of which are given the
same output by the same server: lines that arrive at several rates (frames a second, gaps between frames, from print to
screen, the heap and the text held afterwards), a long log that is opened (until its last line is shown, and a jump to
its middle; for livetask a search of all of it, and the task's page beside the element alone), and a view that was
scrolled up while lines come. The peers take all bytes, as they must; livetask asks for what it shows. Then the
dashboard with 500 tasks, what the pages weigh, and the recordings of programs that draw on a terminal. One table says
what was asked for and what was found: medians of the rounds, with the least and the most. Another round is begun only
while there is time; the others are watched for half as long as livetask. What each process takes meanwhile is said too,
since all share the machine: a page that is given no processor draws no frame, however little it has to do.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import redis
from playwright.async_api import Browser, Page, async_playwright

import bootstrap
from livetask.service.trees import descendants
from tests.bench import board, machine
from tests.bench.processes import Child, cpu_s, python, started
from tests.browser.test_modules import node
from tests.real import browser as browsers
from tests.real.plain_server import plain_server
from tests.server.serving import Writer
from tests.system.rig import CHECKOUT, Dashboard, Redis, rig_in

WAYS = ("livetask", "tanstack", "xterm")
HERE = Path(__file__).parent
WITHIN_MS = 60_000
PROCESSES = ("page", "browser", "server", "store", "writer")
BOARD_S = 25
"""What the dashboard and the rest take after the rounds."""


def printing(store: Redis, run: Writer, rate: int, first: int = 1) -> AbstractContextManager[Child]:
    """A process that prints into a run at a rate while the block lasts."""
    return started("printer", python("tests.bench.flood", store.url, run.task_id, str(run.at), str(rate), str(first)))


async def pids(browser: Browser, store: Redis, server: Dashboard, printer: Child) -> dict[str, list[int]]:
    """The processes that share the machine; ``page``: all pages' own, ``browser``: what else Chromium is made of."""
    assert store.running is not None
    session = await browser.new_browser_cdp_session()
    told = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    await session.detach()
    serving = server.running.process.pid
    found = {"writer": [printer.pid], "store": [store.running.process.pid], "server": [*descendants([serving])]}
    for one in told:
        found.setdefault("page" if one["type"] == "renderer" else "browser", []).append(one["id"])
    return found


def used_s(of: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """The processor time that each kind has taken; what has ended counts no more."""
    found: dict[str, float] = defaultdict(float)
    for kind, ids in of.items():
        for one in ids:
            with suppress(OSError):
                found[kind] += cpu_s(one)
    return found


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
    with printing(store, run, rate) as printer:
        page = await opened(browser, address, way, server.url, task)
        await page.wait_for_function("window.way !== undefined && window.way.newest() !== ''", timeout=WITHIN_MS)
        of = await pids(browser, store, server, printer)
        begun_s, before = time.monotonic(), used_s(of)
        found: dict[str, float] = await page.evaluate("(seconds) => window.watched(seconds)", seconds)
        wall_s, after = time.monotonic() - begun_s, used_s(of)
    found |= {f"cpu_{kind}": 100 * (after[kind] - before[kind]) / wall_s for kind in PROCESSES}
    found["load"] = os.getloadavg()[0]
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    await session.send("Performance.enable")
    figures = {one["name"]: one["value"] for one in (await session.send("Performance.getMetrics"))["metrics"]}
    found["heap_mb"] = figures["JSHeapUsedSize"] / 1e6
    held = await page.evaluate("window.way.held() / 1e6")
    found |= {} if math.isnan(held) else {"held_mb": held}
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
    found["again_ms"] = await page.evaluate("([line, ms]) => window.jumped(line, ms)", [count // 4, 10_000])
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
    with printing(store, run, rate, 20_001):
        moved = await page.evaluate("([lines, ms]) => window.moved(lines, ms)", [count, WITHIN_MS])
    await page.close()
    return {"moved": moved}


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, and the least and the most where there are several; how many were not measured."""
    good = [value for value in values if not math.isnan(value)]
    if not good:
        return "never" if values else ""
    text = f"{median(good):,.{digits}f}"
    if len(good) > 1:
        text += f" ({min(good):,.{digits}f} to {max(good):,.{digits}f})"
    return text + (f", {len(values) - len(good)} never" if len(good) < len(values) else "")


async def a_task_page(browser: Browser, server: Dashboard, task: str, count: int) -> dict[str, float]:
    """The whole page of a task, in a context of its own, with nothing in its cache."""
    context = await browser.new_context(viewport={"width": 1200, "height": 800})
    page = await context.new_page()
    await page.add_init_script(TAIL_OF_A_PAGE.replace("LAST", str(count)))
    await page.goto(f"{server.url}/tasks/{task}", wait_until="commit")
    found = await page.evaluate("window.tail")
    await context.close()
    return {"page_ms": found["shown"], "page_code_ms": found["shown"] - found["code"]}


TAIL_OF_A_PAGE = """
let code = NaN;
const define = customElements.define.bind(customElements);
customElements.define = (...how) => { code ||= performance.now(); define(...how); };
window.tail = (async () => {
  for (;;) {
    await new Promise(requestAnimationFrame);
    const root = document.querySelector('livetask-log')?.shadowRoot;
    if (root?.querySelector('.row.line[data-line="LAST"]')) return { code, shown: performance.now() };
  }
})();
"""


def recordings() -> float:
    """Of how many recorded programs the screen ends as in xterm.js; NaN if one does not."""
    line = [node(), "--test", str(CHECKOUT / "tests" / "browser" / "terminal.test.mjs")]
    said = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    found = set(re.findall(r"(\S+) ends on the same screen", said.stdout))
    return len(found) if said.returncode == 0 else math.nan


def weights() -> dict[str, float]:
    """What a browser loads to show a log, and of all pages, gzipped, in KB."""
    built = bootstrap.BUILT
    sizes = {str(file.relative_to(built)): file.stat().st_size / 1024 for file in built.rglob("*.js.gz")}
    return {"element": sizes["livetask-log.js.gz"], "site": sum(sizes.values())}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``goal``: '' for what only explains another. ``digits``: after the point."""

    title: str
    goal: str
    found: Mapping[str, Sequence[float]]
    digits: int = 0


def table(rows: Sequence[Row], ways: Sequence[str]) -> str:
    """Goals and what was found, as Markdown."""
    head = ["", "goal", *ways]
    lines = [head, ["---"] * len(head)]
    lines += [[row.title, row.goal, *(spread(row.found.get(way, ()), row.digits) for way in ways)] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


Found = dict[str, list[dict[str, float]]]


def column(found: Found, key: str) -> dict[str, list[float]]:
    return {way: [one[key] for one in ones if key in one] for way, ones in found.items()}


def rows_of(arguments: argparse.Namespace, fast: Mapping[int, Found], long: Found, still: Found) -> list[Row]:
    rows = []
    for rate, found in fast.items():
        what = f"{rate:,} lines/s"
        rows += [
            Row(f"{what}: frames a second", "58" if rate <= 50_000 else "57", column(found, "fps"), 1),
            Row("gap between frames, p95 ms", "20" if rate <= 50_000 else "", column(found, "gap95"), 1),
            Row("print to screen, p95 ms", "50", column(found, "shown95")),
            Row("of that p50 ms", "", column(found, "shown50")),
            Row("print to page, newest line of a message, p95 ms", "", column(found, "came95")),
            Row("age of the newest line in any frame, p95 ms", "", column(found, "stale95")),
            Row("heap after it, MB", "10", column(found, "heap_mb"), 1),
            Row("text held, M characters", "8", column(found, "held_mb"), 1),
            *(Row(f"CPU of {kind}, % of a core", "", column(found, f"cpu_{kind}")) for kind in PROCESSES),
            Row("load of the machine", "", column(found, "load"), 1),
        ]
    what = f"{arguments.backlog:,} lines"
    rows += [
        Row(f"{what}: code to last line shown, ms", "100", column(long, "from_code_ms")),
        Row("navigation to last line shown, ms", "", column(long, "tail_ms")),
        Row("a task's page: code to last line shown, ms", "100", column(long, "page_code_ms")),
        Row("a task's page: navigation to last line shown, ms", "", column(long, "page_ms")),
        Row("jump to the middle as soon as that is shown, ms", "100", column(long, "jump_ms")),
        Row("and from there to another place, ms", "100", column(long, "again_ms")),
        Row("search: first match, ms", "200", column(long, "first_ms")),
        Row("search: exact total, ms", "1,000", column(long, "all_ms")),
        Row(f"scrolled up while {arguments.added:,} lines come: lines moved", "0", column(still, "moved")),
    ]
    return rows


async def measured(arguments: argparse.Namespace, place: Path) -> None:
    begun_s = time.monotonic()
    folder = place / "pages"
    copy_peers(folder)
    fast: dict[int, Found] = {rate: defaultdict(list) for rate in arguments.rates}
    long: Found = defaultdict(list)
    still: Found = defaultdict(list)
    boards: list[dict[str, Any]] = []
    with plain_server(folder) as address, rig_in(place) as rig:
        store = rig.redis("no")
        version = str(redis.Redis.from_url(store.url).info()["redis_version"])
        server = rig.serve(store.url, env={"LIVETASK_CORS_ALLOWED_ORIGINS": address})
        writer = Writer(store.url, "long", cap_bytes=1 << 30).begin()
        for first in range(1, arguments.backlog + 1, 160):
            writer.write(lines(first, min(arguments.backlog, first + 159)))
            writer.all = b""  # nobody asks for it, and a hundred megabytes grow slowly
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=str(browsers.find_browser()), env=browsers.environment(), args=list(browsers.FLAGS)
            )
            print(machine.described(f"Chromium {browser.version}, Valkey {version}"), "\n", flush=True)
            for round_ in range(arguments.rounds):
                for way in arguments.ways:
                    seconds = arguments.seconds / (1 if way == "livetask" else 2)
                    for rate in arguments.rates:
                        found = await live(browser, address, server, store, way, rate, seconds)
                        fast[rate][way].append(found)
                    long[way].append(await backlog(browser, address, server, way, "long", arguments.backlog))
                    up = await scrolled_up(browser, address, server, store, way, 50_000, arguments.added)
                    still[way].append(up)
                if "livetask" in arguments.ways:
                    long["livetask"][-1] |= await a_task_page(browser, server, "long", arguments.backlog)
                spent_s = time.monotonic() - begun_s
                if spent_s * (round_ + 2) / (round_ + 1) + BOARD_S > arguments.minutes * 60:
                    break
            await browser.close()
    if "livetask" in arguments.ways:
        boards.append(await asyncio.to_thread(board.watched, arguments.seconds))
    rows = rows_of(arguments, fast, long, still)
    rows += [
        Row("500 tasks, 10 lines/s each: frames a second", "55", {"livetask": [one["fps"] for one in boards]}, 1),
        Row("to show a log, KiB gzipped", "12", {"livetask": [weights()["element"]]}, 1),
        Row("all pages, KiB gzipped", "45", {"livetask": [weights()["site"]]}, 1),
        Row("recorded programs whose screen ends as in xterm.js", "all", {"livetask": [recordings()]}),
    ]
    print(table(rows, arguments.ways))
    print(
        f"\nMedians of {round_ + 1} rounds (least to most) in {time.monotonic() - begun_s:.0f} s, load after it",
        f"{os.getloadavg()[0]:.1f}. Axe-core, keys alone and the policy: tests/browser/test_access_for_all.py,",
        "test_keys.py, test_log_attacks.py.",
    )


def copy_peers(folder: Path) -> None:
    """What the page of the bench loads, beside livetask's own files."""
    modules = CHECKOUT / "node_modules"
    shutil.copytree(modules / "@tanstack" / "virtual-core" / "dist" / "esm", folder / "virtual-core")
    shutil.copy(modules / "socket.io-client" / "dist" / "socket.io.esm.min.js", folder)
    for path in ("lib/xterm.js", "css/xterm.css"):
        shutil.copy(modules / "@xterm" / "xterm" / path, folder)
    for name in ("view.html", "view.mjs"):
        shutil.copy(HERE / name, folder)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.view", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rates", type=_whole_numbers, default=[1000, 50_000, 200_000], help="lines a second")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="lines of the long log")
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS), help=f"of {','.join(WAYS)}")
    parser.add_argument("--added", type=int, default=100_000, help="lines that come while a view is scrolled up")
    parser.add_argument("--minutes", type=float, default=10.0, help="no round is begun that would take longer in all")
    parser.add_argument("--quick", action="store_true", help="one round, small and short: whether it runs")
    if "--quick" in words:
        parser.set_defaults(rounds=1, seconds=3.0, rates=[1000, 50_000], backlog=100_000, added=20_000, minutes=2.0)
    with tempfile.TemporaryDirectory() as place:
        options = parser.parse_args(words)
        bootstrap.build_pages()  # after a change they would be served one by one, which takes longer to load
        asyncio.run(measured(options, Path(place)))
    return 0


def _whole_numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
