"""The door: it lets in at once whom the ordinary way would let in, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from livetask.server.app import LIVE, make_app
from livetask.server.asker import asked_from
from livetask.server.door import LET_IN
from livetask.server.listening import Place
from livetask.settings import Settings
from tests.server.serving import redis_of_the_module
from tests.system.rig import Redis

store = redis_of_the_module

Eventually = Callable[..., Awaitable[Any]]

QUERY = "EIO=4&transport=websocket"
KEY = "Sec-WebSocket-Key: bGl2ZXRhc2stYmVuY2gtMQ=="
HEADERS = ("Host: localhost", "Upgrade: websocket", "Connection: Upgrade", KEY, "Sec-WebSocket-Version: 13")
ORDINARY = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
HI = b"\x82\x80\0\0\0\0\x81\x82\0\0\0\x0040"  # an empty message, and the wish to be a viewer


def head(*more: str, query: str = QUERY, method: str = "GET", path: str = "/socket.io/", without: str = "") -> bytes:
    """A request for a WebSocket with more headers, or without one."""
    kept = [header for header in HEADERS if not (without and header.startswith(without))]
    return "\r\n".join([f"{method} {path}?{query} HTTP/1.1", *kept, *more, "", ""]).encode()


LET = {
    "as programs ask": head(),
    "as browsers do": head("Origin: http://localhost", "Sec-Fetch-Site: same-origin", "Cookie: a=b"),
    "a listed page": head("Origin: https://listed.example", "Sec-Fetch-Site: cross-site"),
    "with a time": head(query=f"{QUERY}&t=abc"),
    "under the path": head(path="/p/socket.io/"),
}
NOT_LET = {
    "a page of another origin": head("Origin: https://evil.example"),
    "a page that says where it comes from": head("Sec-Fetch-Site: cross-site"),
    "another name": head("Host: evil.example", without="Host"),
    "two names": head("Host: localhost"),
    "no name": head(without="Host"),
    "another version of Engine.IO": head(query="EIO=3&transport=websocket"),
    "a connection that is not there": head(query=f"{QUERY}&sid=nobody"),
    "an answer as a script": head(query=f"{QUERY}&j=0"),
    "the same in other letters": head(query=f"{QUERY}&%6a=0"),
    "polling": head(query="EIO=4&transport=polling"),
    "twice": head(query=f"EIO=3&{QUERY}"),
    "no key": head(without="Sec-WebSocket-Key"),
    "a bad key": head("Sec-WebSocket-Key: short", without="Sec-WebSocket-Key"),
    "another version of WebSockets": head("Sec-WebSocket-Version: 8", without="Sec-WebSocket-Version"),
    "no upgrade": head(without="Upgrade"),
    "a connection that goes on": head("Connection: keep-alive", without="Connection"),
    "POST": head("Content-Length: 0", method="POST"),
    "a method that does not exist": head(method="NONSENSE"),
    "a header that is too long": head("X-Long: " + "x" * 9000),
    "a header that is none": head("no header"),
    "another path": head(path="/p/p/socket.io/"),
    "a path that leads there": head(path="/socket.io/../socket.io/"),
}


@asynccontextmanager
async def a_server(store: Redis, **given: object) -> AsyncIterator[tuple[int, web.AppRunner, list[bool]]]:
    """Its port, what runs it, and what the door said to each whom it looked at."""
    flags = {"redis_url": store.url, "cors_allowed_origins": "https://listed.example", "trusted_proxies": "127.0.0.1"}
    app = make_app(Settings.load(flags=flags), None)
    said: list[bool] = []
    let_in = app[LET_IN]

    def look(request: web.Request) -> bool:
        said.append(let_in(request))
        return said[-1]

    app[LET_IN] = look
    runner = await Place("127.0.0.1", 0, base="/p", **given).open(app)  # type: ignore[arg-type]
    try:
        yield runner.addresses[0][1], runner, said
    finally:
        await runner.cleanup()


async def answered(port: int, request: bytes, before: bytes = b"") -> list[str]:
    """What a request is answered, alone or after another on its connection; what differs each time is left out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(90):
            if before:
                writer.write(before)
                passed = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", passed)
                await reader.readexactly(int(length[1]) if length else 0)
            writer.write(request)
            found = (await reader.readuntil(b"\r\n\r\n")).decode()
            if " 101 " in found:
                return [found, _unnamed((await reader.readuntil(b"}")).decode("latin-1"))]
            length = re.search(r"Content-Length: (\d+)", found)
            body = (await reader.readexactly(int(length[1]) if length else 0)).decode()
            return [re.sub("Date: .*", "", found), _unnamed(body)]
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _unnamed(said: str) -> str:
    return re.sub('"sid":"[^"]+"', "", said)


async def test_the_door_lets_in_whom_the_ordinary_way_lets_in_and_nobody_else(store: Redis) -> None:
    async with a_server(store) as (port, _, said):
        for name, request in {**LET, **NOT_LET}.items():
            said.clear()
            first = await answered(port, request)
            assert (True in said) == (name in LET), name
            assert (" 101 " in first[0]) == (name in LET), (name, first)
            said.clear()
            assert await answered(port, request, before=ORDINARY) == first, name
            assert not said, name


async def test_a_request_in_two_pieces_and_words_that_come_with_it_are_taken(
    store: Redis, eventually: Eventually
) -> None:
    async with a_server(store) as (port, runner, said):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head() + HI)
        async with asyncio.timeout(90):
            assert await reader.readuntil(b'40{"sid"')
        assert said == [True]
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head()[:40])
        await eventually(lambda: runner.server.connections)  # handed on
        async with asyncio.timeout(90):
            writer.write(head()[40:] + HI)
            assert await reader.readuntil(b'40{"sid"')
        assert said == [True]
        writer.close()


async def test_what_is_done_for_a_viewer_is_done_for_the_address_that_a_trusted_proxy_names(
    store: Redis, eventually: Eventually
) -> None:
    async with a_server(store) as (port, runner, _):
        known: list[str] = []

        async def whence(sid: str) -> None:
            known.append(asked_from())

        runner.app[LIVE].sockets._server.on("whence", whence)
        for before in (b"", ORDINARY):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(before)
            if before:
                await asyncio.wait_for(reader.readuntil(b"}"), 90)
            writer.write(head("X-Forwarded-For: 192.0.2.7") + HI + b'\x81\x8c\0\0\0\x0042["whence"]')
            await eventually(lambda: known)
            assert known.pop() == "192.0.2.7"
            writer.close()


async def test_a_connection_that_says_nothing_is_ended_in_time_and_when_the_server_stops(store: Redis) -> None:
    async with a_server(store, idle_s=0.2) as (port, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 90) == b""
        writer.close()
    async with a_server(store) as (port, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await answered(port, ORDINARY)  # by now the other is accepted too
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 90) == b""
    writer.close()
