"""Who sends slowly to hold what it is given: bodies a byte at a time, and connections that never become viewers."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from livetask.server.armour.patience import bodies_awaited
from livetask.server.edge import answer_errors, json_body
from livetask.server.listening import Place


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
