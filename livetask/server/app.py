"""The server put together: which parts there are, which routes lead to them, and how it starts and stops.

The only room in server/ that knows Settings: the parts receive plain values. Redis may be away when the server starts;
it serves all the same, and heals.
"""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from livetask.hiding import Hiding
from livetask.keys import Keys
from livetask.masking import Mask
from livetask.server import health, openapi, pages
from livetask.server.access.desk import PUBLIC, Desk
from livetask.server.access.entrance import Entrance, Ways
from livetask.server.access.gate import Gate, caller_now
from livetask.server.access.rules import Rules
from livetask.server.access.sight import Sight
from livetask.server.actions import Actions
from livetask.server.api import TaskApi
from livetask.server.archive.api import ArchiveApi
from livetask.server.archive.archiver import Terms
from livetask.server.archive.directory import DirectoryShelf
from livetask.server.archive.erasing import Eraser
from livetask.server.archive.keeping import Keeping
from livetask.server.archive.s3 import S3Shelf
from livetask.server.archive.shelving import Shelving
from livetask.server.archive.store import ArchivedStore
from livetask.server.armour.meter import LOGIN, SEARCH, START, SUBSCRIPTION, Meter
from livetask.server.armour.suit import Suit
from livetask.server.asker import asked_from, asker_noted
from livetask.server.control import Control
from livetask.server.edge import answer_errors, mark_begun
from livetask.server.figures import Figures
from livetask.server.flow.api import FlowApi
from livetask.server.listening import BASE, AddressRefused, Place
from livetask.server.listing.rows import Row
from livetask.server.live import Live
from livetask.server.log_api import LogApi, LogReader
from livetask.server.loop_lag import LoopLag
from livetask.server.opening import Opening
from livetask.server.places import static_dir, templates_dir
from livetask.server.process import room_for, settled
from livetask.server.published import Published
from livetask.server.reach import LOUD, check_reach, is_loopback
from livetask.server.reconciling import Asks, Reconciler
from livetask.server.reruns import Reruns
from livetask.server.running import Running
from livetask.server.searching.finders import Finders
from livetask.server.searching.search_api import SearchApi
from livetask.server.sockets import Call
from livetask.server.sse import LiveLog
from livetask.server.startable import Startable
from livetask.server.stirfried import Stirfried
from livetask.server.stops import Stops
from livetask.server.store import Store
from livetask.server.store_figures import StoreFigures
from livetask.server.wishes import Wishes
from livetask.settings import Settings

if TYPE_CHECKING:
    from celery import Celery


