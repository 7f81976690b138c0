"""Events of tasks: Stirfried's, with its fields, to whoever sent the task; and what Stirfried loses, kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import ServerProcess
from tests.stirfried.conftest import Client, Place


@pytest.fixture
async def server(place: Place) -> AsyncIterator[ServerProcess]:
    async with place.server() as found:
        yield found


def without_cursors(told: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, {key: held for key, held in data.items() if key != "cursor"}) for name, data in told]


async def test_who_sends_a_task_is_told_its_events_with_stirfrieds_fields(server: ServerProcess) -> None:
    async with Client(server.url) as client, Client(server.url) as other:
        task_id = await client.send("count", 2)
        known = {"task_id": task_id, "task_name": "count"}
        told = await client.until(task_id)
        assert without_cursors(told) == [
            ("on_progress", {"current": 1, "total": 2, "info": {"at": 1}, **known}),
            ("on_progress", {"current": 2, "total": 2, "info": {"at": 2}, **known}),
            ("on_success", {"retval": 2, **known}),
            ("on_return", {"status": "SUCCESS", "retval": 2, **known}),
        ]
        assert [data["cursor"].rsplit(".", 1)[1] for _, data in told] == ["1", "2", "3", "4"]
        assert {name for name, _ in client.told} == {"on_progress", "on_success", "on_return"}
        assert other.told == []


async def test_a_failure_and_a_retry_are_told_without_the_error_unless_that_is_wanted(server: ServerProcess) -> None:
    async with Client(server.url) as client:
        failed, again = await client.send("fails", "secret"), await client.send("again")
        known = {"task_id": failed, "task_name": "fails"}
        assert without_cursors(await client.until(failed)) == [
            ("on_failure", known),
            ("on_return", {"status": "FAILURE", "retval": None, **known}),
        ]
        await client.until(again)
        assert client.names(again) == ["on_retry", "on_success", "on_return"]
        info = await client.ask("task_info", failed)
        assert info == {"id": failed, "state": "FAILURE", "result": None}


async def test_a_task_whose_process_is_killed_has_failed_and_returned(server: ServerProcess) -> None:
    async with Client(server.url) as client:
        task_id = await client.send("killed")
        told = await client.until(task_id)
        assert client.names(task_id) == ["on_progress", "on_failure", "on_return"]
        assert told[-1][1]["status"] == "FAILURE"


async def test_who_comes_back_to_another_server_process_is_told_what_it_missed_once_and_in_order(
    place: Place, server: ServerProcess, tmp_path: Path
) -> None:
    async with Client(server.url) as client:
        task_id = await client.send("gate", str(tmp_path / "go"))
        first = await client.until(task_id, "on_progress")
        cursor = first[-1][1]["cursor"]
    (tmp_path / "go").touch()
    async with place.server() as second, Client(second.url) as back:
        answer = await back.ask("subscribe", {"task_id": task_id, "mode": "events", "events_from": cursor})
        assert answer["ok"], answer
        told = await back.until(task_id)
        assert back.names(task_id) == ["on_progress", "on_progress", "on_success", "on_return"]
        assert [data["current"] for name, data in told if name == "on_progress"] == [2, 3]
        assert told[1][1]["info"] == b"\x00\xff"
        async with Client(server.url) as late:
            await late.ask("subscribe", {"task_id": task_id, "mode": "events"})
            await late.until(task_id)
            assert late.of(task_id) == first + told


async def test_any_drops_at_any_moments_give_each_event_once_in_order(place: Place, server: ServerProcess) -> None:
    dice = random.Random(7)
    async with place.server() as second:
        async with Client(server.url) as client:
            task_id = await client.send("interleave", 300)
        told: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        in_vain = 1
        while not told or told[-1].get("status") is None:
            async with Client(dice.choice([server.url, second.url])) as back:
                answer = await back.ask("subscribe", {"task_id": task_id, "mode": "events", "wait": True, **more})
                assert answer["ok"], answer
                await asyncio.sleep(dice.random() * 0.05 * in_vain)
                news = [data for _, data in back.of(task_id)]
                told, in_vain = told + news, 1 if news else in_vain + 1
            more = {"events_from": told[-1]["cursor"]} if told else {}
        assert [int(data["cursor"].rsplit(".", 1)[1]) for data in told] == list(range(1, 303))


async def test_events_stand_in_the_output_where_the_task_emitted_them(place: Place, server: ServerProcess) -> None:
    async with Client(server.url) as sender:
        task_id = await sender.send("interleave", 200)
        async with Client(server.url) as live:
            await live.ask("subscribe", {"task_id": task_id, "wait": True, "events": True})
            await live.until(task_id, "on_return")
            await until_ended(live)
        async with Client(server.url) as late:
            await late.ask("subscribe", {"task_id": task_id, "events": True})
            await until_ended(late)
    for client in (live, late):
        text, seen = "", 0
        for name, data in client.told:
            if name == "output":
                text += data["text"]
            elif name == "on_progress":
                assert text == "".join(f"{number};" for number in range(data["current"] + 1))
                seen += 1
        assert seen == 200
        assert [name for name, _ in client.told][-3:] == ["on_success", "on_return", "end"]


async def until_ended(client: Client) -> None:
    async with asyncio.timeout(90):
        while not any(name == "end" for name, _ in client.told):  # noqa: ASYNC110 - told by another task
            await asyncio.sleep(0.01)


async def test_a_sender_that_follows_the_output_too_goes_on_with_its_events(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with Client(server.url) as client:
        task_id = await client.send("gate", str(tmp_path / "go"))
        await client.until(task_id, "on_progress")
        assert (await client.ask("subscribe", {"task_id": task_id}))["ok"]
        (tmp_path / "go").touch()
        await until_ended(client)
        assert client.names(task_id) == ["on_progress"] * 3 + ["on_success", "on_return"]


async def test_progress_without_end_is_thinned_and_the_last_one_always_told(server: ServerProcess) -> None:
    async with Client(server.url) as client:
        task_id = await client.send("flood", 20_000)
        told = await client.until(task_id)
        progress = [data["current"] for name, data in told if name == "on_progress"]
        assert 500 <= len(progress) < 1000
        assert progress == sorted(set(progress))
        assert progress[-1] == 19_999
        assert client.names(task_id)[-2:] == ["on_success", "on_return"]


async def test_a_result_that_is_too_large_is_left_out_and_that_is_said(server: ServerProcess) -> None:
    async with Client(server.url) as client:
        task_id = await client.send("large", 2 << 20)
        told = dict(await client.until(task_id))
        assert told["on_success"]["retval"] is None
        assert told["on_success"]["cut"] > 2 << 20


async def test_the_sender_hears_of_tasks_that_its_task_started_with_its_room(server: ServerProcess) -> None:
    async with Client(server.url) as client:
        task_id = await client.send("parent")
        child = dict(await client.until(task_id))["on_success"]["retval"]
        await client.until(child)
        assert client.names(child) == ["on_success", "on_return"]
        room = await client.send("which_room")
        assert dict(await client.until(room))["on_success"]["retval"] == client.io.get_sid()


async def test_the_sentinel_room_and_tasks_sent_by_http_emit_nothing(place: Place, server: ServerProcess) -> None:
    import aiohttp

    async with Client(server.url) as client, aiohttp.ClientSession() as http:
        silent = await client.send("count", 2, room="NO_EMIT")
        async with http.post(f"{server.url}task", json={"task_name": "count", "args": [2]}) as answer:
            by_http = (await answer.json())["data"]
        for task_id in (silent, by_http):
            await client.ask("subscribe", {"task_id": task_id, "events": True, "wait": True})
        async with asyncio.timeout(90):
            while sum(name == "end" for name, _ in client.told) < 2:  # noqa: ASYNC110 - told by another task
                await asyncio.sleep(0.01)
        assert client.of(silent) == client.of(by_http) == []


async def test_an_event_cursor_of_another_shape_is_refused(server: ServerProcess) -> None:
    async with Client(server.url) as client:
        for cursor in ("1.abc", 5, "1.abcdefghijkl.1-0", ""):
            answer = await client.ask("subscribe", {"task_id": "x", "mode": "events", "events_from": cursor})
            assert (answer["ok"], answer["code"]) == (False, "event_cursor_invalid")
