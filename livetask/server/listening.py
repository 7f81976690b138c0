"""Where the server listens, and what comes before a request is one: the address, certificates, the path of a proxy.

Slow and silent clients end here too: a connection on which no whole request arrives is ended, by whatever means it
stays silent (see `armour.patience` for bodies).

Must never know: routes, Redis, Celery.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from yarl import URL

from livetask.server.door import LET_IN, Doors, LetIn
from livetask.setting_errors import SettingInvalid

BASE = web.AppKey("BASE", str)
"""The path that pages and links begin with, without a slash at its end; '' when there is none."""

IDLE_S = 75.0
"""How long a connection may be silent between two requests: more than the 60 s that proxies keep theirs."""

_BACKLOG = 1024
"""Connections that wait to be accepted: viewers come back all at once; the system may allow fewer."""

HEADERS_BYTES = 8190
"""The longest line of a request and the longest header; aiohttp allows 128 headers."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen. ``base``: the path before all others, '' for none. ``stop_s``: what requests get at the end.

    ``certificate``, ``key``: files in PEM, '' for plain HTTP; the key may lie in the certificate's file.
    """

    host: str
    port: int
    base: str = ""
    certificate: str = ""
    key: str = ""
    stop_s: float = 1.0
    idle_s: float = IDLE_S

    async def open(self, app: web.Application) -> web.AppRunner:
        """Start the application and listen; the caller cleans up. Raises AddressRefused, SettingInvalid."""
        context = tls_context(self.certificate, self.key) if self.certificate else None
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=self.stop_s,
            keepalive_timeout=self.idle_s,
            max_line_size=HEADERS_BYTES,
            max_field_size=HEADERS_BYTES,
        )
        try:
            await runner.setup()
            put_under(runner, self.base)
            await self._listen(runner, context, app.get(LET_IN))
        except BaseException:
            await runner.cleanup()
            raise
        return runner

    async def _listen(self, runner: web.AppRunner, context: ssl.SSLContext | None, let_in: LetIn | None) -> None:
        assert runner.server is not None
        doors = Doors(runner.server, let_in, self.base, HEADERS_BYTES, self.idle_s)
        try:
            await _Site(runner, self.host, self.port, context, doors).start()
        except OSError as error:
            raise AddressRefused(self.host, self.port, error) from error

    def url(self, runner: web.AppRunner) -> str:
        """Where it listens; with port 0 only the socket knows."""
        host, port = runner.addresses[0][:2]
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://[{host}]:{port}{self.base}/" if ":" in host else f"{scheme}://{host}:{port}{self.base}/"


class _Site(web.BaseSite):
    """As aiohttp's own for an address, but that its connections come to doors."""

    __slots__ = ("_doors", "_host", "_port")

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, context: ssl.SSLContext | None, doors: Doors
    ) -> None:
        super().__init__(runner, ssl_context=context, backlog=_BACKLOG)
        self._host, self._port, self._doors = host, port, doors

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self._host}:{self._port}"

    async def start(self) -> None:
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(
            self._doors, self._host, self._port, ssl=self._ssl_context, backlog=self._backlog
        )

    async def stop(self) -> None:
        await super().stop()
        self._doors.stop()


def put_under(runner: web.AppRunner, base: str) -> None:
    """Answer requests under the path ``base`` as if it were not there.

    Requests without it are answered alike: some proxies take it off, some leave it.
    """
    server = runner.server
    if base and server is not None:
        server.request_factory = _without(base, server.request_factory)


def _without(base: str, make: Callable[..., Any]) -> Callable[..., Any]:
    def made(message: Any, *rest: Any) -> Any:
        return make(_shortened(message, base), *rest)

    return made


def _shortened(message: Any, base: str) -> Any:
    path = message.url.raw_path
    if path != base and not path.startswith(base + "/"):
        return message
    url = URL.build(path=path[len(base) :] or "/", query_string=message.url.raw_query_string, encoded=True)
    return message._replace(path=url.raw_path_qs, url=url)


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """What to serve HTTPS with: TLS 1.2 or later. Raises SettingInvalid, which names the file that cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key or None, password=_no_password)
    except (OSError, ValueError) as error:
        # ssl says not which of the two files it is
        name = "tls_key" if key else "tls_cert"
        expected = f"files in PEM, a certificate and its key without a password ({error})"
        raise SettingInvalid(name, key or certificate, expected) from error
    return context


def _no_password() -> str:
    """In place of OpenSSL's question on the terminal, at which a service would hang."""
    raise ValueError("the key has a password")


class AddressRefused(Exception):
    """The address cannot be listened on. ``error``: what the system said."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        super().__init__(host, port, error)
        self.host = host
        self.port = port
        self.error = error

    def __str__(self) -> str:
        if self.error.errno == errno.EADDRINUSE:
            ways = "choose another with --port (LIVETASK_PORT), or 0 for a free one"
            return f"port {self.port} of {self.host} is taken: {ways}"
        return f"{self.host}, port {self.port}, cannot be listened on: {self.error.strerror or self.error}"
