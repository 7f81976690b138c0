"""Where the server listens: under the path of a proxy, with certificates, and how long it waits for the slow."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, expect

from livetask.client import Client
from livetask.server.app import make_app
from livetask.server.listening import AddressRefused, Place, tls_context
from livetask.setting_errors import SettingInvalid
from livetask.settings import Settings
from tests.browser.watching import Watched
from tests.server.serving import Writer, a_server, redis_of_the_module
from tests.system.rig import Redis

PREFIX = "/ops/livetask"


store = redis_of_the_module


@asynccontextmanager
async def a_proxy(target: str, *, strips: bool) -> AsyncIterator[str]:
    """A little reverse proxy that serves ``target`` under PREFIX and nothing else. ``strips``: takes the path off."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def sockets(request: web.Request, url: str) -> web.WebSocketResponse:
            ours = web.WebSocketResponse(max_msg_size=0)
            async with session.ws_connect(url, origin=request.headers.get("Origin"), headers=kept(request)) as theirs:
                await ours.prepare(request)

                async def pass_on(source: object, to: object) -> None:
                    async for message in source:  # type: ignore[attr-defined]
                        await to.send_str(message.data)  # type: ignore[attr-defined]
                    await to.close()  # type: ignore[attr-defined]

                await asyncio.gather(pass_on(ours, theirs), pass_on(theirs, ours))
            return ours

        def kept(request: web.Request) -> dict[str, str]:
            return {"Host": request.headers["Host"], "X-Forwarded-Proto": "http"}

        async def handle(request: web.Request) -> web.StreamResponse:
            path = request.path_qs.removeprefix(PREFIX) if strips else request.path_qs
            url = target.rstrip("/") + path
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await sockets(request, url)
            headers = {name: value for name, value in request.headers.items() if name not in ("Connection", "Upgrade")}
            body = await request.read()
            async with session.request(
                request.method, url, headers=headers, data=body or None, allow_redirects=False
            ) as found:
                hop = ("Transfer-Encoding", "Connection", "Content-Length")
                answer = {name: value for name, value in found.headers.items() if name not in hop}
                return web.Response(status=found.status, headers=answer, body=await found.read())

        app = web.Application()
        app.router.add_route("*", PREFIX + "/{rest:.*}", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{PREFIX}"
        finally:
            await runner.cleanup()


@pytest.mark.parametrize("strips", [True, False])
async def test_pages_and_their_live_connection_work_under_the_path_of_a_proxy(
    store: Redis, browser: Browser, strips: bool
) -> None:
    writer = Writer(store.url, f"prefixed-{strips}").begin(name=f"behind.{strips}").write(b"one\n")
    async with (
        a_server("--redis-url", store.url, "--path-prefix", PREFIX) as server,
        a_proxy(f"http://127.0.0.1:{server.port}", strips=strips) as url,
    ):
        assert server.url.endswith(f"{PREFIX}/")
        watched = await Watched.open(browser, url)
        await watched.go("/")
        await expect(watched.page.locator("#link")).to_have_text("live")
        await watched.page.locator(".card .name", has_text=f"behind.{strips}").click()
        await expect(watched.page).to_have_url(f"{url}/tasks/prefixed-{strips}")
        await expect(watched.page.locator("livetask-log .row .text", has_text="one")).to_be_visible()
        writer.write(b"two\n")
        await expect(watched.page.locator("livetask-log .row .text", has_text="two")).to_be_visible()
        await watched.page.locator(".back:not(.audit-link)").click()
        await expect(watched.page).to_have_url(f"{url}/")
        watched.assert_clean()
        await watched.context.close()


async def test_the_python_client_follows_a_task_under_the_path_of_a_proxy(store: Redis) -> None:
    Writer(store.url, "prefixed-client").begin().write(b"one\ntwo\n").finish()
    async with (
        a_server("--redis-url", store.url, "--path-prefix", PREFIX) as server,
        a_proxy(f"http://127.0.0.1:{server.port}", strips=True) as url,
        Client(url) as client,
    ):
        assert (await client.task("prefixed-client")).state == "SUCCESS"


@asynccontextmanager
async def listening(store: Redis, **given: object) -> AsyncIterator[tuple[int, str]]:
    """The whole app on a free port of this process; its port and address."""
    place = Place("127.0.0.1", 0, **given)  # type: ignore[arg-type]
    runner = await place.open(make_app(Settings.load(flags={"redis_url": store.url}), None))
    try:
        yield runner.addresses[0][1], place.url(runner)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("/api/tasks", 200),
        ("/p/api/tasks", 200),
        ("/p", 200),
        ("/p/", 200),
        ("/papi/tasks", 404),
        ("/p/p/api/tasks", 404),
        ("/p//evil.example/api/tasks", 404),
        ("/p/%2e%2e/api/tasks", 404),
        ("/p/static/../../settings.py", 404),
        ("/p/static/%2e%2e/%2e%2e/pyproject.toml", 404),
    ],
)
async def test_only_the_path_itself_is_taken_off(store: Redis, asked: str, status: int) -> None:
    async with listening(store, base="/p") as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {asked} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        line = await asyncio.wait_for(reader.readline(), 10)
        assert int(line.split()[1]) == status
        writer.close()


