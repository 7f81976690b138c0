"""The server put together: which parts there are, which routes lead to them, and how it starts and stops.

The only room in server/ that knows Settings: the parts receive plain values. Redis may be away when the server starts;
it serves all the same, and heals.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from livetask.errors import SettingInvalid
from livetask.server import health, pages
from livetask.server.api import TaskApi
from livetask.server.control import Control, Note
from livetask.server.edge import answer_errors, cors_headers, origins_checked
from livetask.server.log_api import LogApi, LogReader
from livetask.server.places import static_dir, templates_dir
from livetask.server.stirfried import Stirfried
from livetask.server.store import Store
from livetask.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

STORE = web.AppKey("STORE", Store)
CONTROL = web.AppKey("CONTROL", Control)

_REDIS_S = 5.0
"""Patience with Redis, for connecting and for each answer."""

_STOP_S = 1.0
"""How long requests under way may take when the server stops; it is gone within 2 s."""


def run(settings: Settings, celery_app: Celery | None) -> int:
    """Serve until SIGINT or SIGTERM; the exit status. An address that cannot be had is told on stderr.

    Raises SettingInvalid.
    """
    try:
        asyncio.run(serve(settings, celery_app))
    except AddressRefused as error:
        print(f"livetask: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(settings: Settings, celery_app: Celery | None) -> None:
    """Serve until SIGINT or SIGTERM, then say goodbye to the viewers and be gone within 2 s.

    When connections are accepted, one line on stdout says where. Raises SettingInvalid if others could reach the
    address and that is not wanted, AddressRefused if it cannot be had.
    """
    check_address(settings)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    app = make_app(settings, celery_app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise AddressRefused(settings.host, settings.port, error) from error
        print(f"livetask is at {_url(runner)}", flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


def make_app(settings: Settings, celery_app: Celery | None) -> web.Application:
    """Put all parts together; nothing connects before the app starts. ``celery_app``: None to send tasks by name."""
    redis_url = settings.require_redis_url()
    limit_bytes = settings.inbound_bytes
    store = Store(
        redis_url, prefix=settings.prefix, keep_s=settings.keep_s, recent_cap=settings.recent_cap, timeout_s=_REDIS_S
    )
    control = Control(
        celery_app,
        redis_url=redis_url,
        available_tasks=settings.available_tasks,
        timeout_s=settings.broker_timeout_s,
        limit_bytes=limit_bytes,
        show_arguments=settings.show_arguments,
        note=_note_by(store),
    )
    reader = LogReader(store.task, store.read, store.entries)
    tasks = TaskApi(store)
    logs = LogApi(reader)
    stirfried = Stirfried(control, store.task, limit_bytes)
    sources = pages.Sources(tasks.listed, tasks.one, reader.lines_of)

    app = web.Application(
        middlewares=[answer_errors, origins_checked(settings.cors_allowed_origins)], client_max_size=limit_bytes
    )
    app[STORE], app[CONTROL] = store, control
    app.on_response_prepare.append(cors_headers(settings.cors_allowed_origins))
    app.on_response_prepare.append(pages.add_headers)
    pages.setup_jinja(app, templates_dir())
    app.add_routes(
        [
            *tasks.routes(),
            *logs.routes(),
            *stirfried.routes(),
            *health.routes(store.ping, list),
            *pages.routes(sources, static_dir()),
        ]
    )
    app.on_cleanup.append(lambda _: store.close())
    return app


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


def check_address(settings: Settings) -> None:
    """Raise SettingInvalid if others could reach the server, which asks nobody who they are, unless that is wanted."""
    if settings.insecure or settings.host == "localhost":
        return
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(settings.host).is_loopback:
            return
    ways = (
        "an address that only this machine reaches (127.0.0.1, ::1 or localhost), because whoever reaches the server "
        "may read all output and start the allowed tasks. Ways out: a reverse proxy with a login before it, an SSH "
        "tunnel, or --insecure (LIVETASK_INSECURE=1) to listen all the same"
    )
    raise SettingInvalid("host", settings.host, ways)


def _url(runner: web.AppRunner) -> str:
    """Where the server listens; with port 0 only the socket knows."""
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _note_by(store: Store) -> Note:
    """Notes facts about tasks; that one was revoked only if it is known and still waits."""

    async def note(task_id: str, what: str, fields: Mapping[str, str]) -> None:
        if what == "state" and await store.task(task_id) is None:
            return
        await store.note(task_id, what, fields)

    return note
