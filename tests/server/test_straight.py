"""Commands reach a real Redis over connections that redis-py opens and hiredis reads, and answers find who asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as TooLate

from livetask.server.connecting import _connected, reached
from livetask.server.straight import READ_BYTES, Lines


@pytest.fixture
async def lines(redis_url: str) -> AsyncIterator[Lines]:
    client = Redis.from_url(redis_url)
    lines = Lines(partial(_connected, client), 3, 5.0)
    yield lines
    await lines.close()
    await client.aclose()


async def test_what_is_used_of_redis_py_is_where_it_was(redis_url: str) -> None:
    """If this fails after an update: see which names of redis-py's connection ``straight`` uses, and mend them."""
    client = Redis.from_url(redis_url)
    connection = await _connected(client)
    assert isinstance(connection._writer.transport, asyncio.Transport)
    assert isinstance(connection._parser.parse_error("NOSCRIPT no such script"), NoScriptError)
    await connection.disconnect(nowait=True)
    await client.aclose()


async def test_each_of_many_askers_is_given_its_own_answers(lines: Lines) -> None:
    texts = [b"%d " % number * (1 + number * number * 80) for number in range(40)]
    assert len(texts[-1]) > READ_BYTES // 2

    async def ask(text: bytes) -> bool:
        return await lines.exchange([("ECHO", text), ("PING",), ("ECHO", text * 2)]) == [text, b"PONG", text * 2]

    assert all(await asyncio.gather(*map(ask, texts)))
    assert await lines.exchange([]) == []


async def test_errors_stand_where_the_answers_would_and_cost_no_connection(lines: Lines) -> None:
    (before,) = await lines.exchange([("CLIENT", "ID")])
    one, two, three = await lines.exchange([("EVALSHA", "0" * 40, 0), ("NO-SUCH",), ("CLIENT", "ID")])
    assert isinstance(one, NoScriptError)
    assert isinstance(two, ResponseError)
    assert three == before


async def test_a_connection_that_is_cut_is_told_to_who_waits_and_the_next_one_is_new(lines: Lines) -> None:
    waiting = asyncio.create_task(lines.exchange([("BLPOP", "nothing-comes-here", 0)]))
    name = await _blocked(lines)
    await lines.exchange([("CLIENT", "KILL", "ID", name)])
    with pytest.raises(Unreachable):
        await waiting
    assert await lines.exchange([("PING",)]) == [b"PONG"]


async def test_a_free_connection_that_was_cut_is_not_used_again(lines: Lines) -> None:
    first, second = await asyncio.gather(lines.exchange([("CLIENT", "ID")]), lines.exchange([("CLIENT", "ID")]))
    await lines.exchange([("CLIENT", "KILL", "ID", *first)])
    await lines.exchange([("CLIENT", "KILL", "SKIPME", "yes", "ID", *second)])
    async with asyncio.timeout(90):
        while True:
            try:
                assert await lines.exchange([("PING",)]) == [b"PONG"]
                break
            except Unreachable:  # the cut has not been heard of yet
                continue


async def test_an_answer_that_nobody_waits_for_any_more_reaches_nobody(lines: Lines) -> None:
    waiting = asyncio.create_task(lines.exchange([("BLPOP", "late", 0)]))
    await _blocked(lines)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await lines.exchange([("RPUSH", "late", "for nobody")])
    assert await lines.exchange([("PING",)] * 3) == [b"PONG"] * 3
    await lines.exchange([("DEL", "late")])


async def test_silence_is_an_error_and_all_connections_in_use_is_one(redis_url: str) -> None:
    client = Redis.from_url(redis_url)
    lines = Lines(partial(_connected, client), 1, 0.3)
    silent = asyncio.create_task(lines.exchange([("BLPOP", "nothing-comes-here", 0)]))
    await asyncio.sleep(0)
    with pytest.raises((Unreachable, TooLate)):
        await asyncio.gather(silent, lines.exchange([("PING",)]))
    with pytest.raises(TooLate):
        await silent
    assert await lines.exchange([("PING",)]) == [b"PONG"]
    await lines.close()
    await client.aclose()


async def test_a_server_that_does_not_exist_is_unreachable() -> None:
    nowhere = reached("redis://127.0.0.1:1/0", 1.0, 2)
    with pytest.raises(Unreachable):
        await nowhere.pipe([("PING",)])
    await nowhere.close()


async def _blocked(lines: Lines) -> str:
    """The ID of the connection that waits in BLPOP, once there is one."""
    async with asyncio.timeout(90):
        while True:
            (text,) = await lines.exchange([("CLIENT", "LIST")])
            for client in text.decode().splitlines():
                if "cmd=blpop" in client:
                    return str(client.split()[0].removeprefix("id="))
