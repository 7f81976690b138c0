"""The dashboard and the head of the task page: tasks come, run and end before one's eyes; starting and cancelling."""

from __future__ import annotations

import asyncio
import re
import sys

import aiohttp
from playwright.async_api import Browser, Route, expect

from tests.browser.watching import Watched, numbered
from tests.server.serving import Writer
from tests.system.rig import Dashboard, Redis


async def test_tasks_come_and_end_live_newest_first(store: Redis, watched: Watched) -> None:
    await watched.go("/")
    cards = watched.page.locator(".card")
    await expect(watched.page.locator("#link")).to_have_text("live")
    before = await cards.count()
    first = Writer(store.url, "card-1").begin(name="cards.first").write(b"\x1b[32mgreen\x1b[0m one\n")
    await expect(cards).to_have_count(before + 1)
    second = Writer(store.url, "card-2").begin(name="cards.second").write(numbered(1, 50))
    await expect(cards).to_have_count(before + 2)
    names = watched.page.locator(".card .name")
    await expect(names.nth(0)).to_have_text("cards.second")
    await expect(names.nth(1)).to_have_text("cards.first")
    card = watched.page.locator(".card", has_text="cards.first")
    await expect(card.locator(".state")).to_have_text("RUNNING")
    await expect(card.locator(".tail")).to_contain_text("green one")
    await expect(card.locator(".tail .f2")).to_have_text("green")
    first.write(b"two\n")
    await expect(card.locator(".tail")).to_contain_text("two")
    await expect(card).to_contain_text("2 lines")
    first.finish()
    await expect(card.locator(".state")).to_have_text("SUCCESS")
    second.finish("FAILURE")
    await expect(watched.page.locator(".card", has_text="cards.second").locator(".state")).to_have_text("FAILURE")
    await watched.page.reload()
    await expect(names.nth(0)).to_have_text("cards.second")
    await expect(watched.page.locator(".card", has_text="cards.second")).to_contain_text("50 lines")
    assert await watched.breaches() == []


async def test_what_is_pressed_before_the_pages_script_has_come_is_done_when_it_comes(watched: Watched) -> None:
    held: asyncio.Future[Route] = asyncio.get_running_loop().create_future()
    await watched.page.route("**/dash/pages.js", lambda route: held.set_result(route))
    await watched.page.goto(f"{watched.url}/", wait_until="commit")
    route = await asyncio.wait_for(held, 90)
    await expect(watched.page.locator("#filter")).to_be_visible()
    for key in ("?", "x"):
        await watched.page.keyboard.press(key)
    await route.continue_()
    await expect(watched.page.locator("dialog[open]")).to_have_count(1)
    await expect(watched.page.locator("dialog[open]")).to_contain_text("Keys")


async def test_tabs_and_the_filter_choose_and_stand_in_the_address(store: Redis, watched: Watched) -> None:
    Writer(store.url, "tab-1").begin(name="tabs.running")
    Writer(store.url, "tab-2").begin(name="tabs.failed").finish("FAILURE")
    Writer(store.url, "tab-3").begin(name="tabs.done").finish("SUCCESS")
    await watched.go("/")
    names = watched.page.locator(".card .name")
    await expect(names.first).to_be_visible()
    await watched.page.keyboard.press("/")
    await watched.page.keyboard.type("tabs.")
    await expect(names).to_have_text(["tabs.done", "tabs.failed", "tabs.running"])
    await watched.page.get_by_role("button", name=re.compile("^Failed")).click()
    await expect(names).to_have_text(["tabs.failed"])
    assert watched.page.url.endswith("/?show=failed&q=tabs.")
    await watched.page.reload()
    await expect(names).to_have_text(["tabs.failed"])
    await watched.page.get_by_role("button", name=re.compile("^Running")).click()
    await expect(names).to_have_text(["tabs.running"])
    Writer(store.url, "tab-1").finish()
    await expect(watched.page.get_by_role("heading", name="No task matches")).to_be_visible()
    await watched.page.get_by_role("button", name="Show all tasks").click()
    await expect(names).not_to_have_count(0)


async def test_only_cards_on_screen_are_fed_and_each_shows_its_own_lines(store: Redis, watched: Watched) -> None:
    for number in range(60):
        Writer(store.url, f"many-{number:02}").begin(name=f"many.{number:02}").write(
            f"output of {number:02}\n".encode()
        )
    await watched.go("/?q=many.")
    await expect(watched.page.locator(".card")).to_have_count(60)
    await expect(watched.page.locator(".card").first).to_contain_text("output of 59")
    last = watched.page.locator(".card").last
    await expect(last).not_to_contain_text("output of")
    await last.scroll_into_view_if_needed()
    await expect(last).to_contain_text("output of 00")
    await watched.page.evaluate("scrollTo(0, 0)")
    for number in range(54, 60):
        card = watched.page.locator(f"[data-task-id='many-{number}']")
        await expect(card.locator(".tail")).to_have_text(f"output of {number}")


