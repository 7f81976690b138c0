"""The dashboard's tools: filter, order, views, pins, selections and what is told of ends."""

from __future__ import annotations

import re
import time

from playwright.async_api import Browser, Page, expect

from tests.browser.watching import Watched, wait_until
from tests.server.serving import Writer
from tests.system.rig import Dashboard, Redis

# what is offered for each text that is written into the filter
OFFERED = """
(texts) => texts.map((text) => {
  const box = document.querySelector('#filter');
  box.value = text;
  box.dispatchEvent(new Event('input'));
  return [...document.querySelectorAll('#filter-options option')].map((one) => one.value);
})
"""


def put(store: Redis, writer: Writer, **fields: object) -> None:
    """Set what the task's hash says, and have a server that has read it already read it again."""
    with store.client() as client:
        client.hset(writer._keys.task(writer.task_id), mapping={name: str(value) for name, value in fields.items()})
        client.zincrby(writer._keys.recent(writer._bucket), 1, writer.task_id)


async def names(page: Page) -> list[str]:
    return await page.locator(".card .name").all_inner_texts()


async def test_the_filter_is_the_servers_and_what_is_wrong_with_it_stands_beside_it(
    store: Redis, watched: Watched
) -> None:
    for number, queue in enumerate(("gpu", "gpu", "mail")):
        put(store, Writer(store.url, f"filter-{number}").begin(name=f"filter.{queue}{number}"), queue=queue)
    Writer(store.url, "filter-1").finish("FAILURE")
    await watched.go("/")
    box = watched.page.get_by_role("combobox", name=re.compile("^Filter"))
    await box.fill("name:filter. queue:gpu")
    cards = watched.page.locator(".card .name")
    await expect(cards).to_have_text(["filter.gpu1", "filter.gpu0"])
    await box.fill("filter. -queue:gpu")
    await expect(cards).to_have_text(["filter.mail2"])
    await box.fill("filter. state:failed")
    await expect(cards).to_have_text(["filter.gpu1"])
    await box.fill("filter. colour:red")
    await expect(watched.page.get_by_role("alert")).to_contain_text("queue:")
    await expect(cards).to_have_text(["filter.gpu1"])
    await box.fill("id:filter-2")
    await expect(watched.page.get_by_role("alert")).to_have_count(0)
    await expect(cards).to_have_text(["filter.mail2"])
    await expect(watched.page.get_by_role("button", name=re.compile("^All"))).to_have_text("All1")
    late = Writer(store.url, "filter-2b").begin(name="filter.late")
    await expect(cards).to_have_text(["filter.late", "filter.mail2"])
    late.finish()
    assert await watched.breaches() == []


async def test_what_is_being_written_is_completed(store: Redis, watched: Watched) -> None:
    put(store, Writer(store.url, "complete-1").begin(name="complete.one"), queue="with blank")
    await watched.go("/?q=complete.")
    await expect(watched.page.locator(".card")).to_have_count(1)
    # written in one go: what the server answers to one of them changes whose values are offered
    written = ["complete. na", "complete. -state:fa", "queue:wi", "name:complete"]
    offered = await watched.page.evaluate(OFFERED, written)
    assert offered == [
        ["complete. name:"],
        ["complete. -state:failed", "complete. -state:failure"],
        ['queue:"with blank"'],
        ["name:complete.one"],
    ]


async def test_tasks_are_ordered_as_wished_and_the_address_says_it(store: Redis, watched: Watched) -> None:
    for at, name in enumerate(("b", "c", "a"), 5):
        put(store, Writer(store.url, f"order-{name}").begin(name=f"order.{name}"), began_at=1700000000000 + at)
    await watched.go("/?q=order.")
    cards = watched.page.locator(".card .name")
    await expect(cards).to_have_text(["order.a", "order.c", "order.b"])
    await watched.page.get_by_label("Sort").select_option("name")
    await expect(cards).to_have_text(["order.a", "order.b", "order.c"])
    assert watched.page.url.endswith("/?q=order.&sort=name")
    put(store, Writer(store.url, "order-bb").begin(name="order.bb"), began_at=1700000000009)
    await expect(cards).to_have_text(["order.a", "order.b", "order.bb", "order.c"])
    await watched.page.reload()
    await expect(cards).to_have_text(["order.a", "order.b", "order.bb", "order.c"])
    await watched.page.get_by_label("Sort").select_option("oldest")
    await expect(cards).to_have_text(["order.b", "order.c", "order.a", "order.bb"])


