"""Requests that two readers would read differently: a proxy's user put there by somebody else, and a second request
hidden in the first."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from tests.attacks.conftest import TASK
from tests.server.serving import Client, served
from tests.system.rig import Redis

TRUSTED = {
    "auth": "required",
    "trusted_proxies": ("127.0.0.1",),
    "proxy_user_header": "X-Remote-User",
    "proxy_role_header": "X-Remote-Groups",
    "role_map": {"admins": "admin", "staff": "viewer"},
}


async def said(client: Client, request: bytes) -> tuple[int, bytes]:
    """Send bytes as they are; the status (0 for none) and all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request)
    try:
        async with asyncio.timeout(5):
            answer = await reader.read()
    except TimeoutError:
        answer = b""
    writer.close()
    return (int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0), answer


def get(*headers: bytes) -> bytes:
    lines = (b"GET /api/me HTTP/1.1", b"Host: localhost", b"Connection: close", *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        (b"X-Remote-User: anna", b"X-Remote-User: root"),
        (b"X-Remote-User: anna", b"x-remote-user: root"),
        (b"X-Remote-User: anna", b"X-Remote-User : root"),
        (b"X_Remote_User: root",),
        (b"X-Remote-User\t: root",),
        (b" X-Remote-User: root",),
        (b"X-Remote-User: anna\r\n root",),
        (b"X-Remote-User: anna\0root",),
        (b"X-Remote-User: anna\x0broot",),
        (b"X-Remote-User:",),
        (b"X-Remote-User: " + b"a" * 500,),
        (b"X-Remote-User: anna", b"X-Remote-Groups: staff", b"X-Remote-Groups: admins"),
        (b"X-Remote-Groups: admins",),
        (b"X-Forwarded-User: root",),
        (b"Remote-User: root",),
        (b"Cookie: X-Remote-User=root",),
    ],
    ids=repr,
)
async def test_a_user_that_is_not_the_one_named_by_the_proxy_is_nobody(
    store: Redis, headers: tuple[bytes, ...]
) -> None:
    async with served(store.url, **TRUSTED) as client:
        status, answer = await said(client, get(*headers))
        assert status in (400, 401, 403), answer


async def test_the_user_that_the_proxy_names_comes_in_and_no_other_address_names_one(store: Redis) -> None:
    named = get(b"X-Remote-User: anna", b"X-Remote-Groups: staff")
    async with served(store.url, **TRUSTED) as client:
        status, answer = await said(client, named)
        assert status == 200
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["role"] == "viewer"
    async with served(store.url, **{**TRUSTED, "trusted_proxies": ("192.0.2.1",)}) as client:
        for more in ((), (b"X-Forwarded-For: 192.0.2.1",), (b"Forwarded: for=192.0.2.1",), (b"X-Real-IP: 192.0.2.1",)):
            status, _ = await said(client, get(b"X-Remote-User: anna", b"X-Remote-Groups: admins", *more))
            assert status == 401


@pytest.mark.parametrize(
    "request_",
    [get(), b"GET /static/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"nonsense\r\n\r\n"],
)
async def test_no_answer_tells_what_the_server_is_made_of(client: Client, request_: bytes) -> None:
    status, answer = await said(client, request_)
    assert status in (200, 400, 404)
    assert b"\r\nServer: livetask\r\n" in answer
    assert not re.search(rb"(?i)aiohttp|python", answer)


HIDDEN = f"DELETE /task/{TASK} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 0\r\nContent-Length: 5",
        b"Content-Length: +5",
        b"Content-Length: 5, 0",
        b"Content-Length: 0x5",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ],
    ids=repr,
)
async def test_no_second_request_hides_in_the_first(client: Client, framing: bytes) -> None:
    request = b"POST /task HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n0\r\n\r\n" + HIDDEN
    _, answer = await said(client, request)
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert b" 20" not in answer[:20]
    async with client.get(f"/api/tasks/{TASK}") as found:
        assert (await found.json())["state"] == "RUNNING"