# ---- certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return cert, key


async def test_with_certificates_pages_and_sockets_are_served_over_https(
    store: Redis, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    trusted = ssl.create_default_context(cafile=str(cert))
    async with listening(store, certificate=str(cert), key=str(key)) as (port, url):
        assert url == f"https://127.0.0.1:{port}/"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session:
            async with session.get(url) as answer:
                assert answer.status == 200
                assert f"wss://127.0.0.1:{port}" in answer.headers["Content-Security-Policy"]
            own = f"https://127.0.0.1:{port}"
            async with session.ws_connect(f"{url}socket.io/?EIO=4&transport=websocket", origin=own) as socket:
                assert (await socket.receive_str(timeout=10)).startswith("0{")
                await socket.send_str("40")
                assert (await socket.receive_str(timeout=10)).startswith('40{"sid"')
                await socket.send_str('421["watch",{}]')
                assert (await socket.receive_str(timeout=10)).startswith('431[{"ok":true')


async def test_plain_http_and_old_tls_are_not_answered_where_certificates_are(
    store: Redis, certificate: tuple[Path, Path]
) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert tls_context(str(certificate[0]), str(certificate[1])).minimum_version == ssl.TLSVersion.TLSv1_2
    async with listening(store, certificate=str(certificate[0]), key=str(certificate[1])) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in await asyncio.wait_for(reader.read(100), 10)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=old)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
        writer.close()


@pytest.mark.parametrize("wrong", ["missing", "garbage", "other key", "password"])
def test_files_that_cannot_be_used_are_named(tmp_path: Path, certificate: tuple[Path, Path], wrong: str) -> None:
    cert, key = certificate
    bad = tmp_path / "bad.pem"
    if wrong == "garbage":
        bad.write_text("no certificate")
    elif wrong != "missing":
        locked = ["-aes256", "-passout", "pass:secret"] if wrong == "password" else []
        words = ["openssl", "genrsa", *locked, "-out", bad, "2048"]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    with pytest.raises(SettingInvalid, match="setting tls_key: ") as refused:
        tls_context(str(cert), str(bad))
    assert refused.value.value == str(bad)
    assert key.exists()


async def test_a_port_that_is_taken_is_told(store: Redis) -> None:
    async with listening(store) as (port, _):
        place = Place("127.0.0.1", port)
        with pytest.raises(AddressRefused, match="is taken"):
            await place.open(web.Application())


# ---- the slow and the silent


async def drip(
    port: int, first: bytes, drop: bytes, every_s: float = 0.05, most_s: float = 20.0
) -> tuple[bytes, float]:
    """Send ``first``, then ``drop`` again and again; what came back, and when the server had enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    began, answer = time.monotonic(), b""
    while time.monotonic() - began < most_s:
        try:
            async with asyncio.timeout(every_s):
                piece = await reader.read(65536)
        except TimeoutError:
            if drop:
                writer.write(drop)
            continue
        except ConnectionError:
            break
        if not piece:
            break
        answer += piece
    else:
        raise AssertionError(f"still connected after {most_s} s")
    writer.close()
    return answer, time.monotonic() - began


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"x"),
        (b"GET /", b"x"),
        (b"POST /task HTTP/1.1\r\n", b"A: b\r\n"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /", b"x"),
    ],
    ids=["silence", "header", "line", "headers", "kept alive", "second request"],
)
async def test_a_connection_without_a_whole_request_is_ended(store: Redis, first: bytes, drop: bytes) -> None:
    async with listening(store, idle_s=1.0) as (port, _):
        _, took_s = await drip(port, first, drop)
        assert took_s < 10
