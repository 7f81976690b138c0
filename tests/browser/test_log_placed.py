"""The log where its page puts it: moved, hidden, twice on one page; and what the browser moves by itself is no hand of
its reader's."""

from __future__ import annotations

from typing import Any

from tests.browser.watching import Watched, line_of, numbered, wait_until
from tests.server.serving import Writer
from tests.system.rig import Redis

LOG = "const log = document.querySelector('livetask-log'), { view } = log, { scroller, port } = view;"
SETTLED = f"""() => new Promise((resolve) => {{
  {LOG}
  requestAnimationFrame(() => requestAnimationFrame(() => resolve({{
    following: log.following, top: view.top, px: scroller.scrollTop, aside: port.scrollTop, rows: view.rows.length,
    height: scroller.clientHeight, ports: port.offsetHeight,
  }})));
}})"""


async def settled(watched: Watched) -> dict[str, Any]:
    """Where the view is, two frames later."""
    found: dict[str, Any] = await watched.page.evaluate(SETTLED)
    return found


async def test_what_is_no_hand_on_the_log_does_not_end_following(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "hand-1").begin().write(numbered(1, 300))
    await watched.task("hand-1")
    await watched.wait_for_line(300, line_of(300))
    # larger letters, and rows moved aside
    for key in ("ctrlKey", "shiftKey"):
        turned = f"{{ {LOG} scroller.dispatchEvent(new WheelEvent('wheel', {{ deltaY: -100, {key}: true }})) }}"
        await watched.page.evaluate(turned)
        assert (await settled(watched))["following"]
    # a scroll bar comes for a line that is wider, where bars take room: the last row is not behind it
    await watched.page.evaluate(f"{{ {LOG} port.style.borderBottom = '15px solid' }}")
    edge = f"(() => {{ {LOG} return port.getBoundingClientRect().bottom - 15 }})()"
    lowest = await watched.page.evaluate(edge)

    def above_it(rows: list[dict[str, Any]]) -> bool:
        return rows[-1]["line"] == 300 and rows[-1]["top"] + rows[-1]["height"] <= lowest + 1

    await watched.wait_for_rows("the last row above the bar", above_it)
    run.write(numbered(301, 600))
    await watched.wait_for_line(600, line_of(600))


async def test_a_link_in_a_row_that_is_seen_in_part_is_gone_to_by_the_bar(store: Redis, watched: Watched) -> None:
    links = (b"%d \x1b]8;;https://a.example/%d\x07there\x1b]8;;\x07\n" % (line, line) for line in range(1, 500))
    Writer(store.url, "part-1").begin().write(b"".join(links)).finish()
    await watched.task("part-1")
    await watched.wait_for_rows("the end's row", lambda rows: rows[-1]["kind"] == "end")
    await watched.page.evaluate(f"{{ {LOG} view.show(100.5) }}")
    before = await settled(watched)
    focused = "view.painted().at(-1).text.querySelector('a').focus()"
    line = await watched.page.evaluate(f"() => {{ {LOG} {focused}; return view.painted().at(-1).item.number }}")

    async def moved() -> bool:
        after = await settled(watched)
        return bool(after["top"] > before["top"] and after["aside"] == 0)

    await wait_until("the bar was moved in place of the rows", moved)
    row = await watched.wait_for_line(line)
    box = await watched.scroller.bounding_box()
    assert box
    assert row["top"] + row["height"] * 0.75 <= box["y"] + box["height"]


async def test_a_log_that_is_moved_within_its_page_has_no_more_rows_than_are_seen(
    store: Redis, watched: Watched
) -> None:
    run = Writer(store.url, "moved-1").begin().write(numbered(1, 5000))
    await watched.task("moved-1")
    await watched.wait_for_line(5000, line_of(5000))
    before = await settled(watched)
    # its style sheets are loaded anew: until then it is as high as what is in it
    sheets: list[Any] = []
    await watched.page.route("**/log/log.css", lambda route: sheets.append(route))
    await watched.page.evaluate(f"{{ {LOG} log.parentElement.append(log) }}")

    async def asked() -> bool:
        return bool(sheets)

    await wait_until("the sheet is asked for", asked)
    for _ in range(5):
        assert (await settled(watched))["rows"] <= before["rows"] + 5
    await sheets[0].continue_()
    run.write(numbered(5001, 5100))
    await watched.wait_for_line(5100, line_of(5100))
    assert (await settled(watched))["rows"] <= before["rows"] + 5


async def test_a_log_that_was_hidden_is_where_it_was(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "hidden-1").begin().write(numbered(1, 3000))
    await watched.task("hidden-1")
    await watched.wait_for_line(3000, line_of(3000))
    await watched.page.evaluate(f"{{ {LOG} log.hidden = true }}")
    run.write(numbered(3001, 4000))
    await settled(watched)
    await watched.page.evaluate(f"{{ {LOG} log.hidden = false }}")
    await watched.wait_for_line(4000, line_of(4000))
    await watched.page.evaluate(f"{{ {LOG} view.show(1500) }}")
    before = await settled(watched)
    await watched.page.evaluate(f"{{ {LOG} log.hidden = true }}")
    await settled(watched)
    await watched.page.evaluate(f"{{ {LOG} log.hidden = false }}")

    async def back() -> bool:
        after = await settled(watched)
        return bool(after["px"] > 0 and after["top"] == before["top"] and not after["following"])

    await wait_until("the same rows", back)


async def test_a_task_is_shown_twice_on_one_page(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "twice-1").begin().write(numbered(1, 300))
    await watched.task("twice-1")
    await watched.wait_for_line(300, line_of(300))
    await watched.page.evaluate(
        """() => {
          const other = document.createElement('livetask-log');
          other.setAttribute('task-id', 'twice-1');
          document.querySelector('livetask-log').after(other);
        }"""
    )
    seen = "[...document.querySelectorAll('livetask-log')].map((log) => log.feed.finished)"

    async def both(count: int) -> bool:
        return bool(await watched.page.evaluate(seen) == [count, count])

    await wait_until("both have the lines", lambda: both(300))
    run.write(numbered(301, 600))
    await wait_until("both go on", lambda: both(600))


async def test_a_reader_who_scrolls_is_not_taken_to_a_line_that_the_address_waits_for(
    store: Redis, watched: Watched
) -> None:
    run = Writer(store.url, "awaited-1").begin().write(numbered(1, 300))
    await watched.task("awaited-1", "#L500")
    await watched.wait_for_line(300, line_of(300))
    await watched.page.evaluate(f"{{ {LOG} scroller.scrollTop = 1000 }}")

    async def let_go() -> bool:
        return not (await settled(watched))["following"]

    await wait_until("it is not followed", let_go)
    before = await settled(watched)
    run.write(numbered(301, 600))

    async def told() -> bool:
        return bool(await watched.page.evaluate("document.querySelector('livetask-log').feed.finished") == 600)

    await wait_until("the line is there", told)
    assert (await settled(watched))["top"] == before["top"]


async def test_a_group_that_is_opened_stays_in_sight(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "opened-1").begin().write(numbered(1, 20) + b"::group::many\n")
    run.write(numbered(22, 400) + b"::endgroup::\n").write(numbered(402, 405)).finish()
    await watched.task("opened-1")
    await watched.wait_for_rows("it is folded", lambda rows: [row["line"] for row in rows][20:22] == [21, 402])
    await watched.page.locator("livetask-log .row[data-line='21'] .fold").click()
    rows = await watched.wait_for_rows("it is open", lambda rows: any(row["line"] == 22 for row in rows))
    assert rows[0]["line"] == 1
