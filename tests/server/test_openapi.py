"""The OpenAPI document says what the server does: the same routes, and no answer that it does not name."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from functools import cache

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as conformance

from livetask.server.app import make_app
from livetask.server.openapi import document
from livetask.settings import Settings
from tests.server import small_app
from tests.server.serving import Client, Writer, a_redis, served
from tests.system.rig import CHECKOUT, Redis

ELSEWHERE = ("/static", "/socket.io/")
"""Files, and a protocol with a page of its own."""

CHECKS = [
    checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with a_redis(tmp_path_factory.mktemp("redis") / "data") as found:
        Writer(found.url, "known").begin("say").write(b"one\ntwo\x1b[31m red\n").finish()
        yield found


def test_every_route_is_in_the_document_and_no_other() -> None:
    app = make_app(Settings.load(flags={"redis_url": "redis://127.0.0.1:1/0"}), None)
    served_here = set()
    for route in app.router.routes():
        place = route.resource.canonical if route.resource else ""
        if route.method != "HEAD" and not place.startswith(ELSEWHERE):
            served_here.add((route.method, place))
    written = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert written == served_here


def test_the_page_of_routes_has_each_and_no_other() -> None:
    page = (CHECKOUT / "docs" / "http.md").read_text("utf-8")
    routes = [row.split(" | ")[0] for row in page.splitlines() if row.startswith("| `")]
    told: dict[tuple[str, str], set[str]] = {}
    for method, path, query in re.findall(r"`([A-Z]+) (/[^`?]*)\??([^`]*)`", " ".join(routes)):
        for short, name in (("ID", "{task_id}"), ("RUN", "{run}"), ("LINK", "{share_id}")):
            path = path.replace(f"/{short}", f"/{name}")
        told.setdefault((method, path), set()).update(re.findall(r"(\w+)=", query))
    taken = {
        (method.upper(), path): {one["name"] for one in operation.get("parameters", []) if one.get("in") == "query"}
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    assert told.keys() == taken.keys()
    assert all(names <= taken[route] for route, names in told.items())


def test_every_part_that_is_named_is_there() -> None:
    schemas = document()["components"]["schemas"]

    def named(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for held in value.values():
                yield from named(held)
        elif isinstance(value, list):
            for held in value:
                yield from named(held)

    assert set(named(document())) == {f"#/components/schemas/{name}" for name in schemas}


async def test_the_document_is_served(store: Redis) -> None:
    async with served(store.url) as client, client.get("/api/openapi.json") as answer:
        assert answer.status == 200
        assert await answer.json() == document()


@pytest.fixture(scope="module")
def url(store: Redis) -> Iterator[str]:
    """A server in a thread of its own: what walks its API blocks."""
    address: Future[str] = Future()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        app = small_app.make(store.url)
        client: Client
        async with served(store.url, app, available_tasks=("add", "say"), inbound_per_s=10_000) as client:
            address.set_result(str(client.make_url("")))
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield address.result(30)
    loop.call_soon_threadsafe(over.set)
    thread.join(30)
    loop.close()


schema = schemathesis.openapi.from_dict(document())


@pytest.fixture
def answered() -> Iterator[Counter[int]]:
    """How often each status came, of one operation; among them must be a good one."""
    found: Counter[int] = Counter()
    yield found
    assert any(status < 300 or status == 303 for status in found), dict(found)


@schema.parametrize()
@settings(max_examples=25, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_no_request_is_answered_by_a_bug_or_by_what_the_document_does_not_say(
    case: schemathesis.Case, url: str, answered: Counter[int]
) -> None:
    validate(case, url, answered)
    if case.path_parameters:
        # generated ids are never those of a task that is there
        case.path_parameters = {"task_id": "known", "run": "last", "share_id": made_share(url, case.path)["id"]}
        validate(case, url, answered)
    if case.path == "/api/share":
        case.headers = {"Authorization": f"Share {made_share(url, case.path)['path'].partition('#')[2]}"}
        validate(case, url, answered)
    if case.path.endswith("/rerun"):
        case.body = {"args": ["x"], "kwargs": {}}
        validate(case, url, answered)
    elif isinstance(case.body, dict):
        case.body = {**case.body, "task_name": "add"}
        validate(case, url, answered)
        case.body = {**case.body, "task_name": "say", "args": ["x"], "kwargs": {}}
        validate(case, url, answered)


@cache
def made_share(url: str, place: str) -> dict[str, str]:
    """A link to the task that is known, for the tests of one place."""
    request = urllib.request.Request(f"{url}/api/tasks/known/shares", method="POST")
    with urllib.request.urlopen(request, timeout=90) as answer:
        found: dict[str, str] = json.load(answer)
        return found


def validate(case: schemathesis.Case, url: str, answered: Counter[int]) -> None:
    answer = case.call_and_validate(base_url=url, checks=CHECKS, timeout=90)
    answered[answer.status_code] += 1