async def test_a_list_of_hundreds_is_shown_part_by_part_without_a_hole(store: Redis, watched: Watched) -> None:
    for number in range(270):
        Writer(store.url, f"part-{number:03}").begin(name=f"part.{number:03}")
    await watched.go("/?q=name:part.")
    cards = watched.page.locator(".card .name")
    await expect(cards).to_have_count(120)
    await expect(watched.page.get_by_role("button", name=re.compile("^All"))).to_have_text("All270")
    Writer(store.url, "part-005").finish()
    for count in (240, 270):
        await watched.page.get_by_role("button", name="Show more tasks").click()
        await expect(cards).to_have_count(count)
    assert await names(watched.page) == [f"part.{number:03}" for number in range(269, -1, -1)]
    await expect(watched.page.get_by_role("button", name="Show more tasks")).to_be_hidden()


async def test_a_pinned_task_stays_at_the_top_also_after_a_reload(store: Redis, watched: Watched) -> None:
    for number in range(3):
        Writer(store.url, f"pin-{number}").begin(name=f"pin.{number}")
    await watched.go("/?q=pin.")
    cards = watched.page.locator(".card .name")
    await expect(cards).to_have_text(["pin.2", "pin.1", "pin.0"])
    card = watched.page.locator(".card", has_text="pin.0")
    await card.hover()
    await card.get_by_role("button", name="pin: Keep at the top: pin.0").click()
    await expect(cards).to_have_text(["pin.0", "pin.2", "pin.1"])
    await watched.page.reload()
    await expect(cards).to_have_text(["pin.0", "pin.2", "pin.1"])
    await expect(card.get_by_role("button", name="pin: Keep")).to_have_attribute("aria-pressed", "true")


async def test_by_keyboard_alone_tasks_are_reached_selected_and_shown_as_a_list(store: Redis, watched: Watched) -> None:
    for number in range(3):
        Writer(store.url, f"keys-{number}").begin(name=f"keys.{number}").write(b"the last line\n")
    await watched.go("/?q=keys.")
    page = watched.page
    await expect(page.locator(".card")).to_have_count(3)
    for key in ("j", "j", "x", "j", "x"):
        await page.keyboard.press(key)
    await expect(page.locator(".bulk .count")).to_have_text("2 selected")
    await expect(page.get_by_role("checkbox", name="Select keys.0")).to_be_checked()
    await expect(page.get_by_role("checkbox", name="Select keys.2")).not_to_be_checked()
    await page.keyboard.press("v")
    await expect(page.get_by_role("button", name="List", exact=True)).to_have_attribute("aria-pressed", "true")
    heights = await page.locator(".card").evaluate_all("(cards) => cards.map((card) => card.offsetHeight)")
    assert max(heights) < 70
    await expect(page.locator(".card .tail").first).to_have_text("the last line")
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/tasks/keys-1")
    await watched.go("/?q=keys.")
    await expect(page.get_by_role("button", name="List", exact=True)).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_contain_text("select this task")


