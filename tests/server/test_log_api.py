"""Logs by HTTP, from a real Redis: by offset, by lines, as files; while they grow and when they are trimmed."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from livetask.position import Position
from tests.server.serving import (
    Client,
    Writer,
    client_of_the_store,
    new_task_id,
    redis_of_the_module,
    slow_callbacks,
    until,
    writer_of_the_task,
)
from tests.system.rig import Redis

store = redis_of_the_module
client = client_of_the_store
task_id = new_task_id
writer = writer_of_the_task


def log(task_id: str, query: str = "", run: str = "1") -> str:
    return f"/api/tasks/{task_id}/runs/{run}/log{query}"


# ---- by offset


async def test_reading_by_offset_until_it_is_closed_gives_every_byte_once(
    client: Client, writer: Writer, task_id: str
) -> None:
    for number in range(400):
        writer.write(f"{number} ".encode() * 900 + b"\xff\x00\r\n")
    writer.finish()
    body, offset, reads = b"", "-1", 0
    while True:
        async with client.get(log(task_id), params={"offset": offset}) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            body += await answer.read()
            offset = answer.headers["Stream-Next-Offset"]
            reads += 1
            if "Stream-Closed" in answer.headers:
                break
    assert body == writer.all
    assert reads > 1


async def test_up_to_date_is_not_closed_while_the_run_is_open_or_only_believed_lost(
    client: Client, writer: Writer, task_id: str
) -> None:
    writer.write(b"one\n")
    async with client.get(log(task_id)) as answer:
        assert answer.headers["Stream-Up-To-Date"] == "true"
        assert "Stream-Closed" not in answer.headers
        etag, offset = answer.headers["ETag"], answer.headers["Stream-Next-Offset"]
    async with client.get(log(task_id), headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
    async with client.get(log(task_id), params={"offset": offset}) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with client.get(log(task_id), params={"offset": "now"}) as answer:
        assert (await answer.read(), answer.headers["Stream-Next-Offset"]) == (b"", offset)
    async with client.get(log(task_id), params={"offset": "1-1"}) as answer:
        assert await answer.read() == b"ne\n"
    writer.finish("LOST")
    async with client.get(log(task_id), params={"offset": offset}) as answer:
        assert "Stream-Closed" not in answer.headers


async def test_what_was_trimmed_is_gone_and_the_first_offset_is_told(
    client: Client, store: Redis, task_id: str
) -> None:
    writer = Writer(store.url, task_id, cap_bytes=65536).begin()
    for number in range(200):
        writer.write(f"line {number}\n".encode() * 50)
    async with client.get(log(task_id), params={"offset": "1-0"}) as answer:
        assert answer.status == 410
        assert (await answer.json())["code"] == "position_trimmed"
        first = answer.headers["Stream-First-Offset"]
    async with client.get(log(task_id), params={"offset": first}) as answer:
        rest = await answer.read()
        assert writer.all.endswith(rest)
        assert len(rest) >= 60_000
    async with client.get(log(task_id), params={"offset": "-1"}) as answer:
        assert await answer.read() == rest
    async with client.get(log(task_id, ".txt")) as answer:
        text = await answer.text()
        assert text.startswith("[livetask: ")
        assert "trimmed]\n" in text.split("\n", 1)[0] + "\n"
    async with client.get(log(task_id), params={"line": 1, "count": 2}) as answer:
        found = await answer.json()
        assert found["first_line"] == found["first_kept_line"] > 1


async def test_a_gap_is_passed_over_and_said(client: Client, writer: Writer, task_id: str) -> None:
    writer.write(b"before\nit ").drop(Position(5, 100)).write(b"after\n").finish()
    async with client.get(log(task_id)) as answer:
        assert await answer.read() == b"before\nit "
        assert "Stream-Gap" not in answer.headers
        offset = answer.headers["Stream-Next-Offset"]
    async with client.get(log(task_id), params={"offset": offset}) as answer:
        assert await answer.read() == b"after\n"
        assert answer.headers["Stream-Gap"] == "2-10 5-100 dropped"
        assert answer.headers["Stream-Closed"] == "true"
    async with client.get(log(task_id, ".txt")) as answer:
        expected = "[livetask: 90 bytes are missing here, from line 2 to line 5: dropped]"
        assert (await answer.text()).splitlines() == ["before", "it ", expected, "after"]
    async with client.get(log(task_id), params={"line": 1, "count": 10}) as answer:
        found = await answer.json()
        assert found["lines"] == ["before", "it ", "", "", "after"]
        assert found["gaps"] == [{"from": "2-10", "to": "5-100", "reason": "dropped"}]


async def test_a_cursor_of_another_run_or_beyond_the_end_is_refused(
    client: Client, writer: Writer, task_id: str
) -> None:
    writer.write(b"text\n").finish()
    for offset in ("1.zzzzzzzzzzzz.1-0", "2.abcdefghijkl.1-0", "9-900", "2-3"):
        async with client.get(log(task_id), params={"offset": offset}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (409, "position_unknown"), offset


async def test_a_long_poll_waits_for_what_comes_and_is_told_when_nothing_will(
    client: Client, writer: Writer, task_id: str
) -> None:
    writer.write(b"one\n")
    polling = asyncio.create_task(_polled(client, task_id, "now"))
    await until("it waits", lambda: _followed(client))
    writer.write(b"two\n")
    status, body, offset = await asyncio.wait_for(polling, 90)
    assert (status, body) == (200, b"two\n")
    polling = asyncio.create_task(_polled(client, task_id, offset))
    await until("it waits", lambda: _followed(client))
    writer.finish()
    assert await asyncio.wait_for(polling, 90) == (204, b"", offset)
    assert await asyncio.wait_for(_polled(client, task_id, "1-0"), 90) == (200, b"one\ntwo\n", offset)


async def _polled(client: Client, task_id: str, offset: str) -> tuple[int, bytes, str]:
    async with client.get(log(task_id), params={"offset": offset, "live": "long-poll"}) as answer:
        assert int(answer.headers["Stream-Cursor"]) > 0
        assert answer.headers["Stream-Up-To-Date"] == "true"
        return answer.status, await answer.read(), answer.headers["Stream-Next-Offset"]


async def _followed(client: Client) -> bool:
    async with client.get("/metrics") as answer:
        return 'livetask_subscriptions{by="http"} 1.0' in await answer.text()


async def test_by_lines_is_cached_once_it_cannot_change(client: Client, writer: Writer, task_id: str) -> None:
    writer.write(b"a\nb\nopen")
    async with client.get(log(task_id), params={"line": 2, "count": 5}) as answer:
        found = await answer.json()
        assert found == {
            "first_line": 2,
            "lines": ["b", "open"],
            "sgr": "",
            "first_kept_line": 1,
            "end": "1.abcdefghijkl.3-8",
            "complete": False,
            "ended": False,
            "gaps": [],
        }
        assert "no-cache" in answer.headers["Cache-Control"]
        etag = answer.headers["ETag"]
    async with client.get(log(task_id), params={"line": 2, "count": 5}, headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    writer.finish()
    async with client.get(log(task_id), params={"line": 2, "count": 5}, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 200
        assert "max-age=600" in answer.headers["Cache-Control"]
        assert (await answer.json())["complete"] is True
    async with client.get(log(task_id, run="last"), params={"line": 2}) as answer:
        assert "no-cache" in answer.headers["Cache-Control"]
    async with client.get(log(task_id), params={"tail": 2}) as answer:
        assert (await answer.json())["lines"] == ["b", "open"]


# ---- files


async def test_a_log_that_grows_is_downloaded_as_far_as_it_is(client: Client, writer: Writer, task_id: str) -> None:
    for number in range(300):
        writer.write(f"{number:06} ".encode() * 1000 + b"\n")
    async with client.get(log(task_id, ".txt?download=1")) as answer:
        assert await answer.read() == writer.all
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{task_id}-run1.log"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    async with client.get(log(task_id, ".gz")) as answer:
        assert gzip.decompress(await answer.read()) == writer.all
    async with client.head(log(task_id, ".txt")) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.alone
async def test_a_large_download_does_not_hold_up_the_loop(client: Client, writer: Writer, task_id: str) -> None:
    for number in range(400):
        writer.write(f"{number * 7919 % 1000:04}\n".encode() * 3000)
    with slow_callbacks(0.1) as slow:
        async with client.get(log(task_id, ".gz")) as answer:
            unpacked = zlib.decompressobj(31)
            size = 0
            async for chunk in answer.content.iter_any():
                size += len(unpacked.decompress(chunk))
    assert size == len(writer.all)
    assert slow == []


async def test_colours_are_taken_out_on_demand(client: Client, writer: Writer, task_id: str) -> None:
    writer.write(b"\x1b[31mre").write(b"d\x1b[").write(b"0m plain\n").finish()
    async with client.get(log(task_id, ".txt?colour=0")) as answer:
        assert await answer.read() == b"red plain\n"
    async with client.get(log(task_id, ".txt")) as answer:
        assert await answer.read() == writer.all


async def test_a_followed_file_ends_when_the_run_does(client: Client, writer: Writer, task_id: str) -> None:
    writer.write(b"first\n")
    async with client.get(log(task_id, ".txt?follow=1")) as answer:
        assert await answer.content.readline() == b"first\n"
        writer.write(b"second\n")
        assert await asyncio.wait_for(answer.content.readline(), 90) == b"second\n"
        writer.write(b"third").finish("FAILURE")
        assert await asyncio.wait_for(answer.content.read(), 90) == b"third"


async def test_a_followed_task_goes_on_to_its_next_run(client: Client, store: Redis, task_id: str) -> None:
    first = Writer(store.url, task_id).begin().write(b"try 1\n")
    async with client.get(log(task_id, ".txt?follow=1", "last")) as answer:
        assert await asyncio.wait_for(answer.content.readline(), 90) == b"try 1\n"
        first.finish("RETRY")
        second = Writer(store.url, task_id, "mnopqrstuvwx").begin(why="retry").write(b"try 2\n")
        second.finish()
        rest = (await asyncio.wait_for(answer.content.read(), 90)).decode().splitlines()
        assert rest == ["[livetask: run 2]", "try 2"]


async def test_a_task_that_has_not_begun_can_be_followed(client: Client, store: Redis, task_id: str) -> None:
    from livetask.server.store import Store

    async with Store(store.url) as notes:
        await notes.note(task_id, "queued", {"name": "late"})
    async with client.get(log(task_id, "?live=sse", "1")) as answer:
        assert answer.status == 404
    async with client.get(log(task_id, ".txt?follow=1", "last")) as answer:
        assert answer.status == 200
        Writer(store.url, task_id).begin().write(b"at last\n").finish()
        assert await asyncio.wait_for(answer.content.read(), 90) == b"at last\n"
