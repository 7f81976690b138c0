"""The pump: reads for the viewers who wait for output, and tells them; in rounds, one after the other.

In a round every viewer who has room is given one piece, so a viewer who is far behind takes nothing from the others.
Viewers who stand at the same position are one read and one encoding. A viewer whose sink fails is dropped, and
nobody else notices. There is no other way to output: backlog and live tail are this one loop.

It knows nothing of bells and leases; the hub says which tasks and which viewers may have something new.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from livetask.errors import PositionUnknown
from livetask.server.batches import Place, batches
from livetask.server.clogged import Clogged
from livetask.server.crowding import LATE_S, by_turns
from livetask.server.events import Ended, Event, RunChanged, TaskChanged
from livetask.server.feed import Feed, Follower, Gone, changed_runs, differs
from livetask.server.frames import Told
from livetask.server.gathering import FEW, gathered
from livetask.server.pieces import Pieces, cut, until
from livetask.server.reading import Reading
from livetask.server.recent import Ready, told_of
from livetask.server.reeling import Reeler
from livetask.server.slices import Slice
from livetask.server.starts import on_screen
from livetask.server.store import Store
from livetask.server.tally import Tally
from livetask.server.tasks import Task

log = logging.getLogger(__name__)

AGAIN_S = 0.25
"""When a task is looked at again whose output has gone back, and how far apart its news are told at least."""

_REELED_AT_ONCE = 8


class Pump:
    """See the module's docstring. ``store``: where it reads. One loop, ``run``, does all the work.

    ``reading``: how it reads. ``tally``: what was told. ``clogged``: viewers whose transport has to hold less before
    they are told more.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._work = asyncio.Event()
        self._stale: set[Feed] = set()
        self._new: set[Follower] = set()
        self._ready: dict[Follower, None] = {}  # in the order of their feeds
        self.clogged = Clogged()
        self._reeling: set[Follower] = set()
        self.reading = Reading(store)
        self._reeler = Reeler(store.events, self._tell)
        self.tally = Tally()

    # ---- what may be new

    def look(self, feed: Feed) -> None:
        """Anything of the task may have changed."""
        self._stale.add(feed)
        self._work.set()

    def greet(self, follower: Follower) -> None:
        """A viewer joins others of its task, of which is known what there is to know."""
        self._new.add(follower)
        self._work.set()

    def look_later(self, feed: Feed, wait_s: float = AGAIN_S) -> None:
        """The same, but it is not urgent."""
        if not feed.waits:
            feed.waits = True
            asyncio.get_running_loop().call_later(wait_s, self._woken, feed)

    def kick(self, followers: Iterable[Follower]) -> None:
        """There may be output for these viewers, or they may have room again."""
        self._ready.update(dict.fromkeys(followers))
        self._work.set()

    def reel(self, followers: Iterable[Follower]) -> None:
        """There may be events of the task for those of the viewers who want them."""
        some = [follower for follower in followers if follower.reel is not None]
        if some:
            self._reeling.update(some)
            self._work.set()

    def catch_up(self, follower: Follower, task: Task | None) -> None:
        """Tell a new viewer, who knows ``task``, what the other viewers were told since that was read."""
        feed = follower.feed
        if task is None or feed.task is None or feed.task is task:
            return
        for run in changed_runs(task, feed.task):
            self._tell(follower, Told(feed.task_id, RunChanged(run)))

    def drop(self, follower: Follower) -> None:
        """The viewer follows no more."""
        follower.closed = True
        self._new.discard(follower)
        self._ready.pop(follower, None)
        self.clogged.discard(follower)
        self._reeling.discard(follower)

    # ---- the loop

    async def wait(self) -> None:
        """Return when there may be something to do."""
        while not self._work.is_set():
            if not self.clogged:
                await self._work.wait()
                break
            try:
                async with asyncio.timeout_at(self.clogged.due_s):
                    await self._work.wait()
            except TimeoutError:
                self._unclog()
        if self.clogged and time.monotonic() >= self.clogged.due_s:
            self._unclog()  # there may be other work every time
        self._work.clear()

    async def round(self) -> None:
        """Look at all that may be new, and give a piece to everyone who waits. Raises RedisUnavailable.

        When it raises, all that was to be done is still to be done.
        """
        stale, self._stale = self._stale, set()
        try:
            await self._look_at(stale)
        except BaseException:
            self._stale |= stale
            self._work.set()
            raise
        self._see_new()
        await self._reel_all()
        ready, self._ready = self._ready, {}
        served: set[Follower] = set()
        try:
            for places in batches(self._places(ready)):
                await self._serve(places)
                for followers in places.values():
                    served.update(followers)
        except BaseException:
            self._ready |= dict.fromkeys(follower for follower in ready if follower not in served)
            self._work.set()
            raise

    async def _look_at(self, feeds: set[Feed]) -> None:
        if not feeds:
            return
        tasks = await self._store.tasks([feed.task_id for feed in feeds])
        now_s = time.monotonic()
        for feed in feeds:
            before, task = feed.task, tasks.get(feed.task_id)
            runs = feed.saw(task)
            news = [Told(feed.task_id, RunChanged(run)) for run in runs]
            if feed.owes_news or differs(before, task):
                news += self._task_news(feed, now_s)
            for follower in list(feed.followers):
                for told in news:
                    self._tell(follower, told)
            self._see(feed, feed.followers, now_s)

    def _see_new(self) -> None:
        new, self._new = self._new, set()
        feeds: dict[Feed, list[Follower]] = defaultdict(list)
        for follower in new:
            feeds[follower.feed].append(follower)
        for feed, followers in feeds.items():
            self._see(feed, followers, time.monotonic())

    def _task_news(self, feed: Feed, now_s: float) -> list[Told]:
        """That the task has changed, at most four times a second."""
        if feed.task is None:
            return []
        wait_s = feed.told_at_s + AGAIN_S - now_s
        if wait_s > 0:
            feed.owes_news = True
            self.look_later(feed, wait_s)
            return []
        feed.owes_news = False
        feed.told_at_s = now_s
        return [Told(feed.task_id, TaskChanged(feed.task))]

    def _see(self, feed: Feed, followers: Iterable[Follower], now_s: float) -> None:
        """Let each subscription draw its conclusions."""
        same: dict[tuple[type[Event], str], Told] = {}
        for follower in list(followers):
            if follower.reel is not None:
                self._reeling.add(follower)
                continue
            if not follower.may_see:
                continue
            for event in follower.sub.see(feed.task, now_s):
                told = Told(feed.task_id, event)
                if isinstance(event, Ended):
                    told = same.setdefault((Ended, event.run.nonce), told)
                self._tell(follower, told)
            if follower.sub.reads:
                self._ready[follower] = None

    # ---- events of tasks

    async def _reel_all(self) -> None:
        reeling, self._reeling = self._reeling, set()
        try:
            waiting = list(reeling)
            for start in range(0, len(waiting), _REELED_AT_ONCE):
                some = waiting[start : start + _REELED_AT_ONCE]
                done = await asyncio.gather(*map(self._reel, some), return_exceptions=True)
                for follower, error in zip(some, done, strict=True):
                    if isinstance(error, BaseException):
                        raise error
                    reeling.discard(follower)
        except BaseException:
            self._reeling |= reeling
            self._work.set()
            raise

    async def _reel(self, follower: Follower) -> None:
        """Tell one viewer the events that are due, and let its subscription draw its conclusions between them."""
        while not follower.closed and follower.may_see:
            if not await self._reeler.tell_due(follower):
                self.clogged.add([follower], time.monotonic())
                return
            event = follower.sub.step(follower.feed.task, time.monotonic())
            if event is None:
                break
            follower.over = isinstance(event, Ended) and event.last
            self._tell(follower, Told(follower.feed.task_id, event))
        if follower.sub.reads and not follower.closed:
            self._ready[follower] = None

    async def _give_exactly(self, place: Place, follower: Follower, found: Slice) -> None:
        """Give the output up to the next event of the task, so that the event comes just after it."""
        if not await self._reeler.tell_due(follower):
            self.clogged.add([follower], time.monotonic())
            return
        stop = follower.reel.stop if follower.reel is not None else None
        part = found if stop is None else until(found, stop)
        pieces = cut(part, place.cursor, text=not follower.sub.wish.binary, max_bytes=place.max_bytes)
        if not pieces.pieces and part is not found and stop is not None:
            await self._reeler.tell_due(follower, stop.byte)  # it stands within a character, where no cursor can
            self.kick([follower])
        else:
            self._send([follower], pieces, told_of(place.task_id, pieces))
        self.reel([follower])

    # ---- reading

    def _places(self, followers: Collection[Follower]) -> dict[Place, list[Follower]]:
        """Where to read, and for whom; those who cannot be given anything now are sorted out."""
        now_s = time.monotonic()
        found = gathered(followers, now_s, wide=len(self.clogged) < FEW)
        self.clogged.add(found.clogged, now_s)
        for follower in found.early:
            self._kick_later(follower, follower.due_s - now_s)
        for feed in found.ending:
            self.look_later(feed)
        for feed, waiting in by_turns(found.places, now_s).items():
            asyncio.get_running_loop().call_later(feed.turn_s + LATE_S - now_s, self._late, waiting, now_s)
        return found.places

    async def _serve(self, places: dict[Place, list[Follower]]) -> None:
        async for place, found in self.reading.of(places):
            followers = places[place]
            if isinstance(found, Ready):
                await self._give(place, followers, found)
                continue
            for follower in followers if isinstance(found, PositionUnknown) else ():
                self._tell(follower, Told(place.task_id, follower.sub.refused()))
            self.look_later(followers[0].feed)  # the run is not stored: what is stored of the task will tell

    async def _give(self, place: Place, followers: list[Follower], ready: Ready) -> None:
        forms: dict[tuple[bool, int], list[Follower]] = defaultdict(list)
        for follower in followers:
            if follower.reel is not None and follower.sub.wish.mode == "all":
                await self._give_exactly(place, follower, ready.found)
            else:
                forms[follower.form].append(follower)
        for (binary, lines), some in forms.items():
            shown = await on_screen(self._store, place, ready.found, lines) if lines else ready.found
            if shown is ready.found:
                self._send(some, *ready.form(binary))
            else:
                pieces = cut(shown, place.cursor, text=not binary, max_bytes=place.max_bytes)
                self._send(some, pieces, told_of(place.task_id, pieces, shown.start.byte - place.cursor.position.byte))
            self.reel(some)

    def _send(self, followers: Sequence[Follower], pieces: Pieces, told: Sequence[Told]) -> None:
        """Send it to all of them: they stand at one place, and are sent the same in the same form."""
        feed, wish = followers[0].feed, followers[0].sub.wish
        self.tally.add(pieces.pieces, len(followers))
        reached, on_to = pieces.reached, pieces.on_from(followers[0].sub.cursor)
        frames = b"".join(one.frames(wish.binary) for one in told) if len(followers) > 1 else b""
        ticks = bool(told) and wish.mode == "screen"
        caught_up: Told | None = None
        now_s, spent_s = time.monotonic(), time.thread_time()
        given: list[Follower] = []
        for follower in followers:  # little is done here: it is done for a thousand viewers, fifty times a second
            if follower.closed:
                continue
            way = follower.sink.way
            if not frames or way is None or way.holds or way.over or follower.lens is not None:
                if told and not self._hand(follower, told, now_s):
                    continue
            else:
                try:
                    way.write(frames)
                except Exception as error:
                    self._lose(follower, error)
                    continue
            follower.given_s = now_s
            sub = follower.sub
            caught = sub.went_on(on_to, reached) if on_to is not None else sub.took(pieces.pieces, reached)
            if caught is not None:
                caught_up = caught_up or Told(feed.task_id, caught)
                self._tell(follower, caught_up)
            if ticks:
                follower.wait_for_tick(now_s)
            if not reached:
                given.append(follower)
        if told and reached:
            feed.gave(len(followers), time.thread_time() - spent_s)
        if told and given:
            self.kick(given)
        if not pieces.reached and not told:
            self.look_later(feed)
        if pieces.reached and pieces.how is not None:
            self.look(feed)  # the end, with all that is known of it

    # ---- telling

    def _hand(self, follower: Follower, output: Sequence[Told], now_s: float) -> bool:
        """Tell one viewer output, unless it cannot take it now: its other tasks, or their news, were faster."""
        sink = follower.sink
        if not sink.drained:
            self.clogged.add([follower], now_s)
            return False
        if follower.lens is not None:
            for told in output:
                self._tell(follower, told)
            return True
        try:
            for told in output:
                sink.tell(told)
        except Exception as error:
            self._lose(follower, error)
        return True

    def _tell(self, follower: Follower, told: Told) -> None:
        """Tell one viewer. Whatever is wrong with it is its own affair."""
        if follower.closed or not follower.is_told(told.event):
            return
        if follower.lens is not None:
            shown = follower.lens.told(told) if follower.may_see else None
            if shown is None:
                return
            told = shown
        try:
            follower.sink.tell(told)
        except Exception as error:
            self._lose(follower, error)

    def _lose(self, follower: Follower, error: Exception) -> None:
        if isinstance(error, Gone):
            log.debug("a viewer of task %s has gone", follower.feed.task_id)
        else:
            text = "a viewer of task %s cannot be told anything any more"
            log.error(text, follower.feed.task_id, exc_info=error)
        follower.feed.followers.pop(follower, None)
        self.drop(follower)

    def _kick_later(self, follower: Follower, wait_s: float) -> None:
        if not follower.waits:
            follower.waits = True
            asyncio.get_running_loop().call_later(wait_s, self._woken, follower)

    def _woken(self, what: Feed | Follower) -> None:
        what.waits = False
        if isinstance(what, Feed):
            self.look(what)
        elif not what.closed:
            self.kick([what])

    def _late(self, waiting: list[Follower], since_s: float) -> None:
        """No turn has come for those who were not given anything since."""
        self.kick(follower for follower in waiting if follower.given_s <= since_s and not follower.closed)

    def _unclog(self) -> None:
        """Those whose transport holds little again are ready; the others go on waiting."""
        free = self.clogged.freed(time.monotonic())
        if free:
            self.kick(free)
            self.reel(free)
