"""What callers see and may do, by every way into the server: what is forbidden looks like what does not exist."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from livetask.keys import Keys, bucket_of
from livetask.scripts import script
from livetask.server.access.caller import ABILITIES
from livetask.server.access.needs import EVENTS, ROUTES
from livetask.server.app import LIVE, make_app
from livetask.settings import Settings
from tests.server.archiving import Archiving
from tests.server.callers import as_caller, connected, guarded
from tests.server.serving import Client, Writer, a_redis
from tests.system.rig import Redis

HIDDEN, UNKNOWN = "secret-1", "absent-1"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with a_redis(tmp_path_factory.mktemp("redis") / "data") as found:
        Writer(found.url, "shown").begin("say").write(b"one\ntwo\n").finish()
        Writer(found.url, HIDDEN, "nonceofother").begin("hidden").write(b"hush\n").finish()
        yield found


@pytest.fixture
async def client(store: Redis) -> AsyncIterator[Client]:
    async with guarded(store.url, custom_rooms=True) as found:
        yield found


async def asked(client: Client, method: str, path: str, name: str, **given: Any) -> tuple[int, str]:
    """Status and body."""
    headers = as_caller(client, name) if name else {}
    async with client.request(method, path, headers=headers, allow_redirects=False, **given) as answer:
        return answer.status, (await answer.read()).decode("utf-8", "replace")


async def started(client: Client, name: str, task: str = "say", **more: Any) -> str:
    call = {"task_name": task, "args": [] if task == "hidden" else ["x"] if task == "say" else [1], **more}
    status, text = await asked(client, "POST", "/task", name, json=call)
    assert status == 201, text
    return str(json.loads(text)["data"])


def in_room(store: Redis, room: str, task_id: str, nonce: str) -> None:
    """An event of a task in a room, as a worker's shipper puts it there."""
    keys = Keys()
    names = [keys.room(room), keys.room_mark(room, nonce), keys.bell(bucket_of(room))]
    data = json.dumps({"task_id": task_id})
    fields = ["name", "on_progress", "data", data, "task", task_id, "run", "1", "nonce", nonce, "seq", "1"]
    with redis.Redis.from_url(store.url) as raw:
        assert raw.eval(script("share").text, len(names), *names, room, "1", "60000", "100", *fields) == [b"OK"]


# ---- nothing is forgotten


def test_every_route_and_every_event_says_which_ability_it_needs() -> None:
    app = make_app(Settings.load(flags={"redis_url": "redis://127.0.0.1:1/0", "custom_rooms": True}), None)
    routes = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
    routes = {(method, path) for method, path in routes if method != "HEAD"}
    assert routes <= set(ROUTES)
    assert all("oidc" in path for _, path in set(ROUTES) - routes), "routes that there are not, but with a setting"
    events = app[LIVE].sockets._server.handlers["/"]
    assert set(events) - {"connect", "disconnect", "*"} == set(EVENTS)
    needs = {need.ability for need in (*ROUTES.values(), *EVENTS.values())}
    assert needs <= ABILITIES | {""}


OF_ONE_TASK = sorted((method, path) for method, path in ROUTES if "{task_id}" in path)
QUERIES = ("", "?line=1", "?offset=-1", "?live=long-poll", "?live=sse", "?q=h&from=1-0")


def place(path: str, task_id: str) -> str:
    return path.replace("{task_id}", task_id).replace("{run}", "1")


async def test_a_hidden_task_is_answered_as_an_unknown_one_by_every_route(client: Client) -> None:
    for name in ("says", "anna", "linked"):
        for method, path in OF_ONE_TASK:
            for query in QUERIES:
                answers = []
                for task_id in (HIDDEN, UNKNOWN):
                    status, text = await asked(client, method, place(path, task_id) + query, name)
                    assert "hush" not in text
                    answers.append((status, text.replace(task_id, "THE-TASK")))
                assert answers[0] == answers[1], (name, method, path, query)


async def test_a_hidden_task_of_the_archive_is_answered_as_an_unknown_one_by_every_route(
    store: Redis, tmp_path: Path
) -> None:
    Writer(store.url, "put-away", "nonceofarchi").begin("hidden").write(b"hush\n").finish()
    async with Archiving(store.url, "livetask", tmp_path) as moving:
        await moving.move("put-away")
    with redis.Redis.from_url(store.url) as raw:
        raw.delete(Keys().output("put-away", "nonceofarchi"))
    async with guarded(store.url, archive_dir=str(tmp_path)) as client:
        _, text = await asked(client, "GET", "/api/tasks/put-away/runs/1/log.txt", "admin")
        assert text == "hush\n", "it is read from the archive"
        for method, path in OF_ONE_TASK:
            for query in QUERIES:
                answers = []
                for task_id in ("put-away", UNKNOWN):
                    status, text = await asked(client, method, place(path, task_id) + query, "says")
                    assert "hush" not in text
                    answers.append((status, text.replace(task_id, "THE-TASK")))
                assert answers[0] == answers[1], (method, path, query)


