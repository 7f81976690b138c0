"""Finding one's way in a log: search, marks, folds, levels, selecting and copying, times; all by keys, too."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import expect

from livetask.turns import turned
from tests.browser.watching import Watched, line_of, numbered, wait_until
from tests.server.serving import Writer
from tests.system.rig import Redis

HIGHLIGHTED = """(name) => [...(CSS.highlights.get(name) ?? [])].map(String)"""


async def test_a_search_finds_what_is_not_on_the_page(store: Redis, watched: Watched) -> None:
    Writer(store.url, "find-1").begin().write(numbered(1, 5000)).finish()
    await watched.task("find-1")
    await watched.wait_for_line(5000)
    await watched.page.keyboard.press("/")
    await watched.page.keyboard.type("1234 ")
    assert (await watched.wait_for_line(1234, line_of(1234)))["marked"]
    count = watched.page.locator("livetask-log .count")
    await expect(count).to_have_text("1 of 1")
    assert await highlighted(watched, "livetask-chosen") == ["1234 "]
    await watched.page.keyboard.press("Control+a")
    await watched.page.keyboard.type("77 ")
    await expect(count).to_have_text(re.compile(r"^\d+ of 50$"))
    await watched.page.keyboard.press("Enter")
    await watched.page.keyboard.press("Enter")
    before = await count.inner_text()
    await watched.page.keyboard.press("Shift+Enter")
    at = [int(text.split(" ")[0]) for text in (before, await count.inner_text())]
    assert at[1] == at[0] - 1
    await watched.page.keyboard.press("Escape")
    await expect(count).to_be_hidden()
    assert await watched.breaches() == []


async def test_the_total_grows_while_the_task_runs(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "find-2").begin().write(b"needle\nhay\n" * 20)
    await watched.task("find-2")
    await search(watched, "needle")
    await expect(watched.page.locator("livetask-log .count")).to_have_text(re.compile(" of 20$"))
    run.write(b"hay\nneedle\n" * 5)
    await expect(watched.page.locator("livetask-log .count")).to_have_text(re.compile(" of 25$"))


async def test_case_and_regular_expressions_can_be_chosen(store: Redis, watched: Watched) -> None:
    Writer(store.url, "find-3").begin().write(b"Error 1\nerror 22\nno\n").finish()
    await watched.task("find-3")
    count = watched.page.locator("livetask-log .count")
    await search(watched, "error")
    await expect(count).to_have_text(re.compile(" of 2$"))
    await watched.page.get_by_role("button", name="Upper and lower case are told apart").click()
    await expect(count).to_have_text(re.compile(" of 1$"))
    await watched.page.evaluate(r"document.querySelector('livetask-log').search('r \\d{2}', {regex: true})")
    await expect(count).to_have_text(re.compile(" of 1$"))
    watched.expect("400")
    await watched.page.evaluate("document.querySelector('livetask-log').search('(', {regex: true})")
    await expect(watched.page.locator("livetask-log .query")).to_have_attribute("aria-invalid", "true")
    await expect(count).not_to_have_text("")


async def test_only_matching_lines_can_be_shown(store: Redis, watched: Watched) -> None:
    Writer(store.url, "find-4").begin().write(numbered(1, 3000)).finish()
    await watched.task("find-4")
    await search(watched, "99 ")
    await expect(watched.page.locator("livetask-log .count")).to_have_text(re.compile(" of 30$"))
    only = watched.page.get_by_role("button", name="Only matches")
    await only.click()
    rows = await watched.wait_for_rows("matches", lambda rows: len(rows) >= 20 and rows[0]["line"] % 100 == 99)
    assert all(row["line"] % 100 == 99 for row in rows if row["kind"] == "line")
    await only.click()
    await watched.wait_for_rows("all lines", lambda rows: rows[1]["line"] == rows[0]["line"] + 1)
    await watched.assert_lines_are_right()


async def test_errors_are_gone_through_and_shown_alone(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "marks-1").begin().write(numbered(1, 400))
    run.write(b"[2026-01-01 10:00:00,000: ERROR/MainProcess] it broke\n").write(numbered(402, 800))
    run.write(b"[2026-01-01 10:00:00,000: WARNING/MainProcess] careful\n").write(numbered(802, 1200))
    run.write(b"Traceback (most recent call last):\n").write(numbered(1202, 2000)).finish()
    await watched.task("marks-1")
    levels = watched.page.get_by_role("combobox", name="Levels")
    await expect(levels).to_be_visible()
    await watched.page.keyboard.press("g")
    await watched.page.keyboard.press("g")
    await watched.wait_for_line(1)
    await watched.page.keyboard.press("e")
    assert (await watched.wait_for_line(401))["marked"]
    await watched.page.keyboard.press("e")
    assert (await watched.wait_for_line(1201))["marked"]
    await watched.page.keyboard.press("E")
    await watched.wait_for_line(401)
    await levels.select_option("Warnings and errors")
    rows = await watched.wait_for_rows("three lines", lambda rows: len(rows) == 4)
    assert [row["line"] for row in rows[:3]] == [401, 801, 1201]
    await levels.select_option("All levels")
    await watched.wait_for_rows("all lines", lambda rows: len(rows) > 10)
    drawn = """() => {
      const map = document.querySelector('livetask-log').shadowRoot.querySelector('.map');
      return new Set(map.getContext('2d').getImageData(0, 0, map.width, map.height).data).size > 4;
    }"""
    assert await watched.page.evaluate(drawn)


async def test_lines_of_stderr_have_a_bar_and_are_shown_alone(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "stderr-1").begin().write(numbered(1, 10))
    run.write(b"careful\nERROR no\nso\n", stderr=turned([(0, 2)])).write(numbered(14, 20)).finish()
    await watched.task("stderr-1")
    levels = watched.page.get_by_role("combobox", name="Levels")
    await levels.select_option("stderr only")
    rows = await watched.wait_for_rows("three lines", lambda rows: len(rows) == 4)
    assert [row["text"] for row in rows[:3]] == ["careful", "ERROR no", "so"]
    bars = watched.page.locator("livetask-log [part=stderr]:visible")
    assert {await bar.get_attribute("data-line") for bar in await bars.all()} == {"11", "13"}
    await levels.select_option("All levels")
    await watched.wait_for_rows("all lines", lambda rows: len(rows) == 21)


async def test_escape_codes_can_be_shown_as_text(store: Redis, watched: Watched) -> None:
    line = "50%\r\x1b[31mred\x1b[0m \x1b]8;;https://x.test/\x07link\x1b]8;;\x07 \u202eabc \U0001f600 \0"
    Writer(store.url, "raw-1").begin().write(line.encode() + b"\nplain\n").finish()
    await watched.task("raw-1")
    await watched.wait_for_line(2, "plain")
    raw = watched.page.get_by_role("button", name="Raw", exact=True)
    await raw.click()
    wanted = "50%␍␛[31mred␛[0m ␛]8;;https://x.test/␇link␛]8;;␇ <U+202E>abc \U0001f600 ␀"
    await watched.wait_for_line(1, wanted)
    await watched.wait_for_line(2, "plain")
    assert await watched.page.locator("livetask-log .row a[href^=https]").count() == 0
    await raw.click()
    await expect(watched.page.locator("livetask-log .row a[href^=https]")).to_have_count(1)


async def test_groups_fold_nested_and_unclosed(store: Redis, watched: Watched) -> None:
    run = (
        Writer(store.url, "folds-1")
        .begin()
        .write(b"begin\n::group::outer\na\n::group::inner\nb\nc\n::endgroup::\nd\n::endgroup::\n")
    )
    run.write(
        b"\x1b[0Ksection_start:1700000000:build\r\x1b[0KBuilding it\nx\ny\n"
        b"\x1b[0Ksection_end:1700000003:build\r\x1b[0K\n"
    )
    run.write(b"::group::open\nlast\n")
    await watched.task("folds-1")

    def texts(rows: list[dict[str, Any]]) -> list[str]:
        return [row["text"] for row in rows]

    folded = ["begin", "outer", "Building it", "open", "last"]
    await watched.wait_for_rows("folded", lambda rows: texts(rows) == folded)
    await expect(watched.page.locator("livetask-log .about", has_text="3.0 s")).to_be_visible()
    await expect(watched.page.locator("livetask-log .about", has_text="not ended")).to_be_visible()
    await watched.page.locator("livetask-log .row.heading[data-line='2'] .fold").click()
    await watched.wait_for_rows("outer", lambda rows: texts(rows)[:5] == ["begin", "outer", "a", "inner", "d"])
    await watched.page.evaluate("location.hash = '#L6'")
    assert (await watched.wait_for_line(6, "c"))["marked"]
    await watched.page.keyboard.press("z")
    await watched.page.keyboard.press("z")
    await watched.wait_for_rows("all folded", lambda rows: texts(rows) == ["begin", "outer", "Building it", "open"])


async def test_text_is_selected_and_copied_beyond_the_rows_there_are(store: Redis, watched: Watched) -> None:
    Writer(store.url, "select-1").begin().write(b"\x1b[31mred\x1b[0m first\n" + numbered(2, 4000)).finish()
    await watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await watched.task("select-1", "#L3")
    await watched.wait_for_line(3)
    box = await watched.page.locator("livetask-log .row[data-line='2'] .text").bounding_box()
    assert box
    await watched.page.mouse.move(box["x"] + 2, box["y"] + 8)
    await watched.page.mouse.down()
    await watched.page.mouse.move(box["x"] + 400, box["y"] + 8 + 3 * box["height"])
    await watched.page.mouse.up()
    await watched.page.keyboard.press("Control+c")
    assert await copied(watched) == "\n".join(line_of(number) for number in range(2, 6))
    assert await highlighted(watched, "livetask-selected") == [line_of(number) for number in range(2, 6)]
    await watched.scroller.focus()
    await watched.page.keyboard.press("Control+a")
    await watched.page.keyboard.press("Control+c")
    whole = "\n".join(["red first", *(line_of(number) for number in range(2, 4001))])

    async def all_of_it() -> bool:
        return await copied(watched) == whole

    await wait_until("the whole log is in the clipboard", all_of_it)


async def test_times_are_shown_when_they_are_asked_for(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "times-1").begin()
    run.write(b"one\ntwo\n", at_ms=1_700_000_000_123).write(b"three\n", at_ms=1_700_000_060_456)
    await watched.task("times-1")
    await watched.wait_for_line(3)
    await watched.page.keyboard.press("t")
    times = watched.page.locator("livetask-log .row:not(.away) .time")
    await expect(times.nth(0)).to_have_text(re.compile(r"\d\d:\d\d:\d\d\.123"))
    await watched.page.reload()
    await watched.wait_for_line(3)
    await watched.page.get_by_role("button", name="Time", exact=True).click()
    await expect(watched.page.locator("livetask-log .row[data-line='2'] .time")).to_have_text(re.compile(r"\.123$"))
    await expect(watched.page.locator("livetask-log .row[data-line='3'] .time")).to_have_text(re.compile(r"\.456$"))


async def test_ctrl_f_opens_the_search_and_then_is_the_browsers(store: Redis, watched: Watched) -> None:
    Writer(store.url, "keys-2").begin().write(numbered(1, 50))
    await watched.task("keys-2")
    await watched.wait_for_line(50)
    await watched.page.evaluate(
        """() => {
          window.prevented = [];
          addEventListener('keydown', (event) => event.key === 'f' && prevented.push(event.defaultPrevented));
        }"""
    )
    await watched.page.keyboard.press("Control+f")
    await watched.page.keyboard.press("Control+f")
    assert await watched.page.evaluate("prevented") == [True, False]
    await expect(watched.page.locator("livetask-log .query")).to_be_focused()


async def test_lines_are_stepped_through_and_their_link_is_copied(store: Redis, watched: Watched) -> None:
    Writer(store.url, "keys-3").begin().write(numbered(1, 500)).finish()
    await watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await watched.task("keys-3", "#L100")
    await watched.wait_for_line(100)
    await watched.page.keyboard.press("j")
    await watched.page.keyboard.press("j")
    await watched.page.keyboard.press("k")
    assert watched.page.url.endswith("#L101")
    await watched.page.keyboard.press("y")
    assert (await copied(watched)).endswith("/tasks/keys-3#L101")
    await watched.page.keyboard.press("Control+c")

    async def line_copied() -> bool:
        return await copied(watched) == line_of(101)

    await wait_until("the marked line is in the clipboard", line_copied)


async def search(watched: Watched, text: str) -> None:
    await watched.page.get_by_role("searchbox", name="Search the whole log").fill(text)


async def highlighted(watched: Watched, name: str) -> list[str]:
    found: list[str] = await watched.page.evaluate(HIGHLIGHTED, name)
    return found


async def copied(watched: Watched) -> str:
    found: str = await watched.page.evaluate("navigator.clipboard.readText()")
    return found
