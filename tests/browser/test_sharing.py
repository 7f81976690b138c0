"""A log for somebody without an account, and what was done by whom, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.browser.watching import Watched
from tests.server.serving import Writer
from tests.system.rig import Dashboard, Redis, Rig


@pytest.fixture(scope="module")
def guarded(rig: Rig, store: Redis) -> Iterator[Dashboard]:
    """A server that asks who one is; the cookie ``caller`` says so."""
    return rig.serve(store.url, env={"LIVETASK_AUTH": "tests.server.callers:resolve"})


async def opened(browser: Browser, server: Dashboard, name: str, width: int = 1200) -> Watched:
    """A page of a browser that nobody has used before, for this caller; '' for nobody."""
    watched = await Watched.open(browser, server.url, viewport={"width": width, "height": 800})
    if name:
        await watched.context.add_cookies([{"name": "caller", "value": name, "url": server.url}])
    return watched


async def test_a_link_is_made_opened_in_a_private_window_and_revoked(
    browser: Browser, guarded: Dashboard, store: Redis
) -> None:
    writer = Writer(store.url, "to-share", "nonceofshare").begin("say").write(b"first line\n")
    maker = await opened(browser, guarded, "operator")
    await maker.go("/tasks/to-share")
    await maker.page.get_by_role("button", name="Share", exact=True).click()
    await maker.page.get_by_role("button", name="Make a link").click()
    field = maker.page.get_by_role("textbox", name="The link")
    await expect(field).to_be_visible()
    link = await field.input_value()
    assert link.startswith(f"{guarded.url}/share#")

    private = await opened(browser, guarded, "", width=390)
    asked: list[str] = []
    private.page.on("request", lambda request: asked.append(request.url))
    await private.page.goto(link)
    log = private.page.locator("livetask-log")
    await expect(log).to_contain_text("first line")
    await expect(private.page.locator("#name")).to_have_text("say")
    await expect(private.page.locator("#state")).to_have_text("RUNNING")
    writer.write(b"second line\n")
    await expect(log).to_contain_text("second line")
    secret = link.partition("#")[2]
    assert not [address for address in asked if secret in address.partition("#")[0]]
    await expect(private.page.get_by_role("button", name="Cancel")).to_have_count(0)
    await expect(private.page.get_by_role("button", name="Follow")).to_be_visible()
    # a link has no header for the secret
    await expect(private.page.get_by_role("link", name="Download")).to_have_count(0)
    width = await private.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    writer.finish()
    await expect(private.page.locator("#state")).to_have_text("SUCCESS")
    assert await private.breaches() == []
    await private.page.goto(f"{guarded.url}/embed/tasks/to-share#share={secret}")
    await expect(log).to_contain_text("second line")
    await private.page.goto(link)
    await expect(log).to_contain_text("second line")
    private.assert_clean()

    await maker.page.get_by_role("list", name="Links to this log").get_by_role("button", name="Revoke").click()
    await expect(maker.page.get_by_role("list", name="Links to this log").get_by_role("listitem")).to_have_count(0)
    private.expect("401")
    await private.page.reload()
    await expect(private.page.locator("#notice")).to_contain_text("This link is over")
    await expect(log).to_have_count(0)
    assert await maker.breaches() == []
    maker.assert_clean()
    for watched in (maker, private):
        await watched.context.close()


async def test_what_one_may_not_do_is_not_offered(browser: Browser, guarded: Dashboard, store: Redis) -> None:
    Writer(store.url, "to-watch", "nonceofwatch").begin("say").write(b"one\n")
    viewer = await opened(browser, guarded, "viewer")
    await viewer.go("/tasks/to-watch")
    await expect(viewer.page.locator("livetask-log")).to_contain_text("one")
    await expect(viewer.page.locator("#share")).to_be_visible()
    await expect(viewer.page.locator("#cancel")).to_be_hidden()
    await expect(viewer.page.get_by_role("link", name="Audit")).to_have_count(0)
    viewer.assert_clean()
    await viewer.context.close()
    operator = await opened(browser, guarded, "operator")
    await operator.go("/tasks/to-watch")
    await expect(operator.page.locator("#cancel")).to_be_visible()
    await operator.context.close()


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_audit_is_looked_through_on_any_screen(
    browser: Browser, guarded: Dashboard, store: Redis, scheme: str, width: int
) -> None:
    task_id = f"to-load-{scheme}-{width}"
    Writer(store.url, task_id).begin("say").write(b"one\n").finish()
    async with aiohttp.ClientSession(cookies={"caller": "viewer"}) as session:
        async with session.get(f"{guarded.url}/api/tasks/{task_id}/runs/1/log.txt") as answer:
            assert answer.status == 200
        async with session.get(f"{guarded.url}/metrics") as answer:
            assert answer.status == 403
    admin = await opened(browser, guarded, "admin", width)
    await admin.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    rows = admin.page.locator("table.audit tbody tr")
    await admin.go("/")
    await admin.page.get_by_role("link", name="Audit").click()
    for _ in range(40):  # what was done is written within a second
        if await rows.filter(has_text=task_id).count():
            break
        await admin.page.reload()
    await admin.page.get_by_label("Task id").fill(task_id)
    await admin.page.get_by_label("What").select_option("download")
    await admin.page.get_by_role("button", name="Show", exact=True).click()
    await expect(rows.first).to_contain_text("log.txt")
    kinds = await admin.page.locator("[data-kind]").evaluate_all("them => them.map((one) => one.dataset.kind)")
    assert set(kinds) == {"download"}
    await admin.page.get_by_role("link", name="Show all").click()
    await expect(rows.filter(has_text="administer").first).to_contain_text("viewer")
    assert await admin.page.evaluate("document.documentElement.scrollWidth") <= width
    assert await admin.breaches() == []
    admin.assert_clean()
    await admin.context.close()


async def test_hostile_names_do_nothing_on_the_page_of_the_audit(
    browser: Browser, guarded: Dashboard, store: Redis
) -> None:
    name = "<img src=x onerror=breaches.push(1)>"
    async with aiohttp.ClientSession(cookies={"caller": "says"}) as session:
        body = json.dumps({"task_name": name})
        async with session.post(f"{guarded.url}/task", data=body) as answer:
            assert answer.status == 403
    admin = await opened(browser, guarded, "admin")
    await admin.go("/audit?kind=refused")
    assert await admin.page.locator("img").count() == 0
    assert await admin.breaches() == []
    admin.assert_clean()
    await admin.context.close()


async def test_what_one_may_not_do_is_not_offered_neither_of_one_task_nor_of_many(
    browser: Browser, guarded: Dashboard, store: Redis
) -> None:
    Writer(store.url, "offered", "nonceofoffer").begin("offered.task").write(b"a line\n")
    offers = {}
    for name in ("viewer", "operator"):
        watched = await opened(browser, guarded, name)
        await watched.go("/?q=offered.")
        await watched.page.locator(".card", has_text="offered.task").hover()
        await watched.page.get_by_role("button", name="Select", exact=True).click()
        await watched.page.locator(".bulk").wait_for()
        buttons = watched.page.locator(".bulk button:visible, .card .cancel:visible")
        offers[name] = sorted(await buttons.all_inner_texts())
        await watched.context.close()
    assert offers == {
        "viewer": ["All shown", "Done", "Download"],
        "operator": ["All shown", "Cancel", "Done", "Download", "Run again", "cancel"],
    }