async def test_ids_of_tasks_that_may_not_be_viewed_are_not_told_by_those_that_may(client: Client, store: Redis) -> None:
    Writer(store.url, "child-1", "nonceofchild").begin("say").write(b"x\n").finish()
    with redis.Redis.from_url(store.url) as raw:
        raw.hset(Keys().task("child-1"), mapping={"root_id": HIDDEN, "parent_id": HIDDEN})
    for name, told in (("admin", HIDDEN), ("says", None)):
        _, text = await asked(client, "GET", "/api/tasks/child-1", name)
        listed = json.loads((await asked(client, "GET", "/api/tasks", name))[1])["tasks"]
        for task in (json.loads(text), next(one for one in listed if one["id"] == "child-1")):
            assert (task["root_id"], task["parent_id"]) == (told, told), name
    running = Writer(store.url, "child-2", "nonceofchild2").begin("say")
    with redis.Redis.from_url(store.url) as raw:
        raw.hset(Keys().task("child-2"), mapping={"root_id": HIDDEN, "parent_id": "child-1"})
    told: dict[str, list[Any]] = {"admin": [], "says": []}
    async with connected(client, "admin") as admin, connected(client, "says") as says:
        for name, io in (("admin", admin), ("says", says)):
            io.on("task", told[name].append)
            assert (await io.call("subscribe", {"task_id": "child-2"}, timeout=90))["ok"]
        running.finish()
        ended = {name: lambda name=name: any(one["task"]["state"] == "SUCCESS" for one in told[name]) for name in told}
        await _until(lambda: all(has() for has in ended.values()))
    kin = {name: {(one["task"]["root_id"], one["task"]["parent_id"]) for one in told[name]} for name in told}
    assert kin == {"admin": {(HIDDEN, "child-1")}, "says": {(None, "child-1")}}
    assert HIDDEN not in (await asked(client, "GET", "/tasks/child-1", "says"))[1]
    assert HIDDEN not in (await asked(client, "GET", "/tasks/child-1/workflow", "says"))[1]


async def test_a_page_carries_output_only_of_a_task_that_may_be_viewed(client: Client) -> None:
    for name, task_id, text in (("says", HIDDEN, "hush"), ("says", "shown", "two"), ("admin", HIDDEN, "hush")):
        status, page = await asked(client, "GET", f"/tasks/{task_id}", name)
        assert status == 200
        assert (text in page) is ((name, task_id) != ("says", HIDDEN))


async def test_an_administrator_reaches_what_others_may_not(client: Client) -> None:
    for method, path in OF_ONE_TASK:
        status, _ = await asked(client, method, place(path, HIDDEN), "admin")
        assert status not in (401, 403, 404), (method, path)


async def test_nobody_is_let_in_without_a_name_where_a_name_is_needed(client: Client) -> None:
    for (method, path), need in ROUTES.items():
        if need.ability:
            status, text = await asked(client, method, place(path, "shown"), "")
            assert status in (401, 302, 303), (method, path)
            assert "one" not in text.split()


async def test_an_event_about_a_hidden_task_is_answered_as_about_an_unknown_one(client: Client) -> None:
    for name in ("says", "anna", "linked"):
        async with connected(client, name) as io:
            for event in sorted(EVENTS):
                answers = []
                for task_id in (HIDDEN, UNKNOWN):
                    message = {"task_id": task_id, "task_ids": [task_id], "room": "r", "from": "now"}
                    short = {"task_id": task_id}
                    answer = await io.call(event, short if event == "rerun_task" else message, timeout=90)
                    answers.append(json.dumps(answer).replace(task_id, "THE-TASK"))
                assert answers[0] == answers[1], (name, event)


async def test_lists_counts_and_searches_hold_what_may_be_viewed_and_nothing_else(client: Client) -> None:
    mine = await started(client, "anna")
    for query, found in (("", {mine}), ("?q=hidden", set()), (f"?q={HIDDEN}", set()), ("?sort=name&limit=1", {mine})):
        status, text = await asked(client, "GET", f"/api/tasks{query}", "anna")
        answer = json.loads(text)
        assert (status, {task["id"] for task in answer["tasks"]}) == (200, found)
        assert (sum(answer["counts"].values()), answer["total"], answer["next"]) == (len(found), len(found), None)
    _, page = await asked(client, "GET", "/", "anna")
    assert mine in page
    assert HIDDEN not in page
    _, text = await asked(client, "GET", f"/api/tasks?q={HIDDEN}", "admin")
    assert [task["id"] for task in json.loads(text)["tasks"]] == [HIDDEN]


