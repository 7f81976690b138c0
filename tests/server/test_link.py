"""WebSockets on bare connections: the protocol's duties, what is refused, and what is relied on of other libraries."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import engineio
import pytest
import socketio
from aiohttp import web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketReader
from aiohttp.web_protocol import RequestHandler
from engineio.async_socket import AsyncSocket

from livetask.server.app import LIVE
from tests.server.serving import Client, served, until

TEXT, CLOSE, PING = 1, 8, 9


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A server whose Redis is away: connections need none."""
    async with served("redis://127.0.0.1:1/0", inbound_bytes=2000) as running:
        yield running


def _frame(kind: int, data: bytes, *, final: bool = True) -> bytes:
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + len(data).to_bytes(2, "big")
    return bytes([(0x80 if final else 0) | kind]) + size + mask + masked


class _Raw:
    """A client that says exactly what a test wants said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> tuple[int, bytes]:
        """The next frame."""
        async with asyncio.timeout(90):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            return first & 15, await self.reader.readexactly(size)


def _request(**headers: str) -> bytes:
    given = {
        "Host": "localhost",
        "Connection": "keep-alive, Upgrade",
        "Upgrade": "WebSocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{name}: {value}" for name, value in given.items() if value]
    return "\r\n".join(["GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", *lines, "", ""]).encode()


@asynccontextmanager
async def _raw(client: Client, request: bytes) -> AsyncIterator[_Raw]:
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    try:
        writer.write(request)
        yield _Raw(reader, writer)
    finally:
        writer.transport.abort()


async def _opened(raw: _Raw) -> dict[str, object]:
    async with asyncio.timeout(90):
        head = await raw.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: BACScCJPNqyz+UBoqMH89VmURoA=\r\n" in head  # of the key above, by RFC 6455, 4.2.2
    kind, data = await raw.read()
    assert (kind, data[:1]) == (TEXT, b"0")
    opening: dict[str, object] = json.loads(data[1:])
    return opening


async def test_what_a_client_says_together_with_its_request_is_heard(client: Client) -> None:
    async with _raw(client, _request() + _frame(TEXT, b"40")) as raw:
        opening = await _opened(raw)
        assert (opening["pingInterval"], opening["maxPayload"], opening["upgrades"]) == (25000, 2000, [])
        kind, data = await raw.read()
        assert (kind, data[:3]) == (TEXT, b"40{")
    assert client.server.app is not None
    sockets = client.server.app[LIVE].sockets
    await until("it is forgotten", lambda: _is(sockets.viewers == 0 and not sockets._server.eio.sockets))


async def test_what_is_asked_behind_the_wish_to_be_let_in_is_answered_after_it(client: Client) -> None:
    asked = b'420["unsubscribe",{"task_id":"a"}]'
    async with _raw(client, _request() + _frame(TEXT, b"40") + _frame(TEXT, asked)) as raw:
        await _opened(raw)
        assert (await raw.read())[1].startswith(b"40{")
        assert await raw.read() == (TEXT, b'430[{"ok":true}]')


async def test_who_is_not_let_in_is_answered_nothing(client: Client) -> None:
    assert client.server.app is not None
    client.server.app[LIVE].sockets._max_viewers = 0
    knock, asked = _frame(TEXT, b"40"), _frame(TEXT, b'420["unsubscribe",{"task_id":"a"}]')
    async with _raw(client, _request() + knock + asked + knock) as raw:
        await _opened(raw)
        assert [(await raw.read())[1][:3] for _ in range(2)] == [b"44{", b"44{"]


async def _is(found: bool) -> bool:
    return found


async def test_a_message_in_parts_with_a_ping_between_them_is_one_message_and_the_ping_is_answered(
    client: Client,
) -> None:
    async with _raw(client, _request()) as raw:
        await _opened(raw)
        for part in (_frame(TEXT, b"4", final=False), _frame(PING, b"there?"), _frame(0, b"0")):
            for byte in part:  # a byte at a time
                raw.writer.write(bytes([byte]))
                await raw.writer.drain()
        assert await raw.read() == (0xA, b"there?")
        assert (await raw.read())[1].startswith(b"40{")


async def test_a_close_is_answered_and_the_connection_ended(client: Client) -> None:
    async with _raw(client, _request()) as raw:
        await _opened(raw)
        raw.writer.write(_frame(CLOSE, (1001).to_bytes(2, "big")))
        assert (await raw.read())[0] == CLOSE
        async with asyncio.timeout(90):
            assert await raw.reader.read() == b""


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"\xff\x80\0\0\0\0", 1002),
        (_frame(0, b"no beginning"), 1002),
        (_frame(TEXT, b"\xff\xfe"), 1007),
        (b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"\0\0\0\0", 1009),
    ],
    ids=["reserved bits", "a part of nothing", "no UTF-8", "a terabyte"],
)
async def test_what_no_websocket_may_say_ends_the_connection_with_its_code(
    client: Client, said: bytes, code: int
) -> None:
    async with _raw(client, _request()) as raw:
        await _opened(raw)
        raw.writer.write(said)
        kind, data = await raw.read()
        assert (kind, int.from_bytes(data[:2], "big")) == (CLOSE, code)
        async with asyncio.timeout(90):
            assert await raw.reader.read() == b""


@pytest.mark.parametrize(
    "header",
    [
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": "c2hvcnQ="},
        {"Sec-WebSocket-Key": "!" * 24},
        {"Sec-WebSocket-Version": "12"},
        {"Connection": "keep-alive"},
        {"Upgrade": "h2c"},
        {"Upgrade": ""},
    ],
    ids=str,
)
async def test_what_is_no_request_for_a_websocket_is_refused(client: Client, header: dict[str, str]) -> None:
    async with _raw(client, _request(**header)) as raw, asyncio.timeout(90):
        assert (await raw.reader.readline()).startswith(b"HTTP/1.1 400 ")
    assert client.server.app is not None
    assert not client.server.app[LIVE].sockets._server.eio.sockets


async def test_who_asks_and_takes_no_answers_is_not_heard_any_more_until_it_does(client: Client) -> None:
    ask = _frame(TEXT, b'421["unsubscribe",{"task_id":"x"}]') * 1000
    async with _raw(client, _request() + _frame(TEXT, b"40")) as raw:
        await _opened(raw)
        assert client.server.app is not None
        engine = client.server.app[LIVE].sockets._server.eio
        (connection,) = engine.sockets.values()
        raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        try:
            while sent < 2000:
                async with asyncio.timeout(1):
                    raw.writer.write(ask)
                    await raw.writer.drain()
                sent += 1
        except TimeoutError:
            pass  # the server has stopped to read
        assert sent < 2000
        assert connection.link.unsent() < 4 * 1024 * 1024
        raw.reader._transport.resume_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(90):
            while (await raw.read())[1][:2] != b"43":
                pass


@pytest.mark.parametrize("probe", ["2prob", "40", "5"])
async def test_a_websocket_that_is_not_tried_as_it_should_be_is_closed_and_the_client_goes_on_polling(
    client: Client, probe: str
) -> None:
    url = client.make_url("/socket.io/?EIO=4&transport=polling")
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            sid = json.loads((await answer.text())[1:])["sid"]
        async with session.ws_connect(url.update_query(transport="websocket", sid=sid)) as socket:
            await socket.send_str(probe)
            assert (await socket.receive(timeout=90)).type is aiohttp.WSMsgType.CLOSE
        async with session.post(url.update_query(sid=sid), data="40") as answer:
            assert await answer.text() == "OK"
        async with session.get(url.update_query(sid=sid)) as answer:
            assert (await answer.text()).startswith("40{")


async def test_a_client_that_polls_changes_to_a_websocket_and_loses_no_word_and_no_order(client: Client) -> None:
    viewer = socketio.AsyncClient(reconnection=False)
    await viewer.connect(str(client.make_url("/")))
    assert viewer.transport() == "websocket"
    answers = [await viewer.call("unsubscribe", {"task_id": str(number)}) for number in range(20)]
    assert answers == [{"ok": True}] * 20
    await viewer.disconnect()


def test_what_is_relied_on_of_aiohttp_and_engineio_is_as_it_was() -> None:
    """When one of these fails after an upgrade, livetask/server/link.py, connection.py and engine.py need a look."""
    told = "the library has changed: see the docstring of this test"
    queue = WebSocketDataQueue(SimpleNamespace(_reading_paused=False), 1, loop=object())  # type: ignore[arg-type]
    WebSocketReader(queue, 100, compress=False, decode_text=True).feed_data(_frame(TEXT, b"x"))
    assert len(queue._buffer) == 1, told
    with pytest.raises(StopIteration) as found:
        queue.read().send(None)
    assert found.value.value[:2] == (aiohttp.WSMsgType.TEXT, "x"), told
    source = inspect.getsource(RequestHandler.connection_lost)
    assert "self.force_close()" in source, told
    assert "if self.transport is not None" in inspect.getsource(RequestHandler.force_close), told
    assert list(inspect.signature(RequestHandler.set_parser).parameters)[:2] == ["self", "parser"], told
    assert isinstance(web.Request.protocol, property), told
    connect = inspect.signature(engineio.AsyncServer._handle_connect)
    assert list(connect.parameters) == ["self", "environ", "transport", "jsonp_index"], told
    for name in ("_upgrades", "_ok", "_bad_request", "_unauthorized", "_make_response", "_generate_sid_cookie"):
        assert callable(getattr(engineio.AsyncServer, name)), told
    assert "'_upgrade_' + transport" in inspect.getsource(AsyncSocket.handle_get_request), told
    for name in ("send", "close", "schedule_ping", "check_ping_timeout", "receive"):
        assert inspect.isfunction(getattr(AsyncSocket, name)), told
    assert "_engineio_server_class" in vars(socketio.AsyncServer), told
