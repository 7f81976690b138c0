"""The dashboard with 500 tasks that all print ten times a second: frames a second, gaps between them, what is drawn.

``python -m tests.bench.board [seconds]`` prints a table. Reader and writer share the machine with server and browser:
the figures are those of a machine that is busy with all of it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import redis
from playwright.async_api import async_playwright

from livetask.keys import Keys, bucket_of
from livetask.position import START
from livetask.scripts import script
from tests.real.browser import FLAGS, environment, find_browser, node_for_playwright
from tests.server.serving import DAY_MS, Writer
from tests.system.rig import rig_in

TASKS, HZ = 500, 10

COUNT = """(seconds) => new Promise((done) => {
  const gaps = []; let last = performance.now(); const until = last + seconds * 1000; const drawn = { rows: 0 };
  const seen = new MutationObserver((found) => (drawn.rows += found.length));
  seen.observe(document.getElementById('cards'), { subtree: true, childList: true });
  const step = (now) => {
    gaps.push(now - last); last = now;
    if (now < until) requestAnimationFrame(step);
    else { seen.disconnect(); done({ gaps, changes: drawn.rows, heap: performance.memory?.usedJSHeapSize ?? 0 }); }
  };
  requestAnimationFrame(step);
})"""


def write(url: str, stop: Any) -> None:
    """Print a line in each task, ten times a second, until told to stop."""
    client, keys, sha = redis.Redis.from_url(url), Keys(), script("append").sha
    client.script_load(script("append").text)
    ends = {f"bench-{number}": START for number in range(TASKS)}
    due = time.monotonic()
    while not stop.is_set():
        with client.pipeline(transaction=False) as pipe:
            for task_id, at in ends.items():
                data = f"\x1b[32mstep {at.line}\x1b[0m loss=0.{at.line:05} of {task_id}\n".encode()
                end, bucket = at.after(data), bucket_of(task_id)
                names = (
                    keys.task(task_id),
                    keys.output(task_id, "abcdefghijkl"),
                    keys.bell(bucket),
                    keys.watched(bucket),
                )
                now_ms = int(time.time() * 1000)
                words = (task_id, "1", "abcdefghijkl", str(at), str(end), 8 << 20, DAY_MS, "d", data, "t", now_ms)
                pipe.evalsha(sha, len(names), *names, *words)
                ends[task_id] = end
            pipe.execute()
        due += 1 / HZ
        stop.wait(max(0.0, due - time.monotonic()))


async def measured(url: str, seconds: float) -> dict[str, Any]:
    """What the page does meanwhile."""
    if node := node_for_playwright():
        os.environ["PLAYWRIGHT_NODEJS_PATH"] = node
    async with async_playwright() as playwright:
        program = find_browser()
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS), env=dict(environment()))
        page = await browser.new_page(viewport={"width": 1400, "height": 900})
        await page.goto(url)
        await page.locator(".card .tail .f2").first.wait_for()
        found: dict[str, Any] = await page.evaluate(COUNT, seconds)
        found["cards"] = await page.locator(".card").count()
        await browser.close()
        return found


def watched(seconds: float) -> dict[str, Any]:
    """What the dashboard does for a while with all the tasks; ``fps``: its frames a second."""
    with tempfile.TemporaryDirectory() as place, rig_in(Path(place)) as rig:
        store = rig.redis("no")
        for number in range(TASKS):
            Writer(store.url, f"bench-{number}").begin(name=f"bench.task{number}")
        server = rig.serve(store.url)
        stop = multiprocessing.Event()
        writer = multiprocessing.Process(target=write, args=(store.url, stop))
        writer.start()
        try:
            found = asyncio.run(measured(server.url, seconds))
        finally:
            stop.set()
            writer.join(30)
    gaps = found["gaps"][1:]
    return found | {"fps": 1000 * len(gaps) / sum(gaps)}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    found = watched(seconds)
    gaps = sorted(found["gaps"][1:])
    rows = [
        ("frames a second", f"{found['fps']:.1f}"),
        ("gap between frames, median", f"{statistics.median(gaps):.1f} ms"),
        ("gap between frames, 95 of 100", f"{gaps[int(len(gaps) * 0.95)]:.1f} ms"),
        ("changes of rows a second", f"{found['changes'] / seconds:.0f}"),
        ("cards on the page", f"{found['cards']}"),
        ("heap of the page", f"{found['heap'] / 1e6:.1f} MB"),
    ]
    print(f"{TASKS} tasks, {HZ} lines a second each, {seconds:g} s")
    for name, value in rows:
        print(f"  {name:<32}{value:>12}")


if __name__ == "__main__":
    main()
