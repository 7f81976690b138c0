"""Who sends slowly to hold what it is given: bodies a byte at a time, and connections that never become viewers."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from livetask.server.app import LIVE
from livetask.server.armour.patience import bodies_awaited
from livetask.server.edge import answer_errors, json_body
from livetask.server.listening import Place
from tests.server.serving import served
from tests.system.rig import Redis


async def _read(request: web.Request) -> web.Response:
    return web.json_response(await json_body(request, 1000))


@pytest.mark.parametrize("framing", ["Content-Length: 900", "Transfer-Encoding: chunked"])
async def test_a_body_that_comes_a_byte_at_a_time_is_given_up(framing: str) -> None:
    app = web.Application(middlewares=[answer_errors, bodies_awaited(0.5)], client_max_size=1000)
    app.router.add_post("/api/x", _read)
    runner = await Place("127.0.0.1", 0).open(app)
    reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    try:
        writer.write(f"POST /api/x HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        began, answer = time.monotonic(), b""
        while not answer:
            writer.write(b"1\r\n \r\n" if "chunked" in framing else b" ")
            try:
                async with asyncio.timeout(0.1):
                    answer = await reader.read(1000)
            except TimeoutError:
                assert time.monotonic() - began < 10
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"too_slow" in answer
    finally:
        writer.close()
        await runner.cleanup()


async def test_a_viewer_that_answers_no_ping_is_ended_and_one_that_does_stays(store: Redis) -> None:
    """A half-open connection: the other end is gone, and nothing says so."""
    quick = {"ping_interval": 1, "ping_timeout": 3}
    async with served(store.url, socketio=quick) as client, aiohttp.ClientSession() as session:
        url = client.make_url("/socket.io/?EIO=4&transport=websocket")
        sockets = client.server.app[LIVE].sockets  # type: ignore[attr-defined]
        async with session.ws_connect(url) as silent, session.ws_connect(url) as lively:
            for socket in (silent, lively):
                await socket.receive_str(timeout=90)
                await socket.send_str("40")
                await socket.receive_str(timeout=90)
            assert sockets.viewers == 2
            async with asyncio.timeout(90):
                while sockets.viewers == 2:
                    if (said := await lively.receive(timeout=90)).data == "2":
                        await lively.send_str("3")
                    assert said.type is aiohttp.WSMsgType.TEXT
            assert sockets.viewers == 1
            await lively.send_str('421["watch",{}]')
            while not (await lively.receive_str(timeout=90)).startswith("431"):
                pass
