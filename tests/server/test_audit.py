"""What was done by whom is kept for a while and shown to administrators; no answer waits for it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from livetask.errors import RedisUnavailable
from livetask.keys import Keys
from livetask.server.access.audit import KINDS, Audit, Wanted
from livetask.server.access.caller import OPEN, Caller
from livetask.server.store import Store
from tests.server.callers import as_caller, connected, guarded, linked
from tests.server.serving import Client, Writer

Eventually = Callable[..., Awaitable[Any]]
ANNA = Caller("anna", "token", "operator", (), "t1")


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    Writer(redis_url, "shown").begin("say").write(b"one\n").finish()
    Writer(redis_url, "secret-1", "nonceofother").begin("hidden").write(b"hush\n").finish()
    async with guarded(redis_url) as found:
        yield found


async def asked(client: Client, path: str, name: str, method: str = "GET", **given: Any) -> tuple[int, Any]:
    async with client.request(method, path, headers=as_caller(client, name), **given) as answer:
        data = await answer.read()
        return answer.status, json.loads(data) if answer.content_type == "application/json" else data.decode()


async def entries(client: Client, query: str = "") -> list[dict[str, Any]]:
    status, answer = await asked(client, f"/api/audit{query}", "admin")
    assert status == 200, answer
    found: list[dict[str, Any]] = answer["entries"]
    return found


async def test_all_that_is_done_is_kept_with_who_when_and_from_where(client: Client, eventually: Eventually) -> None:
    _, sent = await asked(client, "/task", "operator", "POST", json={"task_name": "say", "args": ["a secret"]})
    await asked(client, f"/task/{sent['data']}", "operator", "DELETE")
    _, again = await asked(client, f"/task/{sent['data']}/rerun", "operator", "POST")
    await asked(client, "/api/tasks/shown/runs/1/log.txt?download=1", "viewer")
    made = await linked(client, "shown")
    await asked(client, "/api/share", "linked")
    await asked(client, f"/api/shares/{made['id']}", "admin", "DELETE")
    await asked(client, "/metrics", "viewer")
    await asked(client, "/api/tasks/secret-1", "says")
    async with connected(client, "says") as io:
        await io.call("subscribe", {"task_id": "secret-1"}, timeout=90)
        await io.call("send_task", {"task_name": "hidden"}, timeout=90)

    expected = {
        ("start", "operator", sent["data"], "say"),
        ("cancel", "operator", sent["data"], "cancel"),
        ("rerun", "operator", again["data"], "say"),
        ("download", "viewer", "shown", "log.txt"),
        ("share", "admin", "shown", made["id"]),
        ("share_revoked", "admin", "shown", made["id"]),
        ("refused", "viewer", "", "administer"),
        ("refused", "says", "secret-1", "view"),
        ("refused", "says", "", "start hidden"),
    }

    async def all_there() -> bool:
        found = {(one["kind"], one["who"], one["task_id"], one["detail"]) for one in await entries(client)}
        return expected <= found

    await eventually(all_there)
    found = await entries(client)
    opened = next(one for one in found if one["kind"] == "share_opened")
    assert opened["by"] == "share"
    assert all(one["from"] == "127.0.0.1" and one["at"] > 0 for one in found)
    assert "a secret" not in json.dumps(found)
    places = [tuple(map(int, one["id"].split("-"))) for one in found]
    assert places == sorted(places, reverse=True)


async def test_it_is_looked_through_by_who_task_and_kind_and_in_pages(client: Client, eventually: Eventually) -> None:
    for number in range(7):
        await asked(client, f"/api/tasks/shown/runs/1/log.txt?{number}", "viewer")
    await asked(client, "/task", "operator", "POST", json={"task_name": "say", "args": ["x"]})

    async def written() -> bool:
        return len(await entries(client, "?kind=download")) == 7 and bool(await entries(client, "?kind=start"))

    await eventually(written)
    assert {one["who"] for one in await entries(client, "?who=viewer")} == {"viewer"}
    assert len(await entries(client, "?task_id=shown&kind=download")) == 7
    seen: list[str] = []
    before = ""
    while True:
        place = f"/api/audit?kind=download&limit=3{before}"
        _, answer = await asked(client, place, "admin")
        seen += [one["id"] for one in answer["entries"]]
        if answer["next"] is None:
            break
        before = f"&before={answer['next']}"
    assert len(seen) == len(set(seen)) == 7
    status, page = await asked(client, "/audit?kind=download&who=", "admin")
    assert status == 200
    assert page.count('data-kind="download"') == 7
    assert 'data-kind="start"' not in page


@pytest.mark.parametrize("query", ["?kind=x", "?before=x", "?limit=0", "?sort=name", "?who=" + "x" * 300])
async def test_what_cannot_be_asked_is_refused(client: Client, query: str) -> None:
    status, answer = await asked(client, f"/api/audit{query}", "admin")
    assert (status, answer["code"]) == (400, "argument_invalid")
    assert (await asked(client, f"/audit{query}", "admin"))[0] == (200 if "limit" in query else 400)


async def test_only_administrators_see_it(client: Client) -> None:
    for name in ("operator", "viewer", "anna"):
        assert (await asked(client, "/api/audit", name))[0] == 403
        assert (await asked(client, "/audit", name))[0] == 403


async def test_names_from_outside_are_text_on_its_page(client: Client, eventually: Eventually) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    await asked(client, "/task", "says", "POST", json={"task_name": hostile})
    await asked(client, "/metrics", "viewer")

    async def written() -> bool:
        return bool(await entries(client, "?kind=refused"))

    await eventually(written)
    _, page = await asked(client, "/audit?who=%22%3E%3Cscript%3E", "admin")
    assert "<script>" not in page.replace('<script src="/static/theme.js"></script>', "")


async def test_a_thousand_refusals_of_one_caller_become_few_entries(store: Store, prefix: str) -> None:
    audit = Audit(store.commands, Keys(prefix).audit(), keep_s=3600, most=1000)
    for number in range(1000):
        audit.note("refused", ANNA, f"task-{number}", "view", "10.0.0.1")
    await audit.close()
    found, _ = await audit.page(Wanted(), 100)
    assert len(found) <= 5
    assert sum(entry.count for entry in found) == 1000


async def test_what_is_older_than_it_is_kept_is_not_shown_and_not_kept(store: Store, prefix: str) -> None:
    key = Keys(prefix).audit()
    old = [("XADD", key, f"{number}-1", "kind", "start") for number in range(1, 500)]
    await store.commands(old)
    audit = Audit(store.commands, key, keep_s=3600, most=1000)
    audit.note("start", ANNA, "t", "say")
    await audit.close()
    found, more = await audit.page(Wanted(), 100)
    assert ([entry.task_id for entry in found], more) == (["t"], None)
    assert (await store.commands([("XLEN", key)]))[0] < 200
    assert 0 < (await store.commands([("PTTL", key)]))[0] <= 3600 * 1000


async def test_a_clock_that_jumps_ahead_takes_nothing_away(
    store: Store, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = Audit(store.commands, Keys(prefix).audit(), keep_s=3600, most=1000)
    for number in range(300):
        audit.note("start", ANNA, f"task-{number}", "say")
    ahead_s = time.time() + 1e6
    with monkeypatch.context() as jump:
        jump.setattr(time, "time", lambda: ahead_s)
        await audit.close()
    assert len((await audit.page(Wanted(), 500))[0]) == 300


async def test_without_redis_nothing_waits_and_what_finds_no_room_is_counted() -> None:
    async def away(_: object) -> list[Any]:
        raise RedisUnavailable("away")

    audit = Audit(away, "key", keep_s=60, most=100)
    writing = asyncio.create_task(audit.run())
    for number in range(12_000):
        audit.note("start", ANNA, f"task-{number}")
    assert audit.dropped == 2000
    assert audit.noted == {"start": 12_000}
    writing.cancel()
    await asyncio.wait([writing])
    await audit.close()
    assert audit.dropped == 12_000


async def test_each_entry_is_a_line_of_the_log_whatever_its_texts_hold(
    store: Store, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    audit = Audit(store.commands, Keys(prefix).audit(), keep_s=60, most=100)
    with caplog.at_level(logging.INFO, "livetask.audit"):
        audit.note("start", Caller("eve\nkind=login", "token", "viewer", (), "t9"), "t", "x" * 5000, "10.0.0.9")
    (line,) = caplog.messages
    assert "\n" not in line
    assert line.startswith('kind="start" who="eve\\nkind=login" by="token"')
    assert len(line) < 1000
    await audit.close()


async def test_every_kind_can_be_asked_for(client: Client) -> None:
    for kind in KINDS:
        assert isinstance(await entries(client, f"?kind={kind}"), list)


async def test_an_open_server_notes_what_anybody_does(store: Store, prefix: str) -> None:
    audit = Audit(store.commands, Keys(prefix).audit(), keep_s=60, most=100, remote=lambda: "127.0.0.1")
    audit.note("cancel", OPEN, "t", "terminate")
    await audit.close()
    ((entry,), _) = await audit.page(Wanted(kind="cancel"), 10)
    assert (entry.who, entry.by, entry.remote, entry.detail) == ("", "open", "127.0.0.1", "terminate")
