"""Server-sent events: a task tailed from its start to its end, cut anywhere, gone on exactly."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from livetask.position import Cursor, Position
from tests.server.serving import (
    Client,
    Writer,
    a_server,
    new_task_id,
    redis_of_the_module,
    served,
    until,
    writer_of_the_task,
)
from tests.system.rig import Redis


@dataclass(frozen=True)
class Sent:
    """One event as a browser reads it."""

    name: str
    data: str
    last_id: str | None

    @property
    def json(self) -> dict[str, object]:
        found = json.loads(self.data)
        assert isinstance(found, dict)
        return found


def sent(raw: str) -> list[Sent]:
    """Events of a whole body, as the standard has them read."""
    events: list[Sent] = []
    for block in raw.split("\n\n"):
        name, data, last_id = "", [], None
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                last_id = value
        if data:
            events.append(Sent(name, "\n".join(data), last_id))
    return events


def text_of(events: list[Sent]) -> str:
    return "".join(event.data for event in events if event.name == "output")


store = redis_of_the_module
task_id = new_task_id
writer = writer_of_the_task


@pytest.fixture
async def client(store: Redis) -> AsyncIterator[Client]:
    async with served(store.url, heartbeat_ms=200) as found:
        yield found


def url_of(task_id: str, query: str = "", run: str = "last") -> str:
    return f"/api/tasks/{task_id}/runs/{run}/log?live=sse{query}"


async def test_a_task_is_tailed_from_its_start_to_its_end(client: Client, writer: Writer, task_id: str) -> None:
    writer.write("grüße\n\n  indented\n".encode())
    async with client.get(url_of(task_id)) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        await until("the first event", lambda: _has(answer, b"event: output"))
        writer.write(b"and more").write(b" of it\n").finish()
        events = sent((await asyncio.wait_for(_all(answer), 90)).decode())
    assert text_of(events) == writer.all.decode()
    end = events[-1]
    assert (end.name, end.json["how"], end.json["last"], end.json["bytes"]) == ("end", "SUCCESS", True, len(writer.all))
    assert end.last_id == f"1.abcdefghijkl.{writer.at}.end"


_seen: dict[int, bytes] = {}


async def _has(answer: aiohttp.ClientResponse, part: bytes) -> bool:
    _seen[id(answer)] = _seen.get(id(answer), b"") + await answer.content.readany()
    return part in _seen[id(answer)]


async def _all(answer: aiohttp.ClientResponse) -> bytes:
    return _seen.pop(id(answer), b"") + await answer.content.read()


async def test_a_client_that_is_cut_off_again_and_again_gets_every_character_once(
    client: Client, writer: Writer, task_id: str
) -> None:
    async def write() -> None:
        for number in range(300):
            writer.write(f"{number:05} ".encode() * 20 + "ö\n".encode())
            await asyncio.sleep(0)
        writer.finish()

    writing = asyncio.create_task(write())
    text, last_id, times = "", "", 0
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        async with client.get(url_of(task_id), headers=headers) as answer:
            if answer.status == 204:
                break
            raw = b""
            # cut wherever it happens to be: what follows the last whole event is forgotten, as browsers do
            async for chunk in answer.content.iter_chunked(997):
                raw += chunk
                if len(raw) > 4000:
                    break
        events = sent(raw[: raw.rindex(b"\n\n") + 2].decode() if b"\n\n" in raw else "")
        text += text_of(events)
        last_id = next((event.last_id for event in reversed(events) if event.last_id), last_id)
        times += 1
    await writing
    assert text == writer.all.decode()
    assert times > 5


async def test_a_gap_is_an_event_with_its_range(client: Client, writer: Writer, task_id: str) -> None:
    writer.write(b"a\n").drop(Position(9, 90)).write(b"b\n").finish()
    async with client.get(url_of(task_id)) as answer:
        events = sent(await answer.text())
    gap = next(event for event in events if event.name == "gap")
    assert {name: gap.json[name] for name in ("from", "bytes", "lines", "reason")} == {
        "from": "2-2",
        "bytes": 88,
        "lines": 7,
        "reason": "dropped",
    }
    assert gap.last_id == "1.abcdefghijkl.9-90"
    assert text_of(events) == "a\nb\n"


async def test_carriage_returns_are_shown_and_base64_gives_the_bytes_as_they_are(
    client: Client, writer: Writer, task_id: str
) -> None:
    writer.write(b"10%\r20%\r\n\xff\x00end").finish()
    async with client.get(url_of(task_id)) as answer:
        assert text_of(sent(await answer.text())) == "10%\u240d20%\u240d\n\ufffd\x00end"
    async with client.get(url_of(task_id, "&encoding=base64")) as answer:
        parts = [event.data for event in sent(await answer.text()) if event.name == "output"]
    assert b"".join(map(base64.b64decode, parts)) == writer.all


async def test_it_begins_where_it_is_asked_to(client: Client, writer: Writer, task_id: str) -> None:
    writer.write(b"one\ntwo\n").finish()
    async with client.get(url_of(task_id, "&from=2-4")) as answer:
        assert text_of(sent(await answer.text())) == "two\n"
    async with client.get(url_of(task_id, "&from=now")) as answer:
        assert [event.name for event in sent(await answer.text())][-1] == "end"
    async with client.get(url_of(task_id), headers={"Last-Event-ID": "1.abcdefghijkl.1-1"}) as answer:
        assert text_of(sent(await answer.text())) == "ne\ntwo\n"
    async with client.get(url_of(task_id), headers={"Last-Event-ID": "1.zzzzzzzzzzzz.1-1"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (409, "position_unknown")
    async with client.get(url_of(task_id), headers={"Last-Event-ID": "nonsense"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "cursor_invalid")


async def test_the_last_run_leads_to_later_ones_and_an_ordinal_to_none(
    client: Client, store: Redis, writer: Writer, task_id: str
) -> None:
    async with client.get(url_of(task_id)) as following, client.get(url_of(task_id, run="1")) as one:
        writer.write(b"first\n").finish("RETRY")
        assert text_of(sent((await asyncio.wait_for(one.content.read(), 90)).decode())) == "first\n"
        Writer(store.url, task_id, "mnopqrstuvwx").begin(why="retry").write(b"second\n").finish()
        events = sent((await asyncio.wait_for(following.content.read(), 90)).decode())
    assert text_of(events) == "first\nsecond\n"
    assert [event.json["run"] for event in events if event.name == "end"] == [1, 2]
    assert Cursor.parse(str(events[-1].last_id).removesuffix(".end")).run == 2


async def test_a_client_that_was_told_of_a_lost_run_comes_back_and_sees_it_live(
    client: Client, writer: Writer, task_id: str
) -> None:
    writer.write(b"before\n").finish("LOST")
    async with client.get(url_of(task_id)) as answer:
        events = sent((await asyncio.wait_for(answer.content.read(), 90)).decode())
    assert (events[-1].name, events[-1].json["how"]) == ("end", "LOST")
    async with client.get(url_of(task_id), headers={"Last-Event-ID": str(events[-1].last_id)}) as answer:
        assert answer.status == 200
        await until("it is told again", lambda: _has(answer, b"LOST"))
        writer.write(b"after\n").finish()
        events = sent((await asyncio.wait_for(_all(answer), 90)).decode())
    assert text_of(events) == "after\n"
    assert [event.json["how"] for event in events if event.name == "end"] == ["LOST", "SUCCESS"]
    async with client.get(url_of(task_id), headers={"Last-Event-ID": str(events[-1].last_id)}) as answer:
        assert answer.status == 204


async def test_who_was_cut_off_between_the_output_and_the_end_is_told_the_end_once(
    client: Client, store: Redis, writer: Writer, task_id: str
) -> None:
    writer.write(b"all of it\n").finish("RETRY")
    for query, name in (("", "end"), ("&offset=-1", "control")):
        first = url_of(task_id, query, run="1")
        async with client.get(first, headers={"Last-Event-ID": f"1.abcdefghijkl.{writer.at}"}) as answer:
            assert answer.status == 200
            events = [event for event in sent(await answer.text()) if event.name == name]
        assert [str(event.last_id).endswith(".end") for event in events].count(True) == 1
        async with client.get(first, headers={"Last-Event-ID": str(events[-1].last_id)}) as answer:
            assert answer.status == 204
    async with client.get(url_of(task_id), headers={"Last-Event-ID": f"1.abcdefghijkl.{writer.at}.end"}) as answer:
        Writer(store.url, task_id, nonce="bbbbbbbbbbbb").begin().write(b"again\n").finish()
        events = sent((await asyncio.wait_for(_all(answer), 90)).decode())
    assert [event.json["run"] for event in events if event.name == "end"] == [2]
    assert text_of(events) == "again\n"


async def test_a_silent_connection_is_kept_alive(client: Client, writer: Writer, task_id: str) -> None:
    async with client.get(url_of(task_id)) as answer:
        await until("a sign of life", lambda: _has(answer, b": waiting\n\n"))
        _seen.pop(id(answer))
    writer.finish()

    async def nobody() -> bool:
        async with client.get("/metrics") as figures:
            return 'livetask_viewers{by="http"} 0.0' in await figures.text()

    await until("the client's place is given up", nobody)


async def test_clients_that_go_away_in_the_middle_leave_no_traceback_in_the_log(
    store: Redis, writer: Writer, task_id: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """``curl ... | head`` left fifty lines of it."""
    writer.write(b"line 1\n")
    async with a_server("--redis-url", store.url) as server, aiohttp.ClientSession(server.url) as session:
        for asked in ("log?live=sse", "log?live=sse&offset=-1", "log.txt?follow=1"):
            reader, out = await asyncio.open_connection("127.0.0.1", server.port)
            out.write(f"GET /api/tasks/{task_id}/runs/1/{asked} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            async with asyncio.timeout(90):
                await reader.readuntil(b"line 1\n")
            out.transport.abort()

        async def nobody() -> bool:
            writer.write(b"more\n")
            async with session.get("/metrics") as figures:
                return 'livetask_viewers{by="http"} 0.0' in await figures.text()

        await until("their places are given up", nobody)
        writer.finish()
        assert await server.stop() == 0
    assert capfd.readouterr().err == ""


async def test_a_client_that_does_not_read_is_not_read_ahead_for(client: Client, writer: Writer, task_id: str) -> None:
    for _ in range(480):
        writer.write(b"z" * 15_999 + b"\n")

    async def delivered() -> float:
        async with client.get("/metrics") as answer:
            text = await answer.text()
        return float(text.split("\nlivetask_http_delivered_bytes_total ")[1].split("\n")[0])

    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", client.port))
    reader, out = await asyncio.open_connection(sock=narrow, limit=4096)
    out.write(f"GET {url_of(task_id)} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    async with asyncio.timeout(90):
        while (line := await reader.readline()) != b"event: output\n":
            assert line, "the answer ended"
        before, now = -1.0, await delivered()
        while now != before:
            await asyncio.sleep(0.3)  # between two looks: it must stand still
            before, now = now, await delivered()
        # what the system's buffers hold, and one window
        assert now < len(writer.all) - 1_000_000
        out.close()


async def test_curl_tails_a_task_while_it_runs(store: Redis, writer: Writer, task_id: str) -> None:
    async with a_server("--redis-url", store.url) as server:
        url = f"{server.url.rstrip('/')}{url_of(task_id)}"
        writer.write(b"line 1\n")
        if shutil.which("curl"):
            curl = await asyncio.create_subprocess_exec("curl", "-sN", url, stdout=asyncio.subprocess.PIPE)
            assert curl.stdout is not None
            reader = curl.stdout
        else:
            reader, out = await asyncio.open_connection("127.0.0.1", server.port)
            out.write(f"GET {url_of(task_id)} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        async with asyncio.timeout(90):
            while await reader.readline() != b"data: line 1\n":
                pass
            writer.write(b"line 2\n")
            while await reader.readline() != b"data: line 2\n":
                pass
            writer.finish()
            rest = await reader.read()
        assert b"event: end\n" in rest
        assert await server.stop() == 0


@pytest.mark.alone
async def test_a_server_that_stops_says_goodbye_and_is_gone_within_2_s(
    store: Redis, writer: Writer, task_id: str
) -> None:
    writer.write(b"text\n")
    async with (
        a_server("--redis-url", store.url) as server,
        aiohttp.ClientSession(server.url) as session,
        session.get(url_of(task_id)) as sse,
        session.get(f"/api/tasks/{task_id}/runs/1/log.txt?follow=1") as file,
        session.get(url_of(task_id)) as idle,
    ):
        await until("it is followed", lambda: _has(sse, b"event: output"))
        assert await file.content.readline() == b"text\n"
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert b"event: bye\n" in await asyncio.wait_for(_all(sse), 90)
        assert await server.ended(10) == 0
        assert time.monotonic() - began < 2
        assert idle.status == 200


# ---------------------------------------------------------------- as the durable streams' protocol has it


def stream_of(task_id: str, offset: str, more: str = "") -> str:
    return f"/api/tasks/{task_id}/runs/1/log?live=sse&offset={offset}{more}"


async def test_with_an_offset_each_piece_is_followed_by_where_the_client_stands(
    client: Client, writer: Writer, task_id: str
) -> None:
    writer.write(b"a\n").drop(Position(9, 90)).write(b"b\r\n")
    async with client.get(stream_of(task_id, "-1")) as answer:
        await until("it is caught up", lambda: _has(answer, b"upToDate"))
        writer.write(b" c").finish()
        events = sent((await asyncio.wait_for(_all(answer), 90)).decode())
    controls = [event.json for event in events if event.name == "control"]
    assert "".join(event.data for event in events if event.name == "data") == "a\nb\u240d\n c"
    assert [one["streamGap"] for one in controls if "streamGap" in one] == ["2-2 9-90 dropped"]
    offsets = [str(one["streamNextOffset"]) for one in controls]
    assert offsets == sorted(offsets)
    assert controls[-1] == {"streamNextOffset": offsets[-1], "upToDate": True, "streamClosed": True}
    assert Cursor.parse(offsets[-1]).position == writer.at
    again = {"Last-Event-ID": str(events[-1].last_id)}
    async with client.get(stream_of(task_id, "-1"), headers=again) as answer:
        assert answer.status == 204


async def test_a_stream_of_bytes_comes_in_base64_when_it_is_asked_for_so(
    client: Client, writer: Writer, task_id: str
) -> None:
    writer.write(b"10%\r\xff\x00").write(b"end").finish()
    async with client.get(stream_of(task_id, "-1", "&encoding=base64")) as answer:
        assert answer.headers["Stream-SSE-Data-Encoding"] == "base64"
        parts = [event.data for event in sent(await answer.text()) if event.name == "data"]
    assert b"".join(map(base64.b64decode, parts)) == writer.all
