"""Rooms: whoever is in one is told the events of all tasks that were sent to it, on whichever server process it is.

A room is a stream in Redis that keeps its last events, so a member that comes back names its cursor in the room and is
told what it missed, in order, once. Bells say which rooms have more; every ``sweep_s`` all that have members here are
looked at without one.

A connection is always in the room of its own id: so it hears of tasks that its own tasks started and handed the room
on to. Of a task that a member follows by its id it is told there, and not again here.

Members stand at places of their own, and a room is read once from each place: one who takes nothing, or who is told
again what is long past, holds nobody up.

It must never know: Celery, Redis itself, the wire.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Protocol

from livetask.errors import ArgumentInvalid, RedisUnavailable, TooMany
from livetask.server.access.policy import TaskFacts, may
from livetask.server.access.sight import Facts, Lens
from livetask.server.answers import Bell
from livetask.server.backoff import Backoff
from livetask.server.event_reads import EventReads, RoomEvent
from livetask.server.events import Emitted
from livetask.server.feed import Gone
from livetask.server.frames import Told

log = logging.getLogger(__name__)

BEGIN = "0-0"
_CURSOR = re.compile(r"(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})")
_COUNT = 100
_PLACES = 32
"""From how many places is read in one round trip."""

_AGAIN_S = 0.05
"""How often it is seen whether one who could not take more can do so now."""


class Member(Protocol):
    """One viewer."""

    @property
    def drained(self) -> bool:
        """It can be told more."""

    def tell(self, told: Told) -> None:
        """Send it. Raises Gone."""

    def hears_of(self, task_id: str) -> bool:
        """Whether it is told this task's events because it follows the task."""

    @property
    def lens(self) -> Lens:
        """What it may see."""