# ---- abilities


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("viewer", {"view", "download"}),
        ("operator", {"view", "download", "start", "cancel", "rerun"}),
        ("admin", ABILITIES),
        ("linked", {"view", "download"}),
    ],
)
async def test_each_role_can_do_what_it_may_and_hears_what_else_it_would_need(
    client: Client, name: str, may: set[str]
) -> None:
    ways = {
        "view": ("GET", "/api/tasks/shown"),
        "download": ("GET", "/api/tasks/shown/runs/1/log.txt"),
        "start": ("GET", "/api/startable"),
        "cancel": ("DELETE", "/task/shown"),
        "rerun": ("POST", "/task/shown/rerun"),
        "administer": ("GET", "/metrics"),
    }
    for ability, (method, path) in ways.items():
        status, text = await asked(client, method, path, name)
        if ability in may:
            assert status in (200, 201, 409), text
        else:
            assert status == (404 if name == "linked" else 403)
            assert name == "linked" or f"the right to {ability}" in text


async def test_a_message_of_a_viewer_that_may_not_is_refused_in_the_words_of_its_event(client: Client) -> None:
    async with connected(client, "viewer") as io:
        for event in ("send_task", "revoke_task", "cancel_tasks", "rerun_task", "rerun_tasks"):
            answer = await io.call(event, {"task_name": "say", "task_id": "shown", "task_ids": ["shown"]}, timeout=90)
            assert answer["status"] == "failed"
            assert answer["code"] == "forbidden"


async def test_only_tasks_that_may_be_started_are_offered_and_sent(client: Client) -> None:
    _, text = await asked(client, "GET", "/api/startable", "says")
    assert [task["name"] for task in json.loads(text)["tasks"]] == ["add", "say"]
    status, text = await asked(client, "POST", "/task", "says", json={"task_name": "hidden"})
    other_status, other = await asked(client, "POST", "/task", "says", json={"task_name": "hiddex"})
    assert (status, other_status) == (403, 403)
    assert text.replace("hidden", "NAME") == other.replace("hiddex", "NAME")


async def test_a_chain_is_refused_when_one_of_its_tasks_may_not_be_started(client: Client) -> None:
    call = {"task_name": "add", "args": [1], "chain": [{"task_name": "hidden"}]}
    assert (await asked(client, "POST", "/task", "says", json=call))[0] == 403


async def test_who_may_use_one_queue_names_it(client: Client) -> None:
    call = {"task_name": "say", "args": ["x"]}
    assert (await asked(client, "POST", "/task", "gpu", json=call))[0] == 403
    task_id = await started(client, "gpu", queue="gpu")
    assert (await asked(client, "GET", f"/api/tasks/{task_id}", "gpu"))[0] == 200
    other = await started(client, "operator", queue="cpu")
    assert (await asked(client, "GET", f"/api/tasks/{other}", "gpu"))[0] == 404


async def test_who_started_a_task_owns_it_and_so_does_who_runs_it_again(client: Client) -> None:
    task_id = await started(client, "anna")
    status, text = await asked(client, "GET", f"/api/tasks/{task_id}", "anna")
    assert (status, json.loads(text)["owner"]) == (200, "anna")
    assert (await asked(client, "GET", f"/api/tasks/{task_id}", "ben"))[0] == 404
    assert (await asked(client, "DELETE", f"/task/{task_id}", "ben"))[0] == 404
    assert (await asked(client, "POST", f"/task/{task_id}/rerun", "ben"))[0] == 404
    status, text = await asked(client, "POST", f"/task/{task_id}/rerun", "operator")
    assert status == 201
    again = json.loads(text)["data"]
    assert (await asked(client, "GET", f"/api/tasks/{again}", "anna"))[0] == 404
    assert json.loads((await asked(client, "GET", f"/api/tasks/{again}", "operator"))[1])["owner"] == "operator"


async def test_many_at_once_are_judged_one_by_one(client: Client) -> None:
    mine, other = await started(client, "anna"), await started(client, "ben")
    async with connected(client, "anna") as io:
        answer = await io.call("cancel_tasks", {"task_ids": [mine, other, UNKNOWN]}, timeout=90)
        codes = [(one["status"], one.get("code")) for one in answer["data"]]
        assert codes == [("success", None), ("failed", "task_unknown"), ("failed", "task_unknown")]
        assert answer["data"][1]["data"].replace(other, "ID") == answer["data"][2]["data"].replace(UNKNOWN, "ID")
        answer = await io.call("rerun_tasks", {"task_ids": [mine, other, UNKNOWN]}, timeout=90)
        assert [one["status"] for one in answer["data"]] == ["success", "failed", "failed"]
    _, text = await asked(client, "GET", f"/api/tasks/{other}", "ben")
    assert json.loads(text)["state"] == "QUEUED"


# ---- live


