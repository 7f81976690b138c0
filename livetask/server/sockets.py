"""Socket.IO: viewers come, say what they want to follow, and are told.

| from the client | answer | | to the client | when |
|---|---|---|---|---|
| subscribe | task, run, cursor | | output, gap, caught_up, reset, end, grown, run, task | see ``events`` |
| ack, unsubscribe | ok | | heartbeat | see ``beats`` |
| watch, unwatch | tasks, counts, total, next | | store | Redis went away or came back |
| join, leave | room, cursor | | bye | the server stops |
| the events given | theirs | | on_progress, ... | a task emits them: see ``reels`` and ``rooms`` |

Every call is answered by its acknowledgement, ``{"ok": true, ...}`` or ``{"ok": false, "code", "error"}``, and what is
wrong with one message never ends a connection. State of a viewer: its cursors and windows.

It must never know: Celery, Redis, what output looks like.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import socketio
from aiohttp import web

from livetask.errors import BadRequest, LivetaskError, TooMany
from livetask.keys import room_checked
from livetask.server.access.checks import check_event
from livetask.server.access.gate import Gate, acting_for, presented_by
from livetask.server.access.presented import Presented
from livetask.server.access.rules import Rules
from livetask.server.access.standing import Loss
from livetask.server.acks import Acks
from livetask.server.armour.meter import Meter
from livetask.server.beats import Beats
from livetask.server.calls import Sender
from livetask.server.catalog import Catalog
from livetask.server.engine import socketio_server
from livetask.server.feed import Follower, Gone
from livetask.server.frames import Packet
from livetask.server.hub import Hub
from livetask.server.listing.asked import listing_json, wish_of_message
from livetask.server.messages import fields_of_message, subscribe_read
from livetask.server.packets import packed_here
from livetask.server.reels import Reel
from livetask.server.rooms import Rooms, whence_of_room
from livetask.server.transport import TaskSink, Transport
from livetask.server.viewers import Viewer
from livetask.server.wire import Json, error_json, failed_json, task_json

log = logging.getLogger(__name__)

Call = Callable[[object, Sender], Awaitable[tuple[Json, tuple[str, ...]]]]
"""An event that another part answers: it takes the message and who sent it, and never raises. It gives the
acknowledgement, and the tasks whose events the sender is told from then on."""

BYE_RETRY_MS = 500
_SPREAD_MOST_MS = 2000
"""Viewers that are told goodbye are asked to come back a millisecond apart, and within so long all of them."""

_BYE_S = 0.3
_BEATS_AT_ONCE = 50
_SENT_KEPT, _SENT_MOST = 64, 2560
"""Of the tasks that a connection sent: beyond how many those that are over are forgotten, and the most there are."""


class Sockets:
    """See the module's docstring. ``attach`` it to the application; ``live`` starts and stops it.

    ``gate``: says who connects; None: it is open. ``rules``: told of refusals. ``meter``: counts what is asked for;
    None: nothing is too much. ``calls``: further events, by name. ``origins``: other origins whose pages may connect;
    empty: none. ``inbound_bytes``: the largest message. ``max_viewers``, ``max_subscriptions``: for the process, for
    one viewer. ``custom_rooms``: viewers may join rooms. ``options``: more of the Socket.IO server's.
    """

    def __init__(
        self,
        hub: Hub,
        catalog: Catalog,
        rooms: Rooms,
        *,
        gate: Gate | None = None,
        rules: Rules | None = None,
        meter: Meter | None = None,
        calls: Mapping[str, Call] | None = None,
        origins: Iterable[str] = (),
        heartbeat_ms: int = 5000,
        inbound_bytes: int = 32 * 1024,
        inbound_per_s: int = 200,
        max_viewers: int = 10_000,
        max_subscriptions: int = 256,
        custom_rooms: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._hub = hub
        self._catalog = catalog
        self._rooms = rooms
        self._custom_rooms = custom_rooms
        self._gate = gate or Gate()
        self._rules = rules
        self._meter = meter or Meter({})
        self._calls = dict(calls or {})
        self._heartbeat_s = heartbeat_ms / 1000
        self._inbound_per_s = inbound_per_s
        self._max_viewers = max_viewers
        self._max_subscriptions = max_subscriptions
        self._viewers: dict[str, Viewer] = {}
        self._acks = Acks(hub)
        self._stopping = False
        self._server = socketio_server(tuple(origins), inbound_bytes, max_viewers, options or {}, presented_by)
        self._listen()
        hub.on_store_state(self._tell_store)

    def attach(self, app: web.Application) -> None:
        """Serve under /socket.io/."""
        self._server.attach(app)

    def enter(self, request: web.Request) -> bool:
        """Let a client in that asks for a WebSocket; see ``Engine.enter``."""
        return self._server.eio.enter(request)  # type: ignore[no-any-return]

    @property
    def events(self) -> list[str]:
        """The names of all that a client may send."""
        return [name for name in self._server.handlers["/"] if name not in ("connect", "disconnect", "*")]

    @property
    def viewers(self) -> int:
        """How many are connected."""
        return len(self._viewers)

    @property
    def subscriptions(self) -> int:
        """How many tasks are followed, counted for each viewer."""
        return sum(len(viewer.followers) for viewer in self._viewers.values())

    async def beat(self) -> None:
        """Send heartbeats, for ever."""
        beats = Beats(self._heartbeat_s)
        while True:
            await asyncio.sleep(self._heartbeat_s)
            due = beats.due(list(self._viewers.values()), self._hub.store_state)
            for number, (viewer, packet) in enumerate(due):
                self._send(viewer, packet)
                if number % _BEATS_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def close(self) -> None:
        """Say goodbye, let it arrive, and end all connections; within a second, whoever does not answer."""
        self._stopping = True
        viewers = list(self._viewers.values())
        for viewer in viewers:
            retry_ms = BYE_RETRY_MS + random.randrange(min(_SPREAD_MOST_MS, len(viewers)))
            self._send(viewer, Packet("bye", {"reason": "the server stops", "retry_ms": retry_ms}))
        for viewer in viewers:
            packed_here.set(viewer.transport.packed)
            await self._server.disconnect(viewer.sid)
        if viewers:
            await asyncio.sleep(_BYE_S)  # what was written goes out meanwhile
        for viewer in viewers:
            viewer.transport.abort()
            self._forget(viewer.sid)
        await self._server.shutdown()

    # ---- connections

    def _listen(self) -> None:
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnected)
        own = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "watch": self._watch,
            "unwatch": self._unwatch,
            "join": self._join,
            "leave": self._leave_room,
        }
        for name, call in own.items():
            self._server.on(name, self._answered(self._checked(name, call)))
        self._server.on("ack", self._ack)
        for name, foreign in self._calls.items():
            self._server.on(name, self._answered(self._by(name, foreign)))
        self._server.on("*", self._unknown)

    async def _connect(self, sid: str, presented: Presented, auth: object = None) -> None:
        if self._stopping or len(self._viewers) >= self._max_viewers:
            raise socketio.exceptions.ConnectionRefusedError("this server takes no more viewers")
        presented = presented.with_auth(auth)
        try:
            caller = await self._gate.admitted(presented)
        except LivetaskError as error:
            raise socketio.exceptions.ConnectionRefusedError(str(error), error_json(error)) from error
        connection = self._server.eio.sockets.get(self._server.manager.eio_sid_from_sid(sid, "/"))
        if connection is None or self._stopping:
            raise socketio.exceptions.ConnectionRefusedError("the connection is gone")
        transport = Transport(connection, packed_here.get())
        viewer = self._viewers[sid] = Viewer(sid, transport, self._inbound_per_s, presented, caller)
        connection.heard = partial(self._acks.heard, viewer)
        if not self._gate.is_open:
            viewer.stay = self._gate.standing.enter(presented, caller, partial(self._put_out, viewer))
        if self._custom_rooms:
            self._rooms.enter(sid, viewer)
        log.debug("a viewer came, %d are here", len(self._viewers))

    async def _disconnected(self, sid: str, reason: object = None) -> None:
        self._forget(sid)
        log.debug("a viewer went, %d are here", len(self._viewers))

    async def _put_out(self, viewer: Viewer, loss: Loss) -> None:
        """End the connection of one who may not stay; it can come back as who it is by now."""
        self._send(viewer, Packet("bye", {"reason": loss.reason, "code": loss.code, "retry_ms": BYE_RETRY_MS}))
        self._forget(viewer.sid)
        packed_here.set(viewer.transport.packed)
        await self._server.disconnect(viewer.sid)
        await asyncio.sleep(_BYE_S)  # what was written goes out meanwhile
        viewer.transport.abort()

    def _forget(self, sid: str) -> None:
        viewer = self._viewers.pop(sid, None)
        if viewer is None:
            return
        if viewer.stay is not None:
            self._gate.standing.leave(viewer.stay)
        for follower in (*viewer.followers.values(), *viewer.sent.values()):
            self._hub.leave(follower)
        viewer.followers.clear()
        viewer.sent.clear()
        self._rooms.leave_all(viewer)
        viewer.transport.release()
        if viewer.watcher is not None:
            self._catalog.leave(viewer.watcher)

    # ---- events

    def _answered(self, call: Callable[..., Awaitable[Json]]) -> Callable[..., Awaitable[Json | None]]:
        """A handler that counts the message, answers every error, and outlives every bug."""

        async def handle(sid: str, *args: Any) -> Json | None:
            viewer = self._viewers.get(sid)
            if viewer is None:
                return None
            try:
                viewer.count(1.0)
                acting_for(viewer.caller)
                return await call(viewer, args)
            except LivetaskError as error:
                return {"ok": False, **error_json(error)}
            except Exception:
                log.exception("an event of a viewer could not be answered")
                return {"ok": False, "code": "internal", "error": "something went wrong inside livetask"}

        return handle

    def _checked(self, name: str, call: Callable[..., Awaitable[Json]]) -> Callable[..., Awaitable[Json]]:
        """The call, if the one who asks may make it at all, and has not made too many."""

        async def handle(viewer: Viewer, args: tuple[Any, ...]) -> Json:
            check_event(viewer.caller, name, self._rules)
            self._meter.event(name)
            return await call(viewer, args)

        return handle

    async def _subscribe(self, viewer: Viewer, args: tuple[Any, ...]) -> Json:
        asked = subscribe_read(fields_of_message(args))
        others = len(viewer.followers) - (asked.task_id in viewer.followers)
        if others >= self._max_subscriptions:
            raise TooMany("subscriptions", self._max_subscriptions)
        sink = TaskSink(viewer.transport, asked.wish.binary)
        follower = await self._hub.subscribe(asked.task_id, sink, asked.wish, asked.whence, wait=asked.wait)
        if viewer.sid not in self._viewers:
            return {}  # it went while it was being answered
        before = self._leave(viewer, asked.task_id)
        if asked.events_from is not None:
            follower.reel = Reel(asked.events_from)
        elif before is not None and before.reel is not None and asked.events is not False:
            follower.reel = Reel(before.reel.after)  # it goes on where this connection was
        elif asked.events:
            follower.reel = Reel()
        viewer.followers[asked.task_id] = follower
        # the answer comes first: it is queued when this returns, and what is told later stays behind it
        asyncio.get_running_loop().call_soon(self._hub.begin, follower)
        cursor, task = follower.sub.cursor, follower.task
        return {
            "ok": True,
            "task": None if task is None else task_json(task),
            "run": None if cursor is None else cursor.run,
            "cursor": None if cursor is None else str(cursor),
            "window": follower.sub.window_bytes,
        }

    async def _unsubscribe(self, viewer: Viewer, args: tuple[Any, ...]) -> Json:
        fields = fields_of_message(args)
        self._leave(viewer, str(fields.get("task_id")))
        return {"ok": True}

    def _leave(self, viewer: Viewer, task_id: str) -> Follower | None:
        found = [one.pop(task_id) for one in (viewer.followers, viewer.sent) if task_id in one]
        for follower in found:
            self._hub.leave(follower)
        return found[0] if found else None

    def _by(self, name: str, call: Call) -> Callable[..., Awaitable[Json]]:
        """What another part answers; after it, the viewer is told the events of the tasks that it has sent."""

        async def handle(viewer: Viewer, args: tuple[Any, ...]) -> Json:
            try:
                check_event(viewer.caller, name, self._rules)
                self._meter.event(name, args[0] if args else None)
                if len(viewer.sent) >= _SENT_MOST:
                    raise TooMany("tasks under way that one connection sent", _SENT_MOST)
            except LivetaskError as error:
                return failed_json(error)
            sender = Sender(viewer.sid, True, viewer.headers, viewer.caller.name)
            answer, sent = await call(args[0] if args else None, sender)
            if viewer.sid in self._viewers:
                self._await_events(viewer, sent)
            return answer

        return handle

    def _await_events(self, viewer: Viewer, task_ids: tuple[str, ...]) -> None:
        if task_ids:
            self._rooms.enter(viewer.sid, viewer)
        for task_id in task_ids:
            follower = self._hub.await_events(task_id, TaskSink(viewer.transport, False))
            viewer.sent[task_id] = follower
            asyncio.get_running_loop().call_soon(self._hub.begin, follower)
        if len(viewer.sent) > _SENT_KEPT:
            for task_id in [task_id for task_id, follower in viewer.sent.items() if follower.over]:
                self._hub.leave(viewer.sent.pop(task_id))

    async def _join(self, viewer: Viewer, args: tuple[Any, ...]) -> Json:
        fields = fields_of_message(args)
        room = room_checked(fields.get("room"))
        if not self._custom_rooms:
            raise BadRequest("rooms cannot be joined: the setting custom_rooms is off")
        cursor, complete = await self._rooms.join(room, viewer, whence_of_room(fields.get("from", "now")))
        if viewer.sid not in self._viewers:
            self._rooms.leave(room, viewer)
        return {"ok": True, "room": room, "room_cursor": cursor, "complete": complete}

    async def _leave_room(self, viewer: Viewer, args: tuple[Any, ...]) -> Json:
        self._rooms.leave(room_checked(fields_of_message(args).get("room")), viewer)
        return {"ok": True}

    async def _watch(self, viewer: Viewer, args: tuple[Any, ...]) -> Json:
        wish = wish_of_message(fields_of_message(args) if args else {})
        self._unwatched(viewer)
        viewer.watches += 1
        mine = viewer.watches
        watcher, listing = await self._catalog.watch(viewer, wish)
        if viewer.sid in self._viewers and viewer.watches == mine:
            viewer.watcher = watcher
        else:  # it went, or has asked for another list meanwhile
            self._catalog.leave(watcher)
        return {"ok": True, **listing_json(listing, wish.order)}

    def _unwatched(self, viewer: Viewer) -> None:
        if viewer.watcher is not None:
            self._catalog.leave(viewer.watcher)
            viewer.watcher = None

    async def _unwatch(self, viewer: Viewer, args: tuple[Any, ...]) -> Json:
        self._unwatched(viewer)
        return {"ok": True}

    async def _ack(self, sid: str, *args: Any) -> Json | None:
        viewer = self._viewers.get(sid)
        return None if viewer is None else self._acks.answered(viewer, args)

    async def _unknown(self, event: object, sid: str, *args: Any) -> Json:
        return {"ok": False, **error_json(BadRequest(f"there is no event {str(event)[:40]!r}"))}

    # ---- telling

    def _tell_store(self, state: str) -> None:
        packet = Packet("store", {"state": state})
        for viewer in list(self._viewers.values()):
            self._send(viewer, packet)

    def _send(self, viewer: Viewer, packet: Packet) -> None:
        try:
            viewer.transport.send(packet)
        except Gone:
            self._forget(viewer.sid)
