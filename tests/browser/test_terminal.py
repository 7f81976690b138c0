"""Programs that draw on a terminal, really run: what they draw ends as it does in xterm.js, and on the page too."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.browser.test_modules import HERE, node
from tests.browser.watching import Watched, wait_until
from tests.real.terminal_programs import FIXTURES, PROGRAMS, recorded
from tests.server.serving import Writer
from tests.system.rig import Redis


def test_there_is_a_recording_of_every_program() -> None:
    assert {path.stem for path in FIXTURES.glob("*.out")} == set(PROGRAMS)


@pytest.mark.parametrize("name", ["tqdm-nested", "rich-progress", "pip-download"])
def test_a_program_run_now_draws_what_xterm_draws(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.out").write_bytes(recorded(name))
    env = os.environ | {"LIVETASK_TEST_RECORDINGS": str(tmp_path)}
    line = [node(), "--test", str(HERE / "terminal.test.mjs")]
    said = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert said.returncode == 0, said.stdout[-4000:]
    assert f"{name}.out ends on the same screen" in said.stdout


async def test_bars_that_are_drawn_again_keep_their_rows(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "bars-1").begin().write(b"before\none 0%\ntwo 0%\n")
    await watched.task("bars-1")
    await watched.wait_for_line(3, "two 0%")
    for share in (10, 60, 100):
        run.write(b"\x1b[2A\r\x1b[2Kone %d%%\n\x1b[2Ktwo %d%%\n" % (share, share))
        await watched.wait_for_line(3, f"two {share}%")
    run.write(b"after\n").finish()
    rows = await watched.wait_for_rows("the end", lambda rows: rows[-1]["kind"] == "end")
    assert [row["text"] for row in rows[:-1]] == ["before", "one 100%", "two 100%", "after"]
    assert [row["line"] for row in rows[:-1]] == [1, 2, 3, 4]
    await watched.page.reload()
    again = await watched.wait_for_rows("the end again", lambda rows: rows[-1]["kind"] == "end" and len(rows) == 5)
    assert [row["text"] for row in again[:-1]] == ["before", "one 100%", "two 100%", "after"]


async def test_rows_that_are_written_again_wait_for_what_draws_them(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "bars-3").begin().write(b"before\none 0%\ntwo 0%\n")
    held: asyncio.Future[Route] = asyncio.get_running_loop().create_future()
    await watched.page.route("**/log/extras.js", lambda route: held.set_result(route))
    await watched.go("/embed/tasks/bars-3")
    await watched.wait_for_line(3, "two 0%")
    route = await asyncio.wait_for(held, 90)
    run.write(b"\x1b[2A\r\x1b[2Kone 50%\n\x1b[2Ktwo 50%\n").write(b"after\nspin /\rspin -\n").finish()

    async def waits() -> bool:
        return bool(await watched.page.evaluate("document.querySelector('livetask-log').turns?.length > 0"))

    await wait_until("output waits", waits)
    assert [row["text"] for row in await watched.rows()] == ["before", "one 0%", "two 0%"]
    await route.continue_()
    rows = await watched.wait_for_rows("the end", lambda rows: rows[-1]["kind"] == "end")
    assert [row["text"] for row in rows[:-1]] == ["before", "one 50%", "two 50%", "after", "spin -"]


async def test_what_draws_rows_again_is_tried_again_and_then_they_are_read_anew(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "bars-4").begin().write(b"before\none 0%\ntwo 0%\n")
    broken = True
    # without tools there is no key or click here: output that needs it is what asks for it

    async def lose(route: Route) -> None:
        await (route.abort() if broken else route.continue_())

    await watched.page.route("**/log/extras.js*", lose)
    watched.expect("ERR_FAILED")
    await watched.go("/embed/tasks/bars-4")
    await watched.wait_for_line(3, "two 0%")
    run.write(b"\x1b[2A\r\x1b[2Kone 50%\n\x1b[2Ktwo 50%\nafter\n")
    # as well as it can be shown: without moving up
    await watched.wait_for_rows("it as it came", lambda rows: rows[-1]["text"] == "after" and len(rows) == 6)
    foot = watched.page.locator("livetask-log .foot")
    await expect(foot).to_contain_text("live · without tools")
    broken = False
    run.write(b"\x1b[3A\r\x1b[2Kone 90%\n\n\nspin /\rspin -\n").finish()
    rows = await watched.wait_for_rows("the end", lambda rows: rows[-1]["kind"] == "end" and len(rows) == 6)
    assert [row["text"] for row in rows[:-1]] == ["before", "one 90%", "two 50%", "after", "spin -"]
    await expect(foot).not_to_contain_text("without tools")


async def test_a_long_recording_joined_late_shows_its_last_screen(store: Redis, watched: Watched) -> None:
    frames = [
        b"%sa %d\nb %d\nc %d" % (b"\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K" if i else b"", i, i, i) for i in range(700)
    ]
    run = Writer(store.url, "bars-2").begin().write(b"before\n")
    for first in range(0, 700, 100):
        run.write(b"".join(frames[first : first + 100]))
    run.write(b"\nafter\n").finish()
    await watched.task("bars-2")
    wanted = ["before", "a 699", "b 699", "c 699", "after"]
    rows = await watched.wait_for_rows(
        "one table", lambda rows: [row["text"] for row in rows if row["kind"] == "line"] == wanted
    )
    assert rows[-1]["kind"] == "end"