async def test_a_hidden_task_that_is_waited_for_is_never_told_of(client: Client, store: Redis) -> None:
    async with connected(client, "anna") as anna, connected(client, "admin") as admin:
        told: dict[str, list[Any]] = {"anna": [], "admin": []}
        for name, io in (("anna", anna), ("admin", admin)):
            for event in ("output", "run", "task", "end", "caught_up", "gap", "grown", "reset"):
                io.on(event, lambda data, name=name, event=event: told[name].append((event, data)))
            answer = await io.call("subscribe", {"task_id": "later", "wait": True, "events": True}, timeout=90)
            assert answer["ok"]
            assert answer["task"] is None
        heartbeats: list[Any] = []
        anna.on("heartbeat", heartbeats.append)
        Writer(store.url, "later", "nonceoflater").begin("hidden").write(b"hush\n").finish()
        await _until(lambda: any(event == "end" for event, _ in told["admin"]))
        await _until(lambda: len(heartbeats) > 0)
        assert told["anna"] == []
        assert not heartbeats[-1]["ends"]


async def test_who_watches_the_list_hears_of_its_own_tasks_only(client: Client, store: Redis) -> None:
    async with connected(client, "says") as says, connected(client, "admin") as admin:
        told: dict[str, list[Any]] = {"says": [], "admin": []}
        for name, io in (("says", says), ("admin", admin)):
            for event in ("task", "counts", "unlisted"):
                io.on(event, lambda data, name=name: told[name].append(json.dumps(data)))
            assert (await io.call("watch", {}, timeout=90))["ok"]
        answer = await says.call("watch", {"also": [HIDDEN]}, timeout=90)
        assert HIDDEN not in json.dumps(answer)
        Writer(store.url, "secret-2", "nonceofhushed").begin("hidden").finish()
        Writer(store.url, "heard-of", "nonceofheard1").begin("say").finish()
        await _until(lambda: all(any("heard-of" in one for one in news) for news in told.values()))
        await _until(lambda: any("secret-2" in one for one in told["admin"]))
        assert "secret" not in "".join(told["says"])


async def test_a_room_tells_its_members_of_tasks_that_they_may_view_only(client: Client, store: Redis) -> None:
    Writer(store.url, "room-hidden", "nonceofroom1").begin("hidden")
    Writer(store.url, "room-shown", "nonceofroom2").begin("say")
    async with connected(client, "says") as says, connected(client, "admin") as admin:
        told: dict[str, list[Any]] = {"says": [], "admin": []}
        for name, io in (("says", says), ("admin", admin)):
            io.on("on_progress", lambda data, name=name: told[name].append(data["task_id"]))
            assert (await io.call("join", {"room": "lobby", "from": "now"}, timeout=90))["ok"]
        for number, task_id in enumerate(("room-hidden", "room-shown"), 1):
            in_room(store, "lobby", task_id, f"nonceofroom{number}")
        await _until(lambda: told == {"says": ["room-shown"], "admin": ["room-hidden", "room-shown"]})


async def test_a_share_link_is_shown_the_log_and_the_fate_and_nothing_that_leads_away(client: Client) -> None:
    async with connected(client, "linked") as io:
        answer = await io.call("subscribe", {"task_id": "shown"}, timeout=90)
        assert answer["ok"]
        task = answer["task"]
        assert (task["id"], task["name"], task["state"]) == ("shown", "say", "SUCCESS")
        assert not {
            name: task[name] for name in ("args", "kwargs", "result", "worker", "owner", "reruns") if task[name]
        }
        assert (task["runs"][0]["host"], task["runs"][0]["worker"], task["can_rerun"]) == (None, None, False)
        for event in ("watch", "join", "task_info", "send_task"):
            answer = await io.call(event, {"room": "r", "task_id": "shown", "task_name": "say"}, timeout=90)
            assert answer["code"] == "forbidden"
    for path in ("/", "/api/tasks", "/tasks/shown", "/metrics"):
        assert (await asked(client, "GET", path, "linked"))[0] == 404


# ---- in the same time


async def test_a_hidden_task_takes_the_time_of_an_unknown_one_whatever_its_size(client: Client, store: Redis) -> None:
    with redis.Redis.from_url(store.url) as raw:
        raw.hset(Keys().task(HIDDEN), "result", "x" * 4_000_000)
    took: dict[str, list[float]] = {HIDDEN: [], UNKNOWN: []}
    for _ in range(60):
        for task_id, times in took.items():
            began_s = time.perf_counter()
            assert (await asked(client, "GET", f"/api/tasks/{task_id}", "says"))[0] == 404
            times.append(time.perf_counter() - began_s)
    hidden, unknown = (statistics.median(times) for times in took.values())
    assert 0.5 < hidden / unknown < 2


async def _until(holds: Any, timeout_s: float = 90) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - a condition of any kind
            await asyncio.sleep(0.01)
