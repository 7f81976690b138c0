"""Frames that lie in parts go to the kernel as they are; what it does not take waits, and nothing overtakes it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from livetask.position import START, Cursor
from livetask.server.connection import Connection
from livetask.server.events import Output
from livetask.server.frames import Told
from livetask.server.link import Link
from livetask.server.transport import TaskSink, Transport


class _Nobody:
    def received(self) -> None:
        """It says nothing."""

    def lost(self) -> None:
        """It is not missed."""


@asynccontextmanager
async def _connected() -> AsyncIterator[tuple[Link, asyncio.StreamReader]]:
    """A link, and who reads at its other end."""
    made: asyncio.Future[Link] = asyncio.get_running_loop().create_future()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            link = Link(cast("asyncio.Transport", transport), _Nobody(), 1000)
            link.transport.set_protocol(link)
            made.set_result(link)

    server = await asyncio.get_running_loop().create_server(Accepted, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    link = await made
    try:
        yield link, reader
    finally:
        link.abort()
        writer.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("most_bytes", [3, 5_000, 900_000])
async def test_parts_arrive_whole_and_in_order_however_much_of_them_the_kernel_takes(most_bytes: int) -> None:
    chance = random.Random(most_bytes)
    async with _connected() as (link, reader):
        said = bytearray()
        for number in range(12):
            parts = [chance.randbytes(chance.randint(0, most_bytes)) for _ in range(chance.choice((1, 5, 1200)))]
            parts = parts[: max(1, 4_000_000 // most_bytes)]
            link.write_parts(parts)
            link.write(b"<%d>" % number)
            said += b"".join(parts) + b"<%d>" % number
            if number % 3 == 2:
                assert await asyncio.wait_for(reader.readexactly(len(said)), 90) == said
                said.clear()


async def test_parts_to_a_connection_that_has_ended_go_nowhere() -> None:
    async with _connected() as (link, _):
        link.abort()
        link.write_parts([b"a", b"b"])
        await asyncio.sleep(0)
        assert link.is_closing
        link.write_parts([b"a", b"b"])


async def test_parts_are_not_written_past_what_encrypts_them() -> None:
    async with _connected() as (link, _):
        encrypting = _Encrypting(link.transport)
        encrypted = Link(cast("asyncio.Transport", encrypting), _Nobody(), 1000)
        encrypted.write_parts([b"open ", b"words"])
        assert encrypting.written == [b"open words"]


class _Encrypting:
    """A transport as TLS has it: its socket carries something else than what is written to it."""

    def __init__(self, below: asyncio.Transport) -> None:
        self._below = below
        self.written: list[bytes] = []

    def get_extra_info(self, name: str) -> Any:
        return object() if name == "sslcontext" else self._below.get_extra_info(name)

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int) -> None:
        """There are none."""


@pytest.mark.parametrize("binary", [False, True])
async def test_several_are_sent_in_one_what_one_is_sent_in_parts(binary: bool) -> None:
    data = (b"of one entry\n", "and of another: ä\n".encode())
    cursor = Cursor(1, "nonce0000001", START.after(b"".join(data)))
    sent = []
    for shared in (False, True):
        told = Told("a-task", Output(START, cursor, data))
        async with _connected() as (link, reader):
            connection = Connection(cast("Any", None), "sid", polls=False)
            connection.link = link
            sink = TaskSink(Transport(connection), binary)
            if shared and sink.way is not None:
                sink.way.write(told.frames(binary))
            else:
                sink.tell(told)
            sink.tell(told)  # also to one who is given it alone, a moment after the others
            link.transport.close()
            sent.append(await asyncio.wait_for(reader.read(), 90))
        if shared:
            assert told.frames(binary) is told.frames(binary)
            assert "parts" not in told.packet(binary).__dict__, "the same is kept twice"
    assert b"of one entry" in sent[0]
    assert sent[0] == sent[1]
