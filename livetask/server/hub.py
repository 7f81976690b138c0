"""The hub: one for each server process. It hears the bells, and lets the pump read just what has rung.

The order that loses nothing: take the lease, so that output rings; look at the end; read up to it; then listen. A bell
is a hint and never the truth: after each reconnection, when a bell was overrun, and every ``sweep_s``, everything that
is followed is looked at without one.

| the store | the hub |
|---|---|
| ok | listens, reads, renews leases |
| unreachable | tells its viewers once, tries again with growing pauses; viewers keep their cursors |

Sockets, SSE and downloads all follow a task through here; it knows none of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from livetask.errors import PositionUnknown, RedisUnavailable, RunUnknown, TaskUnknown
from livetask.position import START, Cursor
from livetask.server.access.sight import Lens, Sight
from livetask.server.answers import Bell, Rung
from livetask.server.backoff import Backoff
from livetask.server.bursts import Bursts
from livetask.server.feed import Feed, Follower, Sink
from livetask.server.follow import Following
from livetask.server.pump import Pump
from livetask.server.reels import Reel
from livetask.server.running import Running
from livetask.server.sharing import Sharing
from livetask.server.slices import Slice
from livetask.server.starts import tail_start
from livetask.server.store import Store
from livetask.server.subscription import Subscription, Wish
from livetask.server.tally import Lags, lags_of
from livetask.server.tasks import Run, Task

log = logging.getLogger(__name__)

OK, UNREACHABLE = "ok", "unreachable"


class Hub:
    """See the module's docstring. ``start`` it before anything is followed, ``stop`` it at the end.

    ``window_bytes``: the most under way to one follower that acknowledges; ``wide_window_bytes``: the same for one that
    reads a long log and is quick, while few do. ``sweep_s``: how often everything is
    looked at without a bell. ``hold_s``: how long output that has disappeared is waited for. ``sight``: what the one
    who follows may see; None: everything. ``on_failure``: called with an error that is a bug; the hub does not run any
    more then.
    """

    def __init__(
        self,
        store: Store,
        *,
        window_bytes: int = 256 * 1024,
        wide_window_bytes: int = 0,
        sweep_s: float = 15.0,
        hold_s: float = 60.0,
        sight: Sight | None = None,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.store = store
        self._sight = sight
        self.store_state = OK
        self._window_bytes = window_bytes
        self._wide_window_bytes = wide_window_bytes
        self._sweep_s = sweep_s
        self._hold_s = hold_s
        self._lease_ms = int(sweep_s * 3000)
        self._feeds: dict[str, Feed] = {}
        self._looks = Sharing[Task]()
        self._reads = Sharing[Slice]()
        self._pump = Pump(store)
        self._bursts = Bursts(self._pump.kick)
        self.tally = self._pump.tally
        self._running = Running(on_failure)
        self._ask = asyncio.Event()
        self._renew_all = False
        self._unleased: set[str] = set()
        self._on_state: list[Callable[[str], None]] = []
        self._on_rung: list[Callable[[Sequence[Bell], bool], None]] = []

    async def start(self) -> None:
        """Begin to listen. Redis may be away."""
        self._running.start(self._listen(), self._work(), self._renew(), self._pump.reading.run())

    async def stop(self) -> None:
        """End, without a word to anyone who follows."""
        await self._running.stop()

    def on_store_state(self, call: Callable[[str], None]) -> None:
        """Have ``call`` called with 'ok' or 'unreachable' whenever that changes."""
        self._on_state.append(call)

    def on_rung(self, call: Callable[[Sequence[Bell], bool], None]) -> None:
        """Have ``call`` called with the bells that rang, but for output and events; True: there may be others."""
        self._on_rung.append(call)

    # ---- following

    async def subscribe(
        self,
        task_id: str,
        sink: Sink,
        wish: Wish,
        whence: str | Cursor = "start",
        *,
        wait: bool = False,
        reel: Reel | None = None,
    ) -> Follower:
        """Follow a task; nothing is told before ``begin`` is called with what comes back.

        ``whence``: 'start', 'now', 'tail:N' or a cursor. ``wait``: the task need not be known yet. ``reel``: where to
        begin among the task's events, None to be told none. Raises TaskUnknown,
        RunUnknown, PositionUnknown, FormatUnknown, RedisUnavailable.
        """
        task = await self._look(task_id)
        if task is None and not wait:
            raise TaskUnknown(task_id)
        cursor = await self._begin_at(task_id, task, wish, whence)
        feed = Feed(task_id)
        feed.saw(task)
        sub = Subscription(wish, cursor, self._window_bytes, self._hold_s, self._wide_window_bytes)
        return Follower(feed, sub, sink, reel, self._lens(task))

    async def _look(self, task_id: str) -> Task | None:
        """Take the lease, then look at the task: from then on its bell is heard, so nothing lies between."""

        async def look() -> Task | None:
            await self.store.watch([task_id], self._lease_ms)
            return await self.store.task(task_id)

        if self._sight is None or self._sight.lens().is_clear:
            return await self._looks.of(task_id, look)
        await self.store.watch([task_id], self._lease_ms)
        return await self._sight.task(task_id)

    def await_events(self, task_id: str, sink: Sink) -> Follower:
        """Follow the events of a task that was just sent, from the first one on; ``begin`` as after ``subscribe``.

        Redis is not asked: it may be away, and the task is on its way all the same.
        """
        sub = Subscription(Wish(mode="events"), None, self._window_bytes)
        return Follower(Feed(task_id), sub, sink, Reel(), self._lens(None))

    def _lens(self, task: Task | None) -> Lens | None:
        lens = None if self._sight is None else self._sight.lens()
        return None if lens is None or lens.is_clear else lens.following(task)

    def begin(self, follower: Follower) -> None:
        """Tell the follower from now on."""
        if follower.closed:
            return
        seen = follower.feed
        feed = follower.feed = self._feeds.setdefault(seen.task_id, seen)
        feed.followers[follower] = None
        if seen.task is None and follower.sub.wish.mode == "events":
            self._unleased.add(seen.task_id)
            self._ask.set()
        self._pump.catch_up(follower, seen.task)
        if feed is seen or feed.task is None:
            self._pump.look(feed)
        else:  # its bell is heard, so what is known of it is as new as it can be
            self._pump.greet(follower)

    def ack(self, follower: Follower, cursor: Cursor) -> None:
        """The follower has taken over all up to ``cursor``."""
        follower.sub.ack(cursor)
        if follower.blocked:
            follower.blocked = False
            self._pump.kick([follower])

    def leave(self, follower: Follower) -> None:
        """Follow no more."""
        self._pump.drop(follower)
        follower.feed.followers.pop(follower, None)
        if not follower.feed.followers and self._feeds.get(follower.feed.task_id) is follower.feed:
            del self._feeds[follower.feed.task_id]

    def lags(self) -> Lags:
        """How far viewers are behind."""
        followers = (follower for feed in self._feeds.values() for follower in feed.followers)
        return lags_of(followers, len(self._pump.clogged))

    @asynccontextmanager
    async def follow(
        self, task_id: str, whence: str | Cursor = "start", wish: Wish | None = None, *, wait: bool = False
    ) -> AsyncIterator[Following]:
        """Follow a task as an iterator over events: for SSE, downloads and long polls.

        ``async with hub.follow(task_id, cursor, Wish(binary=True, run=1)) as events: async for event in events: ...``
        gives Output, Missing, CaughtUp, RunChanged, Reset and Ended; TaskChanged is left out. Who takes them slowly
        is sent them slowly: at most one window of output waits for it. Raises as ``subscribe``.
        """
        following = Following()
        follower = await self.subscribe(task_id, following, wish or Wish(), whence, wait=wait)
        following.taken = lambda cursor: self.ack(follower, cursor)
        follower.sub.acks, follower.sub.wide_window_bytes = True, 0  # what it does not take stays in this process
        self.begin(follower)
        try:
            yield following
        finally:
            self.leave(follower)

    async def _begin_at(self, task_id: str, task: Task | None, wish: Wish, whence: str | Cursor) -> Cursor | None:
        if isinstance(whence, Cursor):
            await self._check(task_id, task, wish, whence)
            return whence
        run = _run_to_begin(task, wish, whence)
        if run is None:
            if wish.run is not None and task is not None and task.runs:
                raise RunUnknown(task_id, wish.run)
            return None
        if whence == "start":
            return run.cursor(START)
        if whence == "now":
            return run.cursor(run.end)
        return run.cursor(await tail_start(self.store, task_id, run, int(whence.removeprefix("tail:"))))

    async def _check(self, task_id: str, task: Task | None, wish: Wish, cursor: Cursor) -> None:
        """Raise PositionUnknown unless the cursor is one of this task. One beyond the end may become right again."""
        if task is None:
            return
        run = task.run(cursor.run)
        if run is None or run.nonce != cursor.nonce or wish.run not in (None, cursor.run):
            raise PositionUnknown(str(cursor))
        if cursor.position == START:
            return  # every run begins there, whatever is still kept of it
        if cursor.position.byte <= run.end.byte:
            await self._reads.of((task_id, cursor), lambda: self.store.read(task_id, cursor, 1, 1))
        elif run.how not in (None, "LOST"):
            raise PositionUnknown(str(cursor))

    # ---- the loops

    async def _listen(self) -> None:
        """Hear the bells."""
        backoff = Backoff()
        last_ids: tuple[str, ...] | None = None
        checked_at_s = 0.0
        while True:
            try:
                now_s = time.monotonic()
                if last_ids is None or now_s - checked_at_s >= self._sweep_s:
                    last_ids = _not_beyond(last_ids, await self.store.bell_ends())
                    checked_at_s = now_s
                    self._sweep()
                rung = await self.store.bells(last_ids)
                last_ids = rung.last_ids
                self._heard(rung)
                backoff.reset()
            except RedisUnavailable as error:
                log.debug("bells: %s", error)
                last_ids = None
                self._ask.set()
                for call in self._on_rung:
                    call((), True)
                await backoff.wait()

    def _heard(self, rung: Rung) -> None:
        news = [bell for bell in rung.bells if bell.what not in ("output", "event")]
        last = {(bell.task_id, bell.run, bell.what): bell for bell in rung.bells}
        for bell in last.values():  # a chatty task rings many times before it is heard
            feed = self._feeds.get(bell.task_id)
            if feed is not None:
                self._rang(feed, bell)
        if rung.overrun:
            self._sweep()
        if news or rung.overrun:
            for call in self._on_rung:
                call(news, rung.overrun)

    def _rang(self, feed: Feed, bell: Bell) -> None:
        if bell.what == "event":
            self._pump.reel(feed.followers)
            return
        if bell.what == "progress":
            self._pump.look_later(feed)
            return
        if bell.what != "output":
            self._pump.look(feed)
            if bell.what == "begin":
                self._unleased.add(bell.task_id)
                self._ask.set()
            return
        self._bursts.rang(feed, bell.run, bell.end_byte)

    def _sweep(self) -> None:
        for feed in self._feeds.values():
            self._pump.look(feed)

    async def _work(self) -> None:
        """Let the pump work, round by round."""
        backoff = Backoff()
        while True:
            await self._pump.wait()
            try:
                await self._pump.round()
            except RedisUnavailable as error:
                log.debug("pump: %s", error)
                self._ask.set()
                await backoff.wait()
            else:
                backoff.reset()

    async def _renew(self) -> None:
        """Renew the leases of all that is followed, and ask how the store is when one of the loops failed.

        A store that comes back, and one whose runs begin again, has often lost the leases: what rang meanwhile was
        not heard, so everything is looked at when they are taken anew.
        """
        backoff = Backoff()
        due_s = 0.0
        while True:
            self._ask.clear()
            again, everything = self._unleased & self._feeds.keys(), self._renew_all or time.monotonic() >= due_s
            self._unleased.clear()  # now: a bell that rings meanwhile asks for one more
            try:
                await self.store.ping()
                await self.store.watch(list(self._feeds if everything else again), self._lease_ms)
            except RedisUnavailable as error:
                self._unleased |= again
                self._is(UNREACHABLE, str(error))
                await backoff.wait()
                self._ask.set()
                continue
            backoff.reset()
            if self._renew_all:
                self._renew_all = False
                self._sweep()
            for task_id in again & self._feeds.keys():
                self._pump.look(self._feeds[task_id])
            due_s = time.monotonic() + self._sweep_s if everything else due_s
            self._is(OK, "")
            with suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, self._sweep_s)):
                    await self._ask.wait()

    def _is(self, state: str, reason: str) -> None:
        """Say once that the store went away or came back."""
        if state == self.store_state:
            return
        self.store_state = state
        self._renew_all = True
        self._ask.set()
        if state == OK:
            log.warning("Redis answers again")  # as loud as the loss, or a log of warnings ends with that
        else:
            log.warning("%s", reason)
        for call in self._on_state:
            call(state)


def _run_to_begin(task: Task | None, wish: Wish, whence: str) -> Run | None:
    if task is None or not task.runs:
        return None
    if wish.run is not None:
        return task.run(wish.run)
    return task.runs[0] if whence == "start" else task.runs[-1]


def _not_beyond(last_ids: Sequence[str] | None, ends: Sequence[str]) -> tuple[str, ...]:
    """Where to listen: where it was, unless a bell ends before that, because Redis has forgotten or its clock went."""
    if last_ids is None:
        return tuple(ends)
    return tuple(min(pair, key=_bell_order) for pair in zip(last_ids, ends, strict=True))


def _bell_order(bell_id: str) -> tuple[int, int]:
    ms, _, number = bell_id.partition("-")
    return int(ms), int(number or 0)
