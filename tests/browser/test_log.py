"""The log on the task page: following, letting go, jumping, links, colours, long lines, ends and gaps."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from playwright.async_api import Browser, Route, WebSocketRoute, expect

from livetask.position import Position
from tests.browser.watching import Watched, line_of, numbered, wait_until
from tests.server.serving import Writer
from tests.system.rig import Dashboard, Redis


async def test_new_lines_are_followed_as_they_are_printed(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "follow-1").begin().write(numbered(1, 300))
    await watched.task("follow-1")
    await watched.wait_for_line(300, line_of(300))
    run.write(numbered(301, 900))
    await watched.wait_for_line(900, line_of(900))
    await watched.assert_lines_are_right()
    run.write(b"an unfinished li")
    await watched.wait_for_line(901, "an unfinished li")
    run.write(b"ne\n")
    await watched.wait_for_line(901, "an unfinished line")
    assert await watched.foot() == "live"
    run.finish()
    rows = await watched.wait_for_rows("the end's row", lambda rows: rows[-1]["kind"] == "end")
    assert rows[-1]["text"].startswith("Succeeded")
    await watched.wait_for_foot("ended")
    assert await watched.breaches() == []


async def test_what_is_followed_is_one_picture_that_changes_only_when_lines_come(
    store: Redis, watched: Watched
) -> None:
    run = Writer(store.url, "layers-1").begin().write(numbered(1, 2000))
    await watched.task("layers-1")
    await watched.wait_for_line(2000)
    await watched.wait_for_foot("live")
    layers: list[dict[str, Any]] = []
    session = await watched.page.context.new_cdp_session(watched.page)
    session.on("LayerTree.layerTreeDidChange", lambda told: layers.__setitem__(slice(None), told.get("layers", layers)))
    await session.send("LayerTree.enable")
    run.write(numbered(2001, 2100))
    await watched.wait_for_line(2100)

    async def told() -> list[dict[str, Any]]:
        return [one for one in layers if one["drawsContent"]]

    few = await wait_until("the layers of the page", told)
    assert len(few) < 15, "a layer for each row's number makes each frame cost twice as much"
    moving = (
        "document.getAnimations().length + document.querySelector('livetask-log').shadowRoot.getAnimations().length"
    )
    assert await watched.page.evaluate(moving) == 0, "else every frame is drawn anew"


async def test_numbers_stay_beside_a_line_that_is_moved_aside(store: Redis, watched: Watched) -> None:
    Writer(store.url, "aside-1").begin().write(numbered(1, 30) + b"long " * 400 + b"\n").finish()
    await watched.task("aside-1")
    await watched.wait_for_line(31)
    left = "document.querySelector('livetask-log').shadowRoot.querySelector('.row .no').getBoundingClientRect().left"
    at = await watched.page.evaluate(left)
    await watched.page.evaluate(
        "document.querySelector('livetask-log').shadowRoot.querySelector('.port').scrollLeft = 500"
    )
    await watched.page.wait_for_function(f"{left} === {at}")
    text = left.replace(".no'", ".text'")
    assert await watched.page.evaluate(text) < at


async def test_a_log_that_becomes_taller_goes_on_following(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "taller-1").begin().write(numbered(1, 300))
    await watched.task("taller-1")
    await watched.wait_for_line(300, line_of(300))
    # it is laid out before the next frame, so the page hears first that the bar was moved, and of the size only then
    moved = await watched.page.evaluate(
        """() => {
          const log = document.querySelector('livetask-log');
          const scroller = log.shadowRoot.querySelector('.scroll');
          const before = scroller.scrollTop;
          log.style.flex = `0 0 ${log.offsetHeight + 100}px`;
          return before - scroller.scrollTop;
        }"""
    )
    assert moved > 50, "the browser moved the bar, there was nothing below"
    run.write(numbered(301, 600))
    await watched.wait_for_line(600, line_of(600))


async def test_following_lets_go_when_scrolled_up_and_the_view_stays_still(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "letgo-1").begin().write(numbered(1, 2000))
    await watched.task("letgo-1")
    await watched.wait_for_line(2000)
    await watched.wheel(-3000)
    follow = watched.page.get_by_role("button", name="Follow", exact=True)
    await expect(follow).to_have_attribute("aria-pressed", "false")
    await watched.wait_for_rows("lines further up", lambda rows: 0 < rows[-1]["line"] < 1900)
    before = await settled(watched)
    for first in range(2001, 12001, 1000):
        run.write(numbered(first, first + 999))
    pill = watched.page.get_by_role("button", name=re.compile(r"^10,000 new lines · follow"))
    await expect(pill).to_be_visible()
    assert await watched.rows() == before
    await watched.assert_lines_are_right()
    await pill.click()
    await watched.wait_for_line(12000, line_of(12000))
    await expect(follow).to_have_attribute("aria-pressed", "true")
    await expect(watched.page.locator("livetask-log .pill")).to_be_hidden()
    run.write(numbered(12001, 12100))
    await watched.wait_for_line(12100)


async def test_what_is_pressed_before_the_tools_have_come_is_done_when_they_come(
    store: Redis, watched: Watched
) -> None:
    run = Writer(store.url, "pressed-1").begin().write(numbered(1, 300))
    held: asyncio.Future[Route] = asyncio.get_running_loop().create_future()
    await watched.page.route("**/log/extras.js", lambda route: held.set_result(route))
    # the page's own module waits for what is held, the log does not
    await watched.page.goto(f"{watched.url}/tasks/pressed-1", wait_until="commit")
    await watched.wait_for_line(300, line_of(300))
    route = await asyncio.wait_for(held, 90)
    await watched.page.locator("livetask-log .row[data-line='295'] .no").click()
    await watched.page.keyboard.press("t")
    # what was clicked shows another line by now, and stands elsewhere
    run.write(numbered(301, 600))
    await watched.page.set_viewport_size({"width": 1200, "height": 900})
    await watched.wait_for_line(600, line_of(600))
    await watched.wait_for_rows("more rows", lambda rows: all(row["line"] > 300 for row in rows))
    assert await watched.page.locator("livetask-log .tools .tool").count() == 0
    await route.continue_()
    await expect(watched.page.get_by_role("button", name="Time", exact=True)).to_have_attribute("aria-pressed", "true")
    await watched.page.keyboard.press("k")
    await watched.wait_for_rows("the line before the marked one", lambda rows: marked(rows) == [294])


async def test_a_click_is_one_though_the_log_grows_before_the_button_is_let_go(store: Redis, watched: Watched) -> None:
    Writer(store.url, "pressed-3").begin().write(numbered(1, 300)).finish()
    await watched.task("pressed-3", "#L100")
    await watched.wait_for_rows("the marked line", lambda rows: marked(rows) == [100])
    shown = len(await watched.rows())
    await watched.page.locator("livetask-log .row[data-line='105'] .no").hover()
    await watched.page.mouse.down()
    await watched.page.set_viewport_size({"width": 1200, "height": 1000})
    await watched.wait_for_rows("more rows", lambda rows: len(rows) > shown)
    await watched.page.mouse.up()
    await watched.wait_for_rows("the line that was clicked", lambda rows: marked(rows) == [105])


def marked(rows: list[dict[str, Any]]) -> list[int]:
    """The lines that are marked."""
    return [row["line"] for row in rows if row["marked"]]


async def test_tools_that_could_not_be_loaded_come_when_they_are_wanted(store: Redis, watched: Watched) -> None:
    Writer(store.url, "pressed-2").begin().write(numbered(1, 300)).finish()
    broken = True

    async def lose(route: Route) -> None:
        await (route.abort() if broken else route.continue_())

    await watched.page.route("**/log/extras.js*", lose)
    watched.expect("ERR_FAILED")
    await watched.task("pressed-2")
    await watched.wait_for_line(300, line_of(300))
    foot = watched.page.locator("livetask-log .foot")
    await expect(foot).to_contain_text("ended · without tools")
    broken = False
    await watched.page.keyboard.press("t")
    await expect(watched.page.get_by_role("button", name="Time", exact=True)).to_have_attribute("aria-pressed", "true")
    await expect(foot).not_to_contain_text("without tools")


async def test_the_last_lines_are_shown_before_the_page_has_a_connection(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "unconnected-1").begin().write(numbered(1, 3000))
    held: asyncio.Future[WebSocketRoute] = asyncio.get_running_loop().create_future()
    await watched.page.route_web_socket("**/socket.io/**", lambda route: held.done() or held.set_result(route))
    await watched.go("/tasks/unconnected-1")
    socket = await asyncio.wait_for(held, 90)
    await watched.wait_for_line(3000, line_of(3000))
    state = watched.page.locator("livetask-log .link")
    await expect(state).to_have_attribute("data-state", "connecting")
    run.write(numbered(3001, 3100))
    socket.connect_to_server()
    await watched.wait_for_line(3100, line_of(3100))
    await expect(state).to_have_attribute("data-state", "live")
    await watched.assert_lines_are_right()
    assert await watched.page.evaluate("document.querySelector('livetask-log').journal.repeats") == 0


async def test_keys_move_the_log(store: Redis, watched: Watched) -> None:
    Writer(store.url, "keys-1").begin().write(numbered(1, 5000))
    await watched.task("keys-1")
    await watched.wait_for_line(5000)
    press = watched.page.keyboard.press
    await press("g")
    await press("g")
    await watched.wait_for_line(1, line_of(1))
    await press(":")
    await watched.page.keyboard.type("2,500")
    await press("Enter")
    row = await watched.wait_for_line(2500, line_of(2500))
    assert row["marked"]
    assert watched.page.url.endswith("#L2500")
    await press("G")
    await watched.wait_for_line(5000)
    await press("w")
    await expect(watched.page.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")
    await press("f")
    await expect(watched.page.get_by_role("button", name="Follow", exact=True)).to_have_attribute(
        "aria-pressed", "false"
    )
    await press("?")
    await expect(watched.page.get_by_role("dialog", name="Keys")).to_contain_text("jump to a line")


async def test_links_to_lines_jump_and_mark(store: Redis, watched: Watched) -> None:
    Writer(store.url, "links-1").begin().write(numbered(1, 3000)).finish()
    await watched.task("links-1", "#L1200-L1202")
    await watched.wait_for_line(1200, line_of(1200))
    marked = [row["line"] for row in await watched.rows() if row["marked"]]
    assert marked == [1200, 1201, 1202]
    await watched.page.evaluate("location.hash = '#L7'")
    assert (await watched.wait_for_line(7, line_of(7)))["marked"]
    await watched.page.locator("livetask-log .no", has_text=re.compile("^9$")).click()
    assert watched.page.url.endswith("#L9")
    await watched.page.locator("livetask-log .no", has_text=re.compile("^12$")).click(modifiers=["Shift"])
    assert watched.page.url.endswith("#L9-L12")
    await watched.assert_lines_are_right()


async def test_colours_are_classes_and_styles(store: Redis, watched: Watched) -> None:
    text = b"\x1b[31mred\x1b[0m \x1b[1;4mstrong\x1b[0m \x1b[38;5;208morange\x1b[0m \x1b[48;2;1;2;3mground\x1b[0m\n"
    text += b"\x1b[7minverse\x1b[0m \x1b[32mstays open\nin the next line\x1b[0m plain\n"
    Writer(store.url, "colours-1").begin().write(text).finish()
    await watched.task("colours-1")
    await watched.wait_for_line(2)
    styles = """(text) => {
      const spans = [...document.querySelector('livetask-log').shadowRoot.querySelectorAll('.text span')];
      const span = spans.find((span) => span.textContent === text);
      const style = getComputedStyle(span);
      return [span.className, style.color, style.backgroundColor];
    }"""
    assert (await watched.page.evaluate(styles, "red"))[0] == "f1"
    assert (await watched.page.evaluate(styles, "strong"))[0] == "b u"
    assert (await watched.page.evaluate(styles, "orange"))[1] == "rgb(255, 135, 0)"
    assert (await watched.page.evaluate(styles, "ground"))[2] == "rgb(1, 2, 3)"
    assert (await watched.page.evaluate(styles, "inverse"))[0] == "ink-ground ground-ink"
    assert (await watched.page.evaluate(styles, "in the next line"))[0] == "f2"
    assert await watched.breaches() == []


async def test_a_progress_bar_is_one_row_that_is_rewritten(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "bar-1").begin().write(b"before\n")
    await watched.task("bar-1")
    for share in range(101):
        run.write(b"\r%3d%%|%-10s|" % (share, b"#" * (share // 10)))
    await watched.wait_for_line(2, "100%|##########|")
    run.write(b"\nafter\n")
    await watched.wait_for_line(3, "after")
    await watched.page.reload()
    await watched.wait_for_line(2, "100%|##########|")


async def test_a_bar_of_more_than_64_kib_shows_its_last_state_when_read_again(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "bar-2").begin()
    bar = b"".join(b"\r%5d/9999 %s" % (step, b"#" * (step % 60)) for step in range(10_000))
    run.write(bar[:300_000]).write(bar[300_000:] + b"\r\x1b[Kdone\n").write(numbered(2, 1000)).finish()
    await watched.task("bar-2", "#L1")
    await watched.wait_for_line(1, "done")


async def test_output_is_never_markup(store: Redis, watched: Watched) -> None:
    attack = (
        "<script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"
        "<a href='javascript:window.broken=3'>link</a>{{7*7}}\x1b]8;;javascript:alert(1)\x1b\\osc\x1b]8;;\x1b\\"
    )
    run = Writer(store.url, "attack-1").begin(name="<b>name</b>").write(f"{attack}\n\u202eabc\x00\n".encode())
    await watched.task("attack-1")
    row = await watched.wait_for_line(1)
    assert row["text"] == attack.replace("\x1b]8;;javascript:alert(1)\x1b\\", "").replace("\x1b]8;;\x1b\\", "")
    await watched.wait_for_line(2, "<U+202E>abc\u2400")
    await expect(watched.page.get_by_role("heading", level=1)).to_have_text("<b>name</b>")
    run.finish()
    await watched.go("/?q=id:attack-1")  # only cards on screen have lines, and others of this store come first
    await expect(watched.page.locator(".card", has_text="<b>name</b>")).to_contain_text("<script>")
    await watched.go("/tasks/attack-1/log")
    await expect(watched.page.locator(".plain-row").first).to_contain_text("<script>")
    assert await watched.page.evaluate("window.broken") is None
    assert await watched.breaches() == []


async def test_a_line_of_8_mb_is_cut_and_can_be_read_whole(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "long-1", cap_bytes=64 << 20).begin().write(b"first\n")
    for _ in range(8):
        run.write(b"0123456789abcdef" * 65536)
    run.write(b"the end of it\nlast\n").finish()
    await watched.task("long-1")
    await watched.wait_for_line(3, "last")
    row = await watched.wait_for_line(2)
    assert len(row["text"]) <= 4000
    await watched.page.get_by_role("button", name="show all").click()
    dialog = watched.page.get_by_role("dialog", name="A whole line")
    await expect(dialog).to_contain_text("8,388,621 characters")
    await dialog.locator(".scroll").evaluate("(element) => { element.scrollTop = element.scrollHeight; }")
    await expect(dialog.locator(".row", has_text="the end of it")).to_be_visible()
    assert await dialog.locator(".row").count() < 100
    await watched.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()


async def test_wrapped_lines_can_be_scrolled_from_end_to_start(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "wrap-1").begin()
    for number in range(1, 301):
        run.write(f"{number} {'long ' * (number % 90)}end\n".encode())
    await watched.task("wrap-1")
    await watched.wait_for_line(300)
    await watched.page.keyboard.press("w")
    rows = await watched.wait_for_rows("wrapped rows", lambda rows: max(row["height"] for row in rows) > 30)
    assert rows[-1]["line"] == 300
    low = 300
    for _ in range(200):
        await watched.wheel(-700)
        rows = await watched.rows()
        tops = [row["top"] for row in rows]
        assert tops == sorted(tops)
        low = min(low, rows[0]["line"])
        if low == 1:
            break
    await watched.wait_for_rows("the first line", lambda rows: rows[0]["line"] == 1)
    await watched.page.keyboard.press("G")
    await watched.wait_for_line(300)


async def test_a_gap_is_a_row_of_its_own(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "gap-1").begin().write(b"one\ntwo\n")
    await watched.task("gap-1")
    await watched.wait_for_line(2)
    run.drop(Position(1206, 90_008)).write(b"after the gap\n").finish()
    rows = await watched.wait_for_rows(
        "the line after the gap", lambda rows: (rows[-1]["kind"], rows[-2]["line"]) == ("end", 1206)
    )
    assert [row["line"] for row in rows if row["kind"] == "line"] == [1, 2, 1206]
    gap = next(row for row in rows if row["kind"] == "gap")
    assert gap["text"] == "1,203 lines (90 KB) are missing: the worker had to give them up"
    await watched.page.reload()
    await watched.wait_for_rows(
        "the gap again", lambda rows: [row["kind"] for row in rows] == ["line", "line", "gap", "line", "end"]
    )


async def test_what_is_no_longer_kept_is_said_at_the_top(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "trimmed-1", cap_bytes=64 << 10).begin()
    for first in range(1, 20_001, 500):
        run.write(numbered(first, first + 499))
    await watched.task("trimmed-1")
    await watched.wait_for_line(20_000)
    await watched.page.keyboard.press("g")
    await watched.page.keyboard.press("g")
    rows = await watched.wait_for_rows(
        "the gap at the head", lambda rows: rows[0]["kind"] == "gap" and rows[1]["kind"] == "line"
    )
    said = re.fullmatch(r"([\d,]+) lines \(\d+ KB\) are no longer kept", rows[0]["text"])
    assert said
    assert rows[1]["line"] == int(said[1].replace(",", "")) + 1
    await watched.page.evaluate("location.hash = '#L5'")
    await watched.wait_for_rows("the gap again", lambda rows: rows[0]["kind"] == "gap")


async def test_a_log_of_a_million_lines_shows_its_tail_and_any_line(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "million-1", cap_bytes=256 << 20).begin()
    for first in range(1, 1_000_001, 5000):
        run.write(numbered(first, first + 4999))
    await watched.task("million-1")
    await watched.wait_for_line(1_000_000, line_of(1_000_000))
    for line in (500_000, 1, 999_500, 123_456):
        await watched.page.evaluate("(line) => document.querySelector('livetask-log').jump(line)", line)
        await watched.wait_for_line(line, line_of(line))
        await watched.wait_for_rows("all rows", lambda rows: all(row["kind"] == "line" for row in rows))
        await watched.assert_lines_are_right()
    line = (await settled(watched))[5]["line"]
    await watched.wheel(400)
    await watched.wait_for_rows("20 lines further", lambda rows: any(row["line"] == line + 20 for row in rows))
    await watched.assert_lines_are_right()
    assert (
        await watched.page.evaluate("document.querySelector('livetask-log').shadowRoot.querySelectorAll('*').length")
        < 1000
    )
    await watched.page.keyboard.press("End")
    await watched.wait_for_line(1_000_000)


async def test_the_next_run_is_shown_when_following_and_runs_are_tabs(store: Redis, watched: Watched) -> None:
    first = Writer(store.url, "runs-1", nonce="aaaaaaaaaaaa").begin().write(b"run one\n")
    await watched.task("runs-1")
    await watched.wait_for_line(1, "run one")
    first.finish("RETRY", "RETRY")
    Writer(store.url, "runs-1", nonce="bbbbbbbbbbbb").begin(why="retry").write(b"run two\n")
    await watched.wait_for_line(1, "run two")
    tab = watched.page.get_by_role("button", name=re.compile("^Run 1"))
    await tab.click()
    await watched.wait_for_line(1, "run one")
    await expect(tab).to_have_attribute("aria-pressed", "true")
    assert watched.page.url.endswith("?run=1")
    await watched.page.get_by_role("button", name=re.compile("^Run 2")).click()
    await watched.wait_for_line(1, "run two")


async def test_a_page_opened_before_the_task_waits_for_it(store: Redis, watched: Watched) -> None:
    await watched.go("/tasks/early-1")
    await watched.wait_for_foot("waiting to hear of this task")
    unknown = watched.page.get_by_text("Nothing is known of this task.")
    assert await unknown.is_visible()
    Writer(store.url, "early-1").begin(name="late.task").write(b"here\n").finish()
    await watched.wait_for_line(1, "here")
    await expect(watched.page.get_by_role("heading", level=1)).to_have_text("late.task")
    assert not await unknown.is_visible()


async def test_on_a_phone_the_log_fills_the_width(store: Redis, server: Dashboard, browser: Browser) -> None:
    Writer(store.url, "phone-1").begin().write(numbered(1, 400))
    watched = await Watched.open(
        browser, server.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    await watched.task("phone-1")
    await watched.wait_for_line(400, line_of(400))
    assert await watched.page.evaluate("document.documentElement.scrollWidth") == 390
    box = await watched.scroller.bounding_box()
    assert box
    assert box["width"] == 390 - 12  # the minimap stands beside it
    assert box["height"] > 400
    watched.assert_clean()


async def settled(watched: Watched) -> list[dict[str, Any]]:
    """The rows, once two looks at them are the same and all of their lines are there."""
    last: list[list[dict[str, Any]]] = [[]]

    async def still() -> list[dict[str, Any]] | None:
        rows = await watched.rows()
        same = rows == last[0] and all(row["kind"] != "wait" for row in rows)
        last[0] = rows
        return rows if same else None

    return await wait_until("the view is still", still, every_s=0.15)