@dataclass(slots=True)
class Stopping:
    """Whether the server is to stop. ``asked``: set when it is. ``failed``: because of a bug."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    failed: bool = False

    def fail(self, _: BaseException) -> None:
        """A loop of the server has failed, and that was logged: end, so that who started the server starts it anew."""
        self.failed = True
        self.asked.set()


STOPPING = web.AppKey("STOPPING", Stopping)
LIVE = web.AppKey("LIVE", Live)
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
        return asyncio.run(serve(settings, celery_app))
    except AddressRefused as error:
        print(f"livetask: {error}", file=sys.stderr)
        return 1


async def serve(settings: Settings, celery_app: Celery | None) -> int:
    """Serve until SIGINT or SIGTERM, then say goodbye to the viewers and be gone within 2 s.

    When connections are accepted, one line on stdout says where. The exit status is 0, or 1 after a bug. Raises
    SettingInvalid if others could reach the address and that is not wanted, AddressRefused if it cannot be had.
    """
    check_address(settings)
    room_for(settings.max_viewers)
    app = make_app(settings, celery_app)
    stopping = app[STOPPING]
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.asked.set)
    place = Place(
        settings.host, settings.port, settings.path_prefix, settings.tls_cert, settings.tls_key, stop_s=_STOP_S
    )
    runner = await place.open(app)
    settled()
    try:
        if (settings.allowed_hosts or not is_loopback(settings.host)) and not _ways(settings).asks:
            print(LOUD, file=sys.stderr, flush=True)
        print(f"livetask is at {place.url(runner)}", flush=True)
        await stopping.asked.wait()
    finally:
        await runner.cleanup()
    return 1 if stopping.failed else 0


def make_app(settings: Settings, celery_app: Celery | None) -> web.Application:
    """Put all parts together; nothing connects before the app starts. ``celery_app``: None to send tasks by name."""
    keeping = _keeping(settings)
    store = _store(settings, keeping)
    meter = _meter(settings)
    suit, desk = _suit(settings), _desk(settings, store)
    sight = desk.sight
    entrance = Entrance(
        store.commands,
        Keys(settings.prefix),
        _ways(settings),
        more=(desk.shares.way,),
        public=PUBLIC,
        note=desk.note,
        granted=desk.granted,
    )
    app = web.Application(
        middlewares=[
            asker_noted(entrance.address_of),
            answer_errors,
            *suit.middlewares(),
            entrance.gate.middleware,
            meter.middleware,
        ],
        client_max_size=settings.inbound_bytes,
    )
    app[STORE] = store
    stopping = app[STOPPING] = Stopping()
    app.middlewares.append(desk.middleware(entrance.public))
    published = Published(store.commands, Keys(settings.prefix))
    control = app[CONTROL] = _control(settings, celery_app, store, published, desk.rules)
    offers = desk.rules.offers
    startable = Startable(published.known, control.startable, lambda name: control.allows(name) and offers(name))
    stops = Stops(control, _wishes(settings, store), store, sight.judged, desk.rules.stopped)
    stirfried = Stirfried(
        control,
        stops,
        sight,
        settings.inbound_bytes,
        error_info=settings.error_info,
        sentinel_room=settings.sentinel_room,
        enable_http=settings.enable_http,
        enable_socketio=settings.enable_socketio,
        enable_task_info=settings.enable_task_info,
        enable_revoke_task=settings.enable_revoke_task,
    )
    actions = Actions(stops, Reruns(control, store, sight), settings.inbound_bytes)
    calls = {**stirfried.events(), **actions.events()}
    live = app[LIVE] = _live(settings, store, entrance.gate, desk, meter, calls, stopping)
    reader = LogReader(sight.task, store.read, store.entries)
    zipped = store.zipped if isinstance(store, ArchivedStore) else None
    logs = LiveLog(live.hub, reader, LogApi(reader, zipped), settings.heartbeat_ms / 1000, settings.poll_s)
    finders = Finders()
    searches = SearchApi(reader, store.read, finders)
    tasks = TaskApi(sight, live.catalog)
    archived = _archive_api(store, sight, settings.prefix, keeping, partial(meter.count, SEARCH))
    opening = Opening(sight.task, store)
    loop_lag = LoopLag()
    figures = Figures(live, logs, StoreFigures(store.commands, store.info, Keys(settings.prefix)), loop_lag)
    told = health.Sources(
        store.ping,
        lambda: (*figures(), *desk.figures(), *(keeping.figures() if keeping else ())),
        figures.fresh,
        lambda: {**figures.brief(), **(keeping.brief() if keeping else {})},
    )

    app[BASE] = settings.path_prefix
    pages.setup_jinja(app, templates_dir(), settings.path_prefix, has_archive=keeping is not None)
    app.add_routes(
        [
            *tasks.routes(),
            *FlowApi(sight.task, live.catalog, store.read_many, archived.relatives).routes(),
            *logs.routes(),
            *searches.routes(),
            *stirfried.routes(),
            *actions.routes(),
            *startable.routes(),
            *entrance.routes(),
            *desk.routes(),
            *archived.routes(),
            *openapi.routes(),
            *health.routes(told),
            *pages.routes(pages.Sources(tasks.listed, tasks.one, reader.lines_of, opening.of), static_dir()),
        ]
    )
    suit.attach(app)
    entrance.attach(app, stopping.fail)
    desk.attach(app, stopping.fail)
    app.on_response_prepare.append(mark_begun)
    app.on_shutdown.append(lambda _: logs.stop())
    app.on_cleanup.append(lambda _: finders.close())
    live.attach(app)
    running, reconciler = Running(stopping.fail), _reconciler(settings, store, control, live)
    app.on_startup.append(lambda _: _start(running, stops, keeping, loop_lag, reconciler))
    app.on_cleanup.append(lambda _: _close(running, stops, keeping, store, control))
    if keeping is not None:
        keeping.listen(live.hub)
    return app


async def _start(
    running: Running, stops: Stops, keeping: Keeping | None, loop_lag: LoopLag, reconciler: Reconciler
) -> None:
    running.start(stops.run(), loop_lag.run(), reconciler.run(), *(keeping.loops() if keeping else ()))


async def _close(running: Running, stops: Stops, keeping: Keeping | None, store: Store, control: Control) -> None:
    await running.stop()
    await stops.close()
    control.close()
    if keeping is not None:
        await keeping.close()
    await store.close()


def _keeping(settings: Settings) -> Keeping | None:
    """The archive, if there is one."""
    if not settings.archive_dir and not settings.archive_s3:
        return None
    terms = Terms(
        after_s=min(settings.archive_after_s, settings.keep_s / 2),
        step_bytes=settings.archive_step_bytes,
        bytes_per_s=settings.archive_bytes_per_s,
        sweep_s=settings.sweep_s,
        run_cap_bytes=settings.archive_run_cap_bytes,
        cap_bytes=settings.archive_cap_bytes,
        keep_s=settings.archive_keep_s,
    )
    shelf = S3Shelf(settings.archive_s3) if settings.archive_s3 else DirectoryShelf(Path(settings.archive_dir))
    return Keeping(shelf, prefix=settings.prefix, terms=terms)


def _archive_api(
    store: Store, sight: Sight, prefix: str, keeping: Keeping | None, count: Callable[[], None]
) -> ArchiveApi:
    if keeping is not None and keeping.eraser is not None:
        return ArchiveApi(sight.glance, keeping.eraser, keeping.archive, count)
    return ArchiveApi(sight.glance, Eraser(store, prefix, Shelving(store.scripted, prefix, ""), None), None, count)


def _store(settings: Settings, keeping: Keeping | None) -> Store:
    given: dict[str, Any] = {"keep_s": settings.keep_s, "recent_cap": settings.recent_cap, "timeout_s": _REDIS_S}
    if keeping is not None:
        return keeping.store(settings.require_redis_url(), **given)
    return Store(settings.require_redis_url(), prefix=settings.prefix, **given)


def _desk(settings: Settings, store: Store) -> Desk:
    return Desk(
        store.commands,
        Keys(settings.prefix),
        store,
        store.archived_task if isinstance(store, ArchivedStore) else None,
        caller_now=caller_now,
        asked_from=asked_from,
        rights=dict(settings.rights),
        share_s=settings.share_s,
        audit_keep_s=settings.audit_keep_s,
        audit_cap=settings.audit_cap,
        limit_bytes=settings.inbound_bytes,
    )


def _ways(settings: Settings) -> Ways:
    return Ways(**{item.name: getattr(settings, item.name) for item in dataclasses.fields(Ways)})


def _meter(settings: Settings) -> Meter:
    return Meter(
        {
            START: settings.starts_per_minute,
            SUBSCRIPTION: settings.subscriptions_per_minute,
            SEARCH: settings.searches_per_minute,
            LOGIN: settings.logins_per_minute,
        }
    )


def _suit(settings: Settings) -> Suit:
    return Suit(
        hosts=tuple(name.lower() for name in (*settings.allowed_hosts, settings.host) if name),
        origins=settings.cors_allowed_origins,
        frame_ancestors=settings.frame_ancestors,
    )


def _control(
    settings: Settings, celery_app: Celery | None, store: Store, published: Published, rules: Rules
) -> Control:
    async def note(task_id: str, what: str, fields: Mapping[str, str]) -> None:
        await store.note(task_id, what, fields)

    return Control(
        celery_app,
        redis_url=settings.require_redis_url(),
        available_tasks=settings.available_tasks,
        timeout_s=settings.broker_timeout_s,
        limit_bytes=settings.inbound_bytes,
        show_arguments=settings.show_arguments,
        hiding=Hiding(settings.hide_keys, Mask(formats=settings.mask)),
        note=note,
        header_task_map=settings.header_task_map,
        custom_rooms=settings.custom_rooms,
        forms_of=published.forms_of,
        permit=rules.permit,
        started=rules.started,
    )


def _reconciler(settings: Settings, store: Store, control: Control, live: Live) -> Reconciler:
    async def rows() -> Iterable[Row]:
        await live.catalog.roster.sync()
        return live.catalog.roster

    asks = Asks(rows, store.task, control.info, store.note, store.commands)
    return Reconciler(asks, Keys(settings.prefix), lease_ms=settings.lease_s * 1000)


def _wishes(settings: Settings, store: Store) -> Wishes:
    return Wishes(store, prefix=settings.prefix, keep_s=settings.keep_s, recent_cap=settings.recent_cap)


def _live(
    settings: Settings,
    store: Store,
    gate: Gate,
    desk: Desk,
    meter: Meter,
    calls: Mapping[str, Call],
    stopping: Stopping,
) -> Live:
    return Live(
        store,
        gate=gate,
        meter=meter,
        sight=desk.sight,
        rules=desk.rules,
        calls=calls,
        origins=settings.cors_allowed_origins,
        window_bytes=settings.window_bytes,
        wide_window_bytes=settings.wide_window_bytes,
        heartbeat_ms=settings.heartbeat_ms,
        sweep_s=settings.sweep_s,
        inbound_bytes=settings.inbound_bytes,
        inbound_per_s=settings.inbound_per_s,
        max_viewers=settings.max_viewers,
        max_subscriptions=settings.max_subscriptions,
        custom_rooms=settings.custom_rooms,
        socketio=dict(settings.socketio),
        on_failure=stopping.fail,
    )


def check_address(settings: Settings) -> None:
    """Raise SettingInvalid if others could reach a server that asks nobody who they are, unless that is wanted."""
    if not settings.insecure and not _ways(settings).asks:
        check_reach(settings.host, settings.allowed_hosts)