async def test_a_phone_shows_one_column(store: Redis, server: Dashboard, browser: Browser) -> None:
    for number in range(3):
        Writer(store.url, f"phone-{number}").begin(name=f"phone.{number}").write(b"x" * 2000 + b"\n")
    watched = await Watched.open(
        browser, server.url, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    )
    await watched.go("/?q=phone.")
    await expect(watched.page.locator(".card")).to_have_count(3)
    lefts = await watched.page.locator(".card").evaluate_all(
        "(cards) => cards.map((card) => card.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 1
    assert await watched.page.evaluate("document.documentElement.scrollWidth") == 390
    watched.assert_clean()


async def test_the_theme_is_the_systems_until_the_reader_chooses(watched: Watched) -> None:
    page = watched.page
    ground = "getComputedStyle(document.body).backgroundColor"
    await page.emulate_media(color_scheme="dark")
    await watched.go("/")
    dark = await page.evaluate(ground)
    await page.emulate_media(color_scheme="light")
    light = await page.evaluate(ground)
    assert dark != light
    await page.get_by_role("button", name="Light or dark").click()
    assert await page.evaluate(ground) == dark
    await page.reload()
    assert await page.evaluate(ground) == dark
    assert await watched.breaches() == []


async def test_without_javascript_the_tasks_and_their_output_can_be_read(
    store: Redis, server: Dashboard, browser: Browser
) -> None:
    Writer(store.url, "plain-1").begin(name="plain.task").write(
        numbered(1, 1200) + b"\x1b[31mred\x1b[0m a\rb\n"
    ).finish()
    watched = await Watched.open(browser, server.url, java_script_enabled=False)
    await watched.go("/")
    await watched.page.get_by_role("row", name=re.compile("plain.task")).get_by_role("link", name="log").click()
    rows = watched.page.locator(".plain-row")
    await expect(rows).to_have_count(500)
    await expect(rows.last).to_have_text("1201b")
    await watched.page.get_by_role("link", name="older lines").click()
    await expect(rows.first).to_contain_text("202")
    await watched.page.get_by_role("link", name="first lines").click()
    await expect(rows.first.locator("span")).to_have_text(numbered(1, 1).decode().strip())
    await watched.page.get_by_role("link", name="newer lines").click()
    await expect(rows.first.locator("a")).to_have_text("501")
    watched.assert_clean()


async def test_an_unknown_place_is_a_page_that_says_so(watched: Watched) -> None:
    watched.expect("404")
    answer = await watched.page.goto(f"{watched.url}/tasks/never-heard-of/log")
    assert answer
    assert answer.status == 404
    await expect(watched.page.get_by_role("heading", level=1)).to_have_text("Not found")


async def test_pages_carry_a_strict_policy_and_modules_are_asked_for_anew(server: Dashboard) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/") as page:
            policy = page.headers["Content-Security-Policy"]
            assert page.headers["X-Content-Type-Options"] == "nosniff"
        for part in (
            "default-src 'none'",
            "script-src 'self';",
            "require-trusted-types-for 'script'",
            "frame-ancestors 'none'",
        ):
            assert part in policy
        assert "unsafe" not in policy
        async with session.get(f"{server.url}/", headers={"Host": "evil; script-src *"}) as page:
            assert "evil" not in page.headers.get("Content-Security-Policy", "")
        async with session.get(f"{server.url}/static/livetask-log.js") as module:
            assert module.headers["Cache-Control"] == "no-cache"
            assert module.content_type in ("text/javascript", "application/javascript")
            tag = module.headers["ETag"]
        async with session.get(f"{server.url}/static/livetask-log.js", headers={"If-None-Match": tag}) as again:
            assert again.status == 304


async def test_a_task_is_started_with_arguments_and_shows_its_result(small: Dashboard, browser: Browser) -> None:
    watched = await Watched.open(browser, small.url)
    page = watched.page
    await watched.go("/")
    await page.get_by_role("button", name="Start task").click()
    dialog = page.get_by_role("dialog", name="Start a task")
    await dialog.get_by_label("Task", exact=True).select_option("small.greet")
    await expect(dialog).to_contain_text("Greet somebody, several times.")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await expect(dialog.locator(".field", has_text="name").get_by_role("alert")).to_have_text("a value is needed")
    await dialog.get_by_label("name", exact=True).fill("you")
    await expect(dialog.get_by_label("times", exact=True)).to_have_value("1")
    await dialog.get_by_label("times", exact=True).fill("3")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await expect(dialog).to_be_hidden()
    card = page.locator(".card", has_text="small.greet").first
    await expect(card.locator(".state")).to_have_text("SUCCESS", timeout=90_000)
    await expect(card).to_contain_text("3: hello you")
    await card.locator(".name").click()
    await watched.wait_for_line(3, "3: hello you")
    await page.get_by_text("Arguments and result").click()
    await expect(page.locator("#values")).to_contain_text("greeted you")
    await expect(page.locator("#state")).to_have_text("SUCCESS")
    watched.assert_clean()
    assert await watched.breaches() == []


async def test_a_failure_shows_its_exception_and_traceback_as_text(small: Dashboard, browser: Browser) -> None:
    watched = await Watched.open(browser, small.url)
    await watched.go("/")
    answer = await watched.page.evaluate(
        "fetch('/task', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        " body: JSON.stringify({task_name: 'small.fail'})}).then((answer) => answer.json())"
    )
    await watched.task(answer["data"])
    failure = watched.page.locator("#failure")
    await expect(failure.locator("strong")).to_have_text("ValueError: <b>no</b> rows")
    await failure.get_by_text("Traceback", exact=True).click()
    await expect(failure.locator("pre.own")).to_contain_text('raise ValueError("<b>no</b> rows")')
    await expect(failure.locator(".trace summary")).to_have_text(re.compile(r"^\d+ frames of celery$"))
    await expect(failure.get_by_text("in trace_task")).to_be_hidden()
    await failure.locator(".trace summary").click()
    await expect(failure.get_by_text("in trace_task")).to_be_visible()
    rows = await watched.wait_for_rows("the end's row", lambda rows: bool(rows) and rows[-1]["kind"] == "end")
    assert rows[-1]["text"].startswith("Failed · ValueError: <b>no</b> rows")
    assert rows[0]["text"] == "about to fail"
    watched.assert_clean()
    assert await watched.breaches() == []


