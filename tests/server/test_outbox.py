"""Polls and what they bring, when a browser repeats them: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest
from engineio import packet

from livetask.server.app import LIVE
from livetask.server.outbox import Outbox
from tests.server.living import until
from tests.server.serving import Client, served


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A server whose Redis is away: connections need none."""
    async with served("redis://127.0.0.1:1/0", inbound_bytes=4000) as running:
        yield running


class _Polling:
    """A client that polls, by hand."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._names = map(str, count())
        self._query: dict[str, str] = {"EIO": "4", "transport": "polling"}

    async def open(self) -> _Polling:
        opening = await self.get(None)
        self._query["sid"] = opening.split('"sid":"')[1].split('"')[0]
        assert await self.post("40") == "OK"
        assert (await self.get()).startswith("40{")
        return self

    def name(self) -> str:
        return next(self._names)

    async def get(self, name: str | None = "") -> str:
        return await self._asked("GET", name, None)

    async def post(self, body: str, name: str | None = "") -> str:
        return await self._asked("POST", name, body)

    async def _asked(self, method: str, name: str | None, body: str | None) -> str:
        name = self.name() if name == "" else name
        query = self._query if name is None else {**self._query, "t": name}
        async with self._client.request(method, "/socket.io/", params=query, data=body) as answer:
            assert answer.status == 200
            return await asyncio.wait_for(answer.text(), 90)


def _asks(number: int) -> str:
    return f'42{number}["unsubscribe",{{"task_id":"a"}}]'


async def test_a_poll_that_comes_again_is_given_what_it_was_given_before(client: Client) -> None:
    polling = await _Polling(client).open()
    await polling.post(_asks(1))
    name = polling.name()
    first = await polling.get(name)
    await polling.post(_asks(2))
    assert first == await polling.get(name) == '431[{"ok":true}]'
    assert await polling.get() == '432[{"ok":true}]'


async def test_a_poll_that_still_waits_when_another_comes_is_given_nothing(client: Client) -> None:
    polling = await _Polling(client).open()
    for name in (polling.name(), None):
        waiting = asyncio.ensure_future(polling.get(name))
        outbox = next(iter(client.server.app[LIVE].sockets._server.eio.sockets.values())).queue
        await until("it waits", lambda outbox=outbox: bool(outbox._stirred._waiters))
        again = asyncio.ensure_future(polling.get(name))
        assert await asyncio.wait_for(waiting, 90) == "6"
        await polling.post(_asks(7))
        assert await again == '437[{"ok":true}]'


async def test_what_comes_again_is_not_done_again(client: Client) -> None:
    polling = await _Polling(client).open()
    name = polling.name()
    for _ in range(3):
        assert await polling.post(_asks(5), name) == "OK"
    await polling.post(_asks(6))
    found = ""
    while "436" not in found:
        found += await polling.get() + "\x1e"
    assert found.count("435[") == 1


async def test_requests_without_a_name_are_all_taken(client: Client) -> None:
    polling = await _Polling(client).open()
    assert [await polling.post(_asks(number), None) for number in (1, 2)] == ["OK", "OK"]
    assert await polling.get(None) == '431[{"ok":true}]\x1e432[{"ok":true}]'


async def test_what_is_sent_in_two_parts_is_taken_whole(client: Client) -> None:
    polling = await _Polling(client).open()
    parts = asyncio.Queue[bytes]()
    body = _asks(3).encode()

    async def sent() -> AsyncIterator[bytes]:
        yield body[:9]
        yield await parts.get()

    query = {**polling._query, "t": polling.name()}
    headers = {"Content-Length": str(len(body))}
    posting = asyncio.ensure_future(client.post("/socket.io/", params=query, data=sent(), headers=headers).__aenter__())
    parts.put_nowait(body[9:])
    async with await asyncio.wait_for(posting, 90) as answer:
        assert await answer.text() == "OK"
    assert await polling.get() == '433[{"ok":true}]'


async def test_the_end_is_told_once_to_the_polls_that_come_after_the_last_packet() -> None:
    outbox = Outbox()
    outbox.put_nowait(packet.Packet(packet.CLOSE))
    outbox.put_nowait(None)
    assert [one.packet_type for one in await outbox.poll("1", 5)] == [packet.CLOSE]
    assert await outbox.poll("2", 5) == []
    with pytest.raises(TimeoutError):
        await outbox.poll("3", 0.01)
