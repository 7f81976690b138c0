"""What an earlier version stored is read as it was, and gone on with; what a later one stored is refused."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
import socketio

from livetask.client import Client as PythonClient
from livetask.errors import LivetaskError
from livetask.position import Position
from livetask.service.embedded import find_program
from livetask.worker.spool import RunFacts
from tests.oracle.record import Given, Lines, Record
from tests.oracle.viewers import ALL, PollViewer, ScreenViewer, Viewer
from tests.real.redis_servers import RealRedis, running_server
from tests.real.writer import RunWriter
from tests.server.serving import Client, served
from tests.upgrade.frozen import HERE, Frozen, current

MISSED = [kind for kind in ALL if kind not in (ScreenViewer, PollViewer)]
"""Those who are told of what is missing at the head; a poll from -1 begins with what is kept."""

FORMATS = sorted(HERE.glob("format_*.jsonl"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    with running_server(find_program().path, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=FORMATS, ids=lambda path: path.stem)
def frozen(own: RealRedis, tmp_path: Path, request: pytest.FixtureRequest) -> Frozen:
    found = Frozen.read(request.param)
    with redis.Redis.from_url(own.url) as client:
        client.flushall()
        found.thaw(client, tmp_path / "archive")
    return found


@pytest.fixture
async def client(own: RealRedis, frozen: Frozen, tmp_path: Path) -> AsyncIterator[Client]:
    async with served(own.url, archive_dir=str(tmp_path / "archive")) as client:
        yield client


def test_what_this_version_stores_is_kept_for_those_to_come() -> None:
    assert current() in FORMATS, "a new format: python -m tests.upgrade"


def text_given(record: Record, run: int) -> bytes:
    """What a viewer was given of a run; question marks where it was told that something is missing."""
    if record.name == ScreenViewer.name:
        found = [item for item in record.items if isinstance(item, Lines) and item.run == run]
        return "\n".join(line for item in found for line in item.lines).encode()
    text = b""
    for item in record.items:
        if isinstance(item, Given) and item.cursor.run == run:
            text = text.ljust(item.start.byte, b"?")
            assert item.start.byte == len(text)
            text += item.data
    return text


async def seen_by(kind: type[Viewer], client: Client, task_id: str) -> Record:
    async with kind(str(client.make_url("")).rstrip("/"), task_id) as viewer:
        await viewer.ended(30)
    return viewer.record


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("task_id", ["whole", "archived"])
async def test_every_viewer_is_given_every_byte(
    client: Client, frozen: Frozen, task_id: str, kind: type[Viewer]
) -> None:
    runs = frozen.texts[task_id]
    if "sse" in kind.name:
        runs = {run: text for run, text in runs.items() if run == max(runs)}  # it follows the last one
    record = await seen_by(kind, client, task_id)
    for run, text in runs.items():
        wanted = text.removesuffix(b"\n") if kind is ScreenViewer else text
        assert text_given(record, int(run)) == wanted
        (crc,) = {end.crc for end in record.ends if end.cursor.run == int(run)}
        assert crc == f"{zlib.crc32(text):08x}"
    assert record.holes == []


@pytest.mark.parametrize("kind", MISSED, ids=lambda kind: kind.name)
async def test_what_is_missing_is_missing_exactly_there(client: Client, frozen: Frozen, kind: type[Viewer]) -> None:
    record = await seen_by(kind, client, "broken")
    told = [(str(hole.start), str(hole.cursor.position), hole.reason) for hole in record.holes]
    assert told == frozen.holes["broken"]
    text, given = frozen.texts["broken"]["1"], text_given(record, 1)
    for start, end, _ in frozen.holes["broken"]:
        low, high = Position.parse(start).byte, Position.parse(end).byte
        text = text[:low] + b"?" * (high - low) + text[high:]
    assert given == text


@pytest.mark.parametrize("task_id", ["whole", "archived"])
async def test_files_offsets_lines_and_searches_have_every_byte(client: Client, frozen: Frozen, task_id: str) -> None:
    for run, text in frozen.texts[task_id].items():
        place = f"/api/tasks/{task_id}/runs/{run}/log"
        async with client.get(f"{place}.txt") as answer:
            assert await answer.read() == text
        async with client.get(f"{place}.gz") as answer:
            assert gzip.decompress(await answer.read()) == text
        data, offset = b"", "-1"
        while True:
            async with client.get(place, params={"offset": offset}) as answer:
                data += await answer.read()
                offset = answer.headers["Stream-Next-Offset"]
                if answer.headers.get("Stream-Closed") == "true":
                    break
        assert data == text
        async with client.get(place, params={"line": "40", "count": "3"}) as answer:
            assert (await answer.json())["lines"] == text.decode().split("\n")[39:42]
        async with client.get(f"/api/tasks/{task_id}/runs/{run}/search", params={"q": "line 77 "}) as answer:
            found = await answer.json()
            assert [hit[0] for hit in found["hits"]] == [text.split(b"line 77 ")[0].count(b"\n") + 1]


async def test_a_worker_of_this_version_goes_on_with_a_run_of_before(
    client: Client, frozen: Frozen, own: RealRedis
) -> None:
    text = frozen.texts["going"]["1"]
    with redis.Redis.from_url(own.url) as store:
        run = RunWriter(store, "going", nonce="going000a000")
        assert run.begin() == 1
        run.end = Position(text.count(b"\n") + 1, len(text))
        run.text += text
        run.write(b"and on it goes\n")
        run.finish()
    record = await seen_by(ALL[0], client, "going")
    assert text_given(record, 1) == text + b"and on it goes\n"
    assert record.ends[-1].crc == f"{zlib.crc32(bytes(run.text)):08x}"


def test_a_spool_of_before_is_shipped() -> None:
    """As the first version that was written down left it."""
    line = (
        b'{"task_id": "t", "name": "n", "nonce": "abcdefghijkl", "why": "first", "queue": "celery", "root_id": "t", '
        b'"parent_id": "", "args": "()", "kwargs": "{}", "pid": 1, "host": "h", "worker": "w", '
        b'"begun_ms": 1700000000000, "locked": true, "pool": "prefork", "call": {}}\n'
    )
    facts = RunFacts.parse(line)
    assert (facts.task_id, facts.begun_ms, facts.owner) == ("t", 1700000000000, "")


async def test_what_a_later_version_stored_is_refused_by_every_way_to_ask_for_it(
    client: Client, own: RealRedis
) -> None:
    with redis.Redis.from_url(own.url) as store:
        store.hset(RunWriter(store, "whole").task, "format", "2")
    log = "/api/tasks/whole/runs/last/log"
    places = ["/api/tasks/whole", log, f"{log}?offset=-1", f"{log}?line=1", f"{log}?offset=-1&live=long-poll"]
    places += [f"{log}?live=sse", f"{log}?offset=-1&live=sse", f"{log}.txt", f"{log}.gz"]
    places += ["/api/tasks/whole/runs/1/search?q=x", "/api/tasks/whole/runs/1/marks"]
    for place in places:
        async with client.get(place) as answer:
            said = await answer.json()
            assert (answer.status, said["code"]) == (500, "format_unknown"), place
            assert said["error"] == "task whole is stored in format '2': upgrade this livetask to read it"
    url = str(client.make_url(""))
    io = socketio.AsyncClient(reconnection=False)
    await io.connect(url, transports=["websocket"])
    assert (await io.call("subscribe", {"task_id": "whole"}))["code"] == "format_unknown"
    await io.disconnect()
    async with PythonClient(url) as python:
        with pytest.raises(LivetaskError) as refused:
            await python.task("whole")
    assert refused.value.code == "format_unknown"
    async with client.get("/api/tasks") as answer:
        assert {task["id"] for task in (await answer.json())["tasks"]} == {"broken", "going"}