async def test_a_running_task_is_cancelled_after_a_question(small: Dashboard, browser: Browser) -> None:
    watched = await Watched.open(browser, small.url)
    page = watched.page
    await watched.go("/")
    answer = await page.evaluate(
        "fetch('/task', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        " body: JSON.stringify({task_name: 'small.wait'})}).then((answer) => answer.json())"
    )
    await watched.task(answer["data"])
    await watched.wait_for_line(3, "still here 3")
    await expect(page.locator("#state")).to_have_text("RUNNING")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="No").click()
    await expect(page.locator("#state")).to_have_text("RUNNING")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    await expect(page.locator("#state")).to_have_text("STOPPING")
    await expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
    await expect(page.locator("#state")).to_have_text("REVOKED", timeout=90_000)
    await expect(page.locator("#facts")).to_contain_text("cancelled")
    await watched.wait_for_foot("ended")
    await expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
    watched.assert_clean()


async def test_an_ended_task_is_run_again_and_the_two_are_linked(small: Dashboard, browser: Browser) -> None:
    watched = await Watched.open(browser, small.url)
    page = watched.page
    await watched.go("/")
    answer = await page.evaluate(
        "fetch('/task', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        " body: JSON.stringify({task_name: 'small.greet', args: ['Ada']})}).then((answer) => answer.json())"
    )
    await watched.task(answer["data"])
    await expect(page.locator("#state")).to_have_text("SUCCESS", timeout=90_000)
    await page.get_by_role("button", name="Run again").click()
    await page.get_by_role("dialog").get_by_role("button", name="Run again").click()
    await page.wait_for_url(lambda url: answer["data"] not in url and "/tasks/" in url)
    await watched.wait_for_line(1, "1: hello Ada")
    await expect(page.locator("#state")).to_have_text("SUCCESS", timeout=90_000)
    await page.locator("#facts").get_by_role("link", name=answer["data"][:8]).click()
    await expect(page.locator("#copy-id")).to_have_text(answer["data"])
    await expect(page.locator("#facts")).to_contain_text("run again")
    watched.assert_clean()


SENDS_FLOWS = """
import sys
from celery import Celery, chain, chord

app = Celery(broker=sys.argv[1], backend=sys.argv[1])


def greet(name):
    return app.signature("small.greet", args=(name,), immutable=True)


print(chord([greet("first"), chain(greet("beside"), greet("further"))], app=app)(greet("last")).id)
print(chain(greet("one"), greet("two"), app=app)().id)
"""


async def test_a_chord_and_a_chain_that_a_program_sends_are_each_one_tree_and_one_log(
    small: Dashboard, store: Redis, browser: Browser
) -> None:
    """No task sends them: the root of a chord's tasks is its own group."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SENDS_FLOWS, store.url, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(program.communicate(), 90)
    flows = zip(said.decode().split(), (("beside", "first", "further", "last"), ("one", "two")), strict=True)
    watched = await Watched.open(browser, small.url)
    page = watched.page
    for last, names in flows:
        await watched.task(last)
        summary = page.locator("#flow summary")
        await expect(summary).to_have_text(f"Workflow: {len(names)} tasks, {len(names)} ended", timeout=90_000)
        await summary.click()
        await expect(page.locator("#tree a")).to_have_text(["small.greet"] * len(names))
        await expect(page.locator("#tree li li a[aria-current=page]")).to_have_count(1)
        await page.get_by_role("link", name="All their logs as one").click()
        rows = page.locator("#merged .row .text")
        await expect(rows).to_have_count(len(names))
        lines = await rows.all_inner_texts()
        assert sorted(lines) == [f"1: hello {name}" for name in names]
        assert lines[-1] == f"1: hello {names[-1]}", "what is sent last comes last"
        await expect(page.locator("#sum")).to_have_text(f"{len(names)} tasks")
    await watched.context.close()
    watched.assert_clean()