async def test_selected_tasks_are_cancelled_run_again_and_downloaded_together(
    small: Dashboard, browser: Browser
) -> None:
    watched = await Watched.open(browser, small.url, accept_downloads=True)
    page = watched.page
    await watched.go("/?q=name:small.")
    for name, args in (("small.greet", ["Bulk"]), ("small.greet", ["Bulk"]), ("small.wait", [])):
        await page.evaluate(
            "(call) => fetch('/task', {method: 'POST', headers: {'Content-Type': 'application/json'},"
            " body: JSON.stringify(call)})",
            {"task_name": name, "args": args},
        )
    greetings = page.locator(".card[data-state='SUCCESS']", has_text="hello Bulk")
    await expect(greetings).to_have_count(2, timeout=90_000)
    waiting = page.locator(".card[data-state='RUNNING']", has_text="small.wait")
    await expect(waiting).to_contain_text("still here")
    await page.get_by_role("button", name="Select").click()
    for card in (greetings.nth(0), greetings.nth(1)):
        await card.click(position={"x": 200, "y": 30})
    await expect(page.locator(".bulk .count")).to_have_text("2 selected")
    await expect(page.locator(".bulk").get_by_role("button", name="Cancel")).to_be_disabled()
    async with page.expect_download() as download:
        await page.locator(".bulk").get_by_role("button", name="Download").click()
    assert (await (await download.value).path()).read_text() == "1: hello Bulk\n"
    await page.locator(".bulk").get_by_role("button", name="Run again").click()
    await (
        page.get_by_role("dialog", name="Run 2 tasks again, as new ones?")
        .get_by_role("button", name="Run again")
        .click()
    )
    await expect(page.locator("#notice")).to_have_text("2 tasks started again")
    await expect(greetings).to_have_count(4, timeout=90_000)
    await expect(page.locator(".bulk")).to_have_count(0)
    await page.get_by_role("button", name="Select").click()
    await waiting.click(position={"x": 200, "y": 30})
    await page.locator(".bulk").get_by_role("button", name="Cancel").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel them").click()
    await expect(page.locator("#notice")).to_have_text("1 task to stop")
    await expect(page.locator(".card[data-state='REVOKED']", has_text="small.wait")).to_have_count(1, timeout=90_000)
    watched.assert_clean()
    assert await watched.breaches() == []


LOOK_AWAY = """
Object.defineProperty(document, 'hidden', { get: () => window.away === true });
window.told = [];
window.Notification = class {
  static permission = 'granted';
  constructor(title, more) { told.push([title, more.body]); }
};
"""


async def test_ends_are_told_when_that_is_wished_and_nobody_looks(store: Redis, watched: Watched) -> None:
    page = watched.page
    await page.add_init_script(LOOK_AWAY)
    runs = [Writer(store.url, f"tell-{number}").begin(name=f"tell.{number}") for number in range(4)]
    await watched.go("/?q=name:tell.")
    await expect(page.locator(".card")).to_have_count(4)
    card = page.locator(".card", has_text="tell.1")
    await card.hover()
    await card.get_by_role("button", name="tell: Tell when it ends: tell.1").click()
    await page.evaluate("window.away = true")
    runs[0].finish()
    runs[1].finish("FAILURE")
    await expect(page).to_have_title("(1) Tasks · livetask")
    await expect(page.locator(".card", has_text="tell.0").locator(".state")).to_have_text("SUCCESS")
    assert await page.evaluate("told") == [["tell.1", "Failed"]]
    await page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page).to_have_title("Tasks · livetask")
    await page.get_by_role("button", name="Tell of ends").click()
    runs[2].finish()
    await expect(page.locator(".card", has_text="tell.2").locator(".state")).to_have_text("SUCCESS")
    assert len(await page.evaluate("told")) == 1  # it is looked at
    await page.evaluate("window.away = true")
    runs[3].finish()
    await expect(page).to_have_title("(1) Tasks · livetask")
    await page.evaluate("localStorage.clear()")


async def test_an_end_is_told_that_came_while_there_was_no_connection_and_beyond_the_filter(
    store: Redis, watched: Watched
) -> None:
    page = watched.page
    await page.add_init_script(LOOK_AWAY)
    run = Writer(store.url, "missed-1").begin(name="missed.one")
    await watched.go("/?q=name:missed.")
    card = page.locator(".card", has_text="missed.one")
    await card.hover()
    await card.get_by_role("button", name="tell: Tell").click()
    await page.locator("#filter").fill("name:nothing-like-it")
    await expect(page.get_by_role("heading", name="No task matches")).to_be_visible()
    watched.expect("WebSocket", "ERR_INTERNET_DISCONNECTED", "net::")
    await watched.context.set_offline(True)
    await page.evaluate("window.away = true")
    run.finish("FAILURE")
    await watched.context.set_offline(False)

    async def told() -> bool:
        return bool(await page.evaluate("told.length === 1 && told[0][0] === 'missed.one'"))

    await wait_until("it is told", told)


