"""Rooms: their members are told the events of the tasks that were sent to them, on every server process."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.server import small_app
from tests.server.serving import served
from tests.stirfried.conftest import Client, Place


def told_in(client: Client, room: str) -> list[dict[str, Any]]:
    return [data for _, data in client.told if data.get("room") == room]


async def until_told(client: Client, room: str, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(90):
        while len(told_in(client, room)) < count:  # noqa: ASYNC110 - told by another task
            await asyncio.sleep(0.01)
    return told_in(client, room)


async def test_members_on_every_process_are_told_and_one_that_comes_back_misses_nothing(place: Place) -> None:
    async with place.server() as one, place.server() as two:
        async with Client(one.url) as sender, Client(one.url) as near, Client(two.url) as far:
            for member in (near, far):
                assert (await member.ask("join", {"room": "kitchen"}))["ok"]
            first = await sender.send("count", 2, room="kitchen")
            await sender.until(first)
            for member in (near, far):
                told = await until_told(member, "kitchen", 4)
                assert member.names(first) == ["on_progress", "on_progress", "on_success", "on_return"]
            cursor = told[1]["room_cursor"]
            assert (await near.ask("leave", {"room": "kitchen"}))["ok"]
            second = await sender.send("add", 1, 1, room="kitchen")
            await sender.until(second)
            await far.until(second)
            assert near.of(second) == []
        async with Client(one.url) as back:
            answer = await back.ask("join", {"room": "kitchen", "from": cursor})
            assert (answer["ok"], answer["complete"]) == (True, True)
            again = await until_told(back, "kitchen", 4)
            assert [(data["task_id"], data["cursor"]) for data in again] == [
                (data["task_id"], data["cursor"]) for _, data in far.told[2:]
            ]
            assert len({data["room_cursor"] for data in again}) == 4


async def test_a_task_can_be_sent_to_the_room_of_another_connection(place: Place) -> None:
    async with place.server() as one, place.server() as two, Client(one.url) as sender, Client(two.url) as other:
        task_id = await sender.send("add", 1, 2, room=other.io.get_sid())
        told = await other.until(task_id)
        assert [name for name, _ in told] == ["on_success", "on_return"]


async def test_a_cursor_that_the_room_no_longer_keeps_is_said_to_be_incomplete(place: Place) -> None:
    async with place.server() as server, Client(server.url) as client:
        answer = await client.ask("join", {"room": "empty", "from": "1-1"})
        assert (answer["ok"], answer["complete"]) == (True, False)
        for room, whence in [("", "now"), (5, "now"), ("a\nb", "now"), ("x", "1.a.2"), ("x", 7)]:
            answer = await client.ask("join", {"room": room, "from": whence})
            assert (answer["ok"], answer["code"]) == (False, "argument_invalid")


async def test_without_custom_rooms_no_room_is_joined_and_none_is_named(place: Place) -> None:
    app = small_app.make(place.url)
    app.conf.task_default_queue = "stirfried"
    async with served(place.url, app, available_tasks=["*"]) as client:
        url = str(client.make_url("/"))
        async with Client(url) as sender, Client(url) as other:
            assert (await other.ask("join", {"room": "kitchen"}))["code"] == "bad_request"
            answer = await sender.ask("send_task", {"task_name": "add", "args": [1, 1], "room": other.io.get_sid()})
            await sender.until(answer["data"])
            assert other.told == []
