"""The server put together: which parts there are, which routes lead to them, and how it starts and stops.

The only room in server/ that knows Settings: the parts receive plain values. Redis may be away when the server starts;
it serves all the same, and heals.
"""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import sys
from collections.abc import Iterable, Mapping
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
from livetask.server.archive.archiver import Terms
from livetask.server.archive.directory import DirectoryShelf
from livetask.server.archive.keeping import Keeping
from livetask.server.archive.s3 import S3Shelf
from livetask.server.archive.store import ArchivedStore
from livetask.server.armour.meter import LOGIN, SEARCH, START, SUBSCRIPTION, Meter
from livetask.server.armour.suit import Suit
from livetask.server.asker import asked_from, asker_noted, note_asker
from livetask.server.control import Control
from livetask.server.door import LET_IN
from livetask.server.edge import answer_errors, mark_begun
from livetask.server.figures import Figures
from livetask.server.lifetime import Lifetime, Stopping
from livetask.server.listening import BASE, AddressRefused, Place
from livetask.server.listing.rows import Row
from livetask.server.live import Live
from livetask.server.loop_lag import LoopLag
from livetask.server.places import templates_dir
from livetask.server.process import room_for, settled
from livetask.server.published import Published
from livetask.server.reach import LOUD, check_reach, is_loopback
from livetask.server.reconciling import Asks, Reconciler
from livetask.server.reruns import Reruns
from livetask.server.running import Running
from livetask.server.shown import Shown, shown_by
from livetask.server.sockets import Call
from livetask.server.startable import Startable
from livetask.server.stirfried import Stirfried
from livetask.server.stops import Stops
from livetask.server.store import Store
from livetask.server.store_figures import StoreFigures
from livetask.server.wishes import Wishes
from livetask.settings import Settings

if TYPE_CHECKING:
    from celery import Celery


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
    desk, meter, stopping = _desk(settings, store), _meter(settings), Stopping()
    entrance, suit = _entrance(settings, store, desk), _suit(settings)
    app = _guarded(settings, suit, entrance, meter, desk)
    published = Published(store.commands, Keys(settings.prefix))
    control = _control(settings, celery_app, store, published, desk.rules)
    stops = Stops(control, _wishes(settings, store), store, desk.sight.judged, desk.rules.stopped)
    stirfried = _stirfried(settings, control, stops, desk.sight, meter)
    actions = Actions(stops, Reruns(control, store, desk.sight), settings.inbound_bytes)
    calls = {**stirfried.events(), **actions.events()}
    live = _live(settings, store, entrance.gate, desk, meter, calls, stopping)
    shown = _shown(settings, store, desk.sight, live, keeping, meter)
    loop_lag = LoopLag()
    app[STORE], app[STOPPING], app[CONTROL], app[LIVE] = store, stopping, control, live
    app[BASE] = settings.path_prefix
    pages.setup_jinja(app, templates_dir(), settings.path_prefix, has_archive=keeping is not None)
    app.add_routes(
        [
            *shown.routes(),
            *stirfried.routes(),
            *actions.routes(),
            *_startable(published, control, desk.rules).routes(),
            *entrance.routes(),
            *desk.routes(),
            *openapi.routes(),
            *health.routes(_told(settings, store, live, shown, desk, keeping, loop_lag)),
            *shown.page_routes(),
        ]
    )
    suit.attach(app)
    entrance.attach(app, stopping.fail)
    desk.attach(app, stopping.fail)
    app.on_response_prepare.append(mark_begun)
    app.on_shutdown.append(lambda _: shown.logs.stop())
    app.on_cleanup.append(lambda _: shown.finders.close())
    live.attach(app)
    app[LET_IN] = lambda request: _let_in(request, suit, entrance, live)
    reconciler = _reconciler(settings, store, control, live)
    Lifetime(Running(stopping.fail), stops, loop_lag, reconciler, keeping, control, store).attach(app)
    if keeping is not None:
        keeping.listen(live.hub)
    return app


def _guarded(settings: Settings, suit: Suit, entrance: Entrance, meter: Meter, desk: Desk) -> web.Application:
    """The app with what each request passes before it reaches a route."""
    return web.Application(
        middlewares=[
            asker_noted(entrance.address_of),
            answer_errors,
            *suit.middlewares(),
            entrance.gate.middleware,
            meter.middleware,
            desk.middleware(entrance.public),
        ],
        client_max_size=settings.inbound_bytes,
    )


def _let_in(request: web.Request, suit: Suit, entrance: Entrance, live: Live) -> bool:
    """Let a viewer in at the door: one whom all of the above would let pass, as nobody yet."""
    if not suit.passes(request):
        return False
    note_asker(entrance.address_of(request))
    return live.sockets.enter(request)


def _entrance(settings: Settings, store: Store, desk: Desk) -> Entrance:
    return Entrance(
        store.commands,
        Keys(settings.prefix),
        _ways(settings),
        more=(desk.shares.way,),
        public=PUBLIC,
        note=desk.note,
        granted=desk.granted,
    )


def _stirfried(settings: Settings, control: Control, stops: Stops, sight: Sight, meter: Meter) -> Stirfried:
    return Stirfried(
        control,
        stops,
        sight,
        meter.body,
        settings.inbound_bytes,
        error_info=settings.error_info,
        sentinel_room=settings.sentinel_room,
        enable_http=settings.enable_http,
        enable_socketio=settings.enable_socketio,
        enable_task_info=settings.enable_task_info,
        enable_revoke_task=settings.enable_revoke_task,
    )


def _startable(published: Published, control: Control, rules: Rules) -> Startable:
    offers = rules.offers
    return Startable(published.known, control.startable, lambda name: control.allows(name) and offers(name))


def _shown(settings: Settings, store: Store, sight: Sight, live: Live, keeping: Keeping | None, meter: Meter) -> Shown:
    return shown_by(
        store,
        sight,
        live,
        keeping,
        prefix=settings.prefix,
        heartbeat_s=settings.heartbeat_ms / 1000,
        poll_s=settings.poll_s,
        count=partial(meter.count, SEARCH),
    )


def _told(
    settings: Settings,
    store: Store,
    live: Live,
    shown: Shown,
    desk: Desk,
    keeping: Keeping | None,
    loop_lag: LoopLag,
) -> health.Sources:
    """What machines are told of the server."""
    figures = Figures(live, shown.logs, StoreFigures(store.commands, store.info, Keys(settings.prefix)), loop_lag)
    return health.Sources(
        store.ping,
        lambda: (*figures(), *desk.figures(), *(keeping.figures() if keeping else ())),
        figures.fresh,
        lambda: {**figures.brief(), **(keeping.brief() if keeping else {})},
    )


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