async def test_a_card_shows_its_pace_and_what_is_left(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "pace-1").begin(name="pace.one")
    put(store, run, progress='{"current": 25, "total": 100}')
    await watched.go("/?q=name:pace.")
    card = watched.page.locator(".card")
    await expect(card.locator(".eta")).to_have_text(re.compile(r"^~.* left$"))

    async def paced() -> bool:
        run.write(b"one more\n" * 5)
        return bool(await card.locator(".spark polyline").get_attribute("points"))

    await wait_until("there is a line of its pace", paced, every_s=0.2)
    await expect(card.locator(".lines")).to_have_text(re.compile(r"lines, [\d.]+/s$"))
    run.finish()
    await expect(card.locator(".spark")).to_be_hidden()


HOSTILE = "\x1b]0;renamed\x07\x1b[31mred\x1b[0m <img src=x onerror=alert(1)>\u202egnp.exe\x00\x08"


async def test_whatever_a_name_holds_it_is_shown_as_text(store: Redis, watched: Watched) -> None:
    page = watched.page
    run = Writer(store.url, "hostile-1").begin(name=HOSTILE + "x" * 5000)
    put(store, run, worker=HOSTILE, queue="<b>q</b>", progress='{"current": "<b>", "total": {}}', result="\x1b[2J")
    run.write(b"\x1b]0;other name\x07\x1b]2;other\x1b\\the output\n")
    await watched.go("/?q=id:hostile-1")
    card = page.locator(".card")
    await expect(card.locator(".name")).to_contain_text("red <img src=x onerror=alert(1)>")
    await expect(card.locator(".tail")).to_contain_text("the output")
    for text in (await card.locator(".name").inner_text(), await card.locator(".where").inner_text()):
        assert not {"\x1b", "\u202e", "\x00", "\x08"} & set(text)
        assert "renamed" not in text
        assert len(text) < 500
    assert await card.locator("img, b").count() == 0
    assert await page.title() == "Tasks · livetask"
    for path in ("/tasks/hostile-1", "/tasks/hostile-1/log", "/tasks/hostile-1/workflow"):
        await watched.go(path)
        await expect(page.locator("h1")).to_contain_text("red <img src=x onerror=alert(1)>")
        for text in (await page.locator("h1").inner_text(), await page.title()):
            assert not {"\x1b", "\u202e", "\x00", "\x08"} & set(text)
            assert "other" not in text
        assert await page.locator("main img").count() == 0


async def test_a_worker_whose_clock_goes_wrong_makes_no_nonsense(store: Redis, watched: Watched) -> None:
    day_ms, now_ms = 86_400_000, int(time.time() * 1000)
    for number, ahead in enumerate((day_ms, -400 * day_ms)):
        run = Writer(store.url, f"skew-{number}").begin(name=f"skew.{number}").write(b"x\n")
        put(store, run, began_at=now_ms + ahead, queued_at=now_ms + 2 * ahead, progress='{"current": 1, "total": 9}')
    plain = Writer(store.url, "skew-2").begin(name="skew.2").write(b"x\n")
    put(store, plain, began_at=now_ms)
    await watched.go("/?q=name:skew.")
    await expect(watched.page.locator(".card .name")).to_have_count(3)
    assert (await names(watched.page))[-1] == "skew.1"
    ahead_card = watched.page.locator(".card", has_text="skew.0")
    await expect(ahead_card.locator(".took")).to_have_text("0.0 s")
    assert "-" not in await ahead_card.locator(".eta").inner_text()
    await watched.task("skew-0")
    assert "-" not in await watched.page.locator("#took").inner_text()
