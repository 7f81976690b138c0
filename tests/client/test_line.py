"""One connection to the server: how its loss is found."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from livetask.client.line import Line, LineLost


async def test_a_connection_that_is_cut_before_its_greeting_is_given_up_at_once() -> None:
    async def greet_and_go(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str('0{"sid":"a","upgrades":[],"pingInterval":20000,"pingTimeout":30000,"maxPayload":1000}')
        await socket.receive()  # the client asks to be let in
        assert request.transport is not None
        request.transport.abort()
        return socket

    app = web.Application()
    app.router.add_get("/socket.io/", greet_and_go)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(90):
            line = Line(session, url, headers={}, auth=None, transports=("websocket",))
            begun = time.monotonic()
            with pytest.raises(LineLost, match="lost while it was made"):
                await line.open()
            assert time.monotonic() - begun < 5  # its patience with a silent server is 10 s
    finally:
        await runner.cleanup()