class Rooms:
    """See the module's docstring. ``run`` is its one loop. ``most``: how many rooms one may join. ``facts``: reads what
    decides who may see a task; None: everybody may."""

    def __init__(self, reads: EventReads, sweep_s: float, most: int, facts: Facts | None = None) -> None:
        self._reads = reads
        self._facts = facts
        self._sweep_s = sweep_s
        self._most = most
        self._rooms: dict[str, dict[Member, str]] = {}
        self._of: dict[Member, set[str]] = {}
        self._full: set[tuple[str, Member]] = set()
        self._stale: set[str] = set()
        self._work = asyncio.Event()

    async def join(self, room: str, member: Member, whence: str) -> tuple[str, bool]:
        """Be told the room's events from now on; the cursor where that begins, and whether all after it is kept.

        ``whence``: 'start', 'now' or a cursor of this room. Raises TooMany, RedisUnavailable.
        """
        joined = self._of.get(member, set())
        if room not in joined and len(joined) >= self._most:
            raise TooMany("rooms", self._most)
        complete = True
        cursor = BEGIN if whence == "start" else whence
        if whence == "now":
            cursor = await self._reads.room_end(room)
        elif whence != "start":
            complete = await self._reads.room_keeps(room, cursor)
        self._put(room, member, cursor)
        return cursor, complete

    def enter(self, room: str, member: Member) -> None:
        """Be told all of the room's events, if it is not in it already; for the room that is the member's own."""
        if room not in self._of.get(member, ()):
            self._put(room, member, BEGIN)

    def _put(self, room: str, member: Member, cursor: str) -> None:
        self._rooms.setdefault(room, {})[member] = cursor
        self._of.setdefault(member, set()).add(room)
        self._look(room)

    def leave(self, room: str, member: Member) -> None:
        """Be told nothing more."""
        joined = self._of.get(member, set())
        if room in joined:
            joined.remove(room)
            if not joined:
                del self._of[member]
            del self._rooms[room][member]
            if not self._rooms[room]:
                del self._rooms[room]
            self._full.discard((room, member))

    def leave_all(self, member: Member) -> None:
        """The same, for all rooms it is in."""
        for room in list(self._of.get(member, ())):
            self.leave(room, member)

    def rang(self, bells: Sequence[Bell], missed: bool) -> None:
        """What the bells said. ``missed``: there may have been others."""
        for bell in bells:
            if bell.what == "room" and bell.task_id in self._rooms:
                self._look(bell.task_id)
        if missed:
            self._look(*self._rooms)

    def _look(self, *rooms: str) -> None:
        self._stale.update(rooms)
        self._work.set()

    async def run(self) -> None:
        """Tell the members what is new, for ever."""
        backoff = Backoff()
        while True:
            try:
                async with asyncio.timeout(self._sweep_s):
                    await self._work.wait()
            except TimeoutError:
                self._stale.update(self._rooms)
            self._work.clear()
            stale, self._stale = self._stale & self._rooms.keys(), set()
            try:
                await self._read(stale)
            except RedisUnavailable as error:
                log.debug("rooms: %s", error)
                self._look(*stale)
                await backoff.wait()
            else:
                backoff.reset()

    async def _read(self, rooms: set[str]) -> None:
        places = ((room, cursor) for room in rooms for cursor in self._places(room))
        while asked := list(islice(places, _PLACES)):
            for (room, cursor), events in zip(asked, await self._reads.of_rooms(asked, _COUNT), strict=True):
                standing = [member for member, at in self._members(room).items() if at == cursor]
                facts = await self._facts_for(standing, events)
                for member in standing:
                    self._tell(room, member, events, facts)
                if len(events) == _COUNT:
                    self._look(room)

    def _places(self, room: str) -> set[str]:
        """Where members stand who can take more."""
        places = set()
        for member, cursor in self._members(room).items():
            if member.drained:
                places.add(cursor)
            else:
                self._wait_for(room, member)
        return places

    def _wait_for(self, room: str, member: Member) -> None:
        """Look at the room again when the member can take more."""
        if not self._full:
            asyncio.get_running_loop().call_later(_AGAIN_S, self._look_at_full)
        self._full.add((room, member))

    def _look_at_full(self) -> None:
        drained = {(room, member) for room, member in self._full if member.drained}
        self._full -= drained
        self._look(*(room for room, _ in drained))
        if self._full:
            asyncio.get_running_loop().call_later(_AGAIN_S, self._look_at_full)

    def _may_see(self, lens: Lens, task_id: str, facts: Mapping[str, TaskFacts]) -> bool:
        if self._facts is None or lens.is_clear:
            return True
        return may(lens.caller, "view", facts.get(task_id, TaskFacts(task_id)))

    def _members(self, room: str) -> dict[Member, str]:
        return self._rooms.get(room, {})

    async def _facts_for(self, members: Sequence[Member], events: Sequence[RoomEvent]) -> Mapping[str, TaskFacts]:
        """What decides who may see the tasks of these events; nothing where all members may see everything."""
        if self._facts is None or all(member.lens.is_clear for member in members):
            return {}
        return await self._facts(list({event.task_id for event in events}))

    def _tell(self, room: str, member: Member, events: Sequence[RoomEvent], facts: Mapping[str, TaskFacts]) -> None:
        """Tell a member what it has not, as far as it can take it."""
        for event in events:
            members = self._members(room)
            if member not in members:
                return  # it has left meanwhile
            if _order(event.room_cursor) <= _order(members[member]):
                continue
            if not member.drained:
                self._wait_for(room, member)
                return
            members[member] = event.room_cursor
            if member.hears_of(event.task_id) or not self._may_see(member.lens, event.task_id, facts):
                continue
            try:
                shown = Emitted(event.name, event.data, event.cursor, room, event.room_cursor)
                member.tell(Told(event.task_id, shown))
            except Gone:
                self.leave(room, member)


def whence_of_room(value: object) -> str:
    """Where to begin in a room: 'start', 'now' or a cursor of it; raises ArgumentInvalid."""
    if isinstance(value, str) and (value in ("start", "now") or _CURSOR.fullmatch(value)):
        return value
    raise ArgumentInvalid("from", value, "'start', 'now' or the room_cursor of an event")


def _order(cursor: str) -> tuple[int, int]:
    ms, _, number = cursor.partition("-")
    return int(ms), int(number)
