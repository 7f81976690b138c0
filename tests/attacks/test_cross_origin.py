"""Pages of other origins: they start nothing, stop nothing, read nothing and frame nothing, by route or by event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser

from livetask.server.app import CONTROL, STORE
from tests.attacks.conftest import TASK
from tests.attacks.walking import asked_routes, events
from tests.server.serving import Client, served
from tests.system.rig import Redis

SAFE = ("GET", "HEAD", "OPTIONS")
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://SELF.evil.example"},
    {"Origin": "http://evil.example/http://SELF"},
    {"Origin": "http://SELF@evil.example"},
    {"Origin": "http://evil.example#http://SELF"},
    {"Origin": "ftp://SELF"},
    {"Origin": "http://SELF", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://SELF"},
    {"Sec-Fetch-Site": "cross-site", "X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"},
]


@pytest.fixture(params=FOREIGN, ids=[json.dumps(one) for one in FOREIGN])
def foreign(request: pytest.FixtureRequest, client: Client) -> dict[str, str]:
    """The headers that a browser sends for a page of another origin."""
    return {name: value.replace("SELF", f"127.0.0.1:{client.port}") for name, value in request.param.items()}


async def test_no_route_that_changes_anything_answers_to_another_origin(
    client: Client, foreign: dict[str, str]
) -> None:
    app = client.server.app  # type: ignore[attr-defined]
    acting = [(method, path) for method, path in asked_routes(app) if method not in SAFE]
    assert {("POST", "/task"), ("DELETE", f"/task/{TASK}"), ("POST", f"/task/{TASK}/rerun")} <= set(acting)
    for method, path in acting:
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            body = json.dumps({"task_name": "add", "args": [1]})
            headers = foreign | {"Content-Type": kind}
            async with client.request(method, path, data=body, headers=headers, allow_redirects=False) as answer:
                assert answer.status == 403, (method, path, await answer.text())
    assert app[CONTROL] is not None
    assert len((await app[STORE].task(TASK)).runs) == 1


async def test_no_socket_opens_for_another_origin_so_no_event_can_be_sent(
    client: Client, foreign: dict[str, str]
) -> None:
    assert "send_task" in events(client.server.app)  # type: ignore[attr-defined]
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    for headers, transport in ((upgrade, "websocket"), ({}, "polling")):
        url = f"/socket.io/?EIO=4&transport={transport}"
        async with client.get(url, headers=foreign | headers) as answer:
            assert answer.status in (400, 403), await answer.text()
    # a page that has learnt a session's number cannot speak in it either
    async with client.get("/socket.io/?EIO=4&transport=polling") as answer:
        sid = (await answer.text()).split('"sid":"')[1].split('"')[0]
    for name in events(client.server.app):  # type: ignore[attr-defined]
        said = "42" + json.dumps([name, {"task_id": TASK, "task_name": "add", "args": [1]}])
        url = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        async with client.post(url, data=said, headers=foreign) as answer:
            assert answer.status in (400, 403)


async def test_answers_are_never_given_as_a_script(client: Client) -> None:
    async with client.get("/socket.io/?EIO=4&transport=polling&j=0") as answer:
        assert answer.status == 400
        assert "___eio" not in await answer.text()


async def test_nothing_is_allowed_to_other_origins_by_default(client: Client, foreign: dict[str, str]) -> None:
    app = client.server.app  # type: ignore[attr-defined]
    for method, path in asked_routes(app):
        for asked in {"GET", "OPTIONS"} & {method, "OPTIONS"}:
            preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
            async with client.request(asked, path, headers=foreign | preflight, allow_redirects=False) as answer:
                allowed = answer.headers.get("Access-Control-Allow-Origin")
                own = f"http://127.0.0.1:{client.port}"
                assert allowed is None or (allowed == own == foreign.get("Origin")), (asked, path)


async def test_every_answer_forbids_sniffing_and_pages_forbid_framing_and_scripts(client: Client) -> None:
    for method, path in asked_routes(client.server.app):  # type: ignore[attr-defined]
        if method != "GET" or path.startswith("/socket.io"):
            continue
        async with client.get(path, allow_redirects=False) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            assert answer.headers["Cross-Origin-Resource-Policy"] in ("same-origin", "cross-origin"), path
            if answer.content_type != "text/html":
                continue
            policy = answer.headers["Content-Security-Policy"]
            for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
                assert part in policy, path
            assert "require-trusted-types-for 'script'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert "camera=()" in answer.headers["Permissions-Policy"]
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_only_listed_origins_frame_only_the_pages_made_for_it(store: Redis) -> None:
    async with served(store.url, frame_ancestors=("https://ours.example", "self")) as client:
        async with client.get(f"/tasks/{TASK}") as answer:
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        async with client.get(f"/embed/tasks/{TASK}") as answer:
            assert "frame-ancestors https://ours.example 'self';" in answer.headers["Content-Security-Policy"]


# ---- in a real browser

ATTACK = """
async (target) => {
  const tried = {};
  const attempt = async (name, act) => {
    try { tried[name] = String(await Promise.race([act(), new Promise((r) => setTimeout(() => r('nothing'), 3000))])); }
    catch (error) { tried[name] = 'refused'; }
  };
  const body = JSON.stringify({ task_name: 'add', args: [1] });
  const text = (response) => response.text();
  await attempt('read', () => fetch(target + 'api/tasks').then(text));
  await attempt('post', () => fetch(target + 'task', { method: 'POST', body }).then(text));
  const blind = { method: 'POST', body, mode: 'no-cors' };
  await attempt('blind post', () => fetch(target + 'task', blind).then((r) => r.type));
  await attempt('delete', () => fetch(target + 'task/TASK', { method: 'DELETE' }).then(text));
  await attempt('beacon', () => Promise.resolve(navigator.sendBeacon(target + 'task', body)));
  await attempt('socket', () => new Promise((done, fail) => {
    const socket = new WebSocket(target.replace('http', 'ws') + 'socket.io/?EIO=4&transport=websocket');
    socket.onmessage = (event) => done(event.data);
    socket.onerror = fail;
  }));
  await attempt('poll', () => fetch(target + 'socket.io/?EIO=4&transport=polling').then(text));
  await attempt('script', () => new Promise((done, fail) => {
    window.___eio = [(data) => done(data)];
    const script = document.createElement('script');
    script.src = target + 'socket.io/?EIO=4&transport=polling&j=0';
    script.onload = () => done('loaded');
    script.onerror = fail;
    document.head.append(script);
  }));
  await attempt('json as script', () => new Promise((done, fail) => {
    const script = document.createElement('script');
    script.src = target + 'api/tasks/TASK/runs/1/log.txt';
    script.onload = () => done('loaded');
    script.onerror = fail;
    document.head.append(script);
  }));
  await attempt('frame', () => new Promise((done) => {
    const frame = document.createElement('iframe');
    frame.src = target + 'tasks/TASK';
    frame.onload = () => done(frame.contentDocument ? 'own' : frame.contentWindow.length === 0 ? 'empty' : 'framed');
    document.body.append(frame);
  }));
  await attempt('form', () => new Promise((done) => {
    const frame = document.createElement('iframe');
    frame.name = 'sink';
    document.body.append(frame);
    const form = document.createElement('form');
    Object.assign(form, { method: 'POST', action: target + 'task', target: 'sink', enctype: 'text/plain' });
    const field = document.createElement('input');
    field.name = '{"task_name": "add", "args": [1], "x": "';
    field.value = '"}';
    form.append(field);
    document.body.append(form);
    frame.onload = () => done('sent');
    form.submit();
  }));
  return tried;
}
"""


@asynccontextmanager
async def another_origin() -> AsyncIterator[str]:
    """A page of another origin on this machine, which is as near as another origin can be."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>evil</title><body>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://localhost:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_a_page_of_another_origin_gets_nothing_and_changes_nothing_in_a_real_browser(
    client: Client, own_browser: Browser
) -> None:
    store = client.server.app[STORE]  # type: ignore[attr-defined]
    target = str(client.make_url("/"))
    asked: list[str] = []

    async def listen() -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{target}api/tasks") as answer:
            asked.append(await answer.text())

    await listen()
    async with another_origin() as url:
        context = await own_browser.new_context()
        page = await context.new_page()
        await page.goto(url)
        tried = await page.evaluate(ATTACK.replace("TASK", TASK), target)
        await context.close()
    assert tried.pop("beacon") == "true", "the browser sends it, and is refused unseen"
    assert tried.pop("form") in ("sent", "nothing", "refused")
    assert tried.pop("frame") in ("empty", "nothing", "refused")
    assert set(tried.values()) == {"refused"}, tried
    await asyncio.sleep(0)
    await listen()
    assert asked[0].count('"id"') == asked[1].count('"id"'), "no task was started"
    task = await store.task(TASK)
    assert task is not None
    assert task.state == "RUNNING"


async def test_a_name_that_is_led_here_reads_nothing_in_a_real_browser(client: Client, browser_program: str) -> None:
    """DNS rebinding: the page's own name leads to this server, and the browser takes both for one origin."""
    from playwright.async_api import async_playwright

    from tests.real.browser import FLAGS, environment

    async with async_playwright() as playwright:
        flags = [*FLAGS, "--host-resolver-rules=MAP evil.example 127.0.0.1"]
        browser = await playwright.chromium.launch(executable_path=browser_program, args=flags, env=dict(environment()))
        page = await browser.new_page()
        answer = await page.goto(f"http://evil.example:{client.port}/api/tasks/{TASK}/runs/1/log.txt")
        assert answer is not None
        assert answer.status == 421
        assert "secret of the house" not in await page.content()
        found = await page.evaluate("() => fetch('/api/tasks').then((answer) => answer.status)")
        assert found == 421
        await browser.close()
