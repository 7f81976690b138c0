"""Small messages that want to become large: deep and oversized JSON, msgpack, attachments, compressed frames."""

from __future__ import annotations

import json
import resource
import struct
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.server import small_app
from tests.server.serving import Client, served
from tests.system.rig import Redis

LIMIT = 32 * 1024


@pytest.fixture
async def packed(store: Redis) -> AsyncIterator[Client]:
    """The app that speaks msgpack too."""
    async with served(
        store.url, small_app.make(store.url), available_tasks=("add",), socketio={"serializer": "msgpack"}
    ) as client:
        yield client


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 30_000,
        b'{"a":' * 6_000,
        b'{"task_name": "add", "args": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"task_name": "add", "args": [1e999999]}',
        b'{"task_name": "add", "args": [NaN, Infinity]}',
        b'{"task_name": "add", "args": [' + b"9" * 20_000 + b"]}",
        b'{"task_name": "add", "kwargs": {"x": 1, "x": 2, "__proto__": {"y": 1}}}',
        b'{"task_name": "\\ud800", "args": []}',
        b"\xff\xfe\x00",
        b"",
        b"null",
        b"x" * (LIMIT + 1),
        b'"' + b"\\u0000" * 5_000 + b'"',
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_bodies_that_are_no_call_are_refused_and_nothing_breaks(client: Client, body: bytes) -> None:
    began = time.process_time()
    async with client.post("/task", data=body, headers={"Content-Type": "application/json"}) as answer:
        assert 400 <= answer.status < 500, await answer.text()
        assert len(await answer.text()) < 2000
    assert time.process_time() - began < 3
    async with client.get("/healthz") as answer:
        assert answer.status == 200


async def test_a_body_without_end_is_cut_at_the_limit(client: Client) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 200 * LIMIT:
            sent += 16_384
            yield b" " * 16_384

    before = peak_mb()
    try:
        async with client.post("/task", data=endless()) as answer:
            assert answer.status == 413
    except aiohttp.ClientError:
        pass  # it was cut off while it was still sending
    assert peak_mb() - before < 50


async def test_a_compressed_body_expands_no_further_than_the_limit(client: Client) -> None:
    import zlib

    bomb = zlib.compress(b" " * 50_000_000, 9)
    before = peak_mb()
    for coding in ("deflate", "gzip"):
        headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
        packer = zlib.compressobj(9, zlib.DEFLATED, 31) if coding == "gzip" else None
        data = packer.compress(b" " * 50_000_000) + packer.flush() if packer else bomb
        try:
            async with client.post("/task", data=data, headers=headers) as answer:
                assert answer.status in (400, 413)
        except aiohttp.ClientError:
            pass  # it was cut off while it was still sending
    assert peak_mb() - before < 60


def _msgpack_bombs() -> dict[str, bytes]:
    head = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data"
    return {
        "an array of four thousand million": head + b"\xdd\xff\xff\xff\xff",
        "a map of four thousand million": head + b"\xdf\xff\xff\xff\xff",
        "a text of four thousand million": head + b"\xdb\xff\xff\xff\xff",
        "deep": head + b"\x91" * 20_000 + b"\xc0",
        "an extension": head + b"\xc9" + struct.pack(">I", 10) + b"\x01" + b"x" * 10,
        "an own type": head + b"\xd4\x00\x00",
        "no packet": b"\x93\x01\x02\x03",
        "keys of every kind": b"\x82\x01\x02\xc3\xc0",
        "a type beyond all": b"\x82\xa4type\xce\x7f\xff\xff\xff\xa3nsp\xa1/",
        "nothing": b"\xc1",
        "a number of a billion digits": head + b"\xcf" + b"\xff" * 8,
        "text that is no text": head + b"\x91\xa4\xff\xfe\xfd\xfc",
    }


@pytest.mark.parametrize("kind", _msgpack_bombs())
async def test_msgpack_bombs_harm_neither_the_server_nor_other_viewers(packed: Client, kind: str) -> None:
    before = peak_mb()
    url = packed.make_url("/socket.io/?EIO=4&transport=websocket")
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as other:
        await other.receive_str(timeout=90)
        await other.send_str("40")
        await other.receive(timeout=90)
        async with session.ws_connect(url) as socket:
            await socket.receive_str(timeout=90)
            await socket.send_bytes(b"\x82\xa4type\x00\xa3nsp\xa1/")
            await socket.receive(timeout=90)
            for _ in range(3):
                if not socket.closed:
                    await socket.send_bytes(_msgpack_bombs()[kind])
        await other.send_str('421["watch",{}]')
        while not (said := await other.receive(timeout=90)).data.startswith("431"):
            assert said.type is aiohttp.WSMsgType.TEXT
        assert json.loads(said.data[3:])[0]["ok"]
    assert peak_mb() - before < 60


@pytest.mark.parametrize(
    "message",
    [
        '451-["send_task",{"_placeholder":true,"num":0}]',
        '4599999999999-["send_task",{"_placeholder":true,"num":0}]',
        "45" + "9" * 1000 + "-[]",
        '451-["watch",{"_placeholder":true,"num":99}]',
        "42" + "[" * 20_000,
        '42["watch",' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "]",
        "42" + "9" * 300 + '["watch",{}]',
        '42/other,["watch",{}]',
        "42[]",
        '42{"a":1}',
        '42[["watch"],{}]',
        "4" * 1000,
        "40/" + "x" * 5000,
        "6" * 500,
        "\x00",
        '43999["x"]',
    ],
    ids=lambda message: repr(message[:30]),
)
async def test_socketio_packets_that_make_no_sense_harm_no_other_viewer(client: Client, message: str) -> None:
    before = peak_mb()
    url = client.make_url("/socket.io/?EIO=4&transport=websocket")
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as other:
        await other.receive_str(timeout=90)
        await other.send_str("40")
        await other.receive_str(timeout=90)
        async with session.ws_connect(url) as socket:
            await socket.receive_str(timeout=90)
            await socket.send_str("40")
            await socket.receive_str(timeout=90)
            for _ in range(20):
                if not socket.closed:
                    await socket.send_str(message)
                    await socket.send_bytes(b"x" * 1000)
        await other.send_str('421["watch",{}]')
        while not (said := (await other.receive(timeout=90)).data).startswith("431"):
            pass
        assert json.loads(said[3:])[0]["ok"]
    assert peak_mb() - before < 60
