"""Telling viewers the events of tasks that are due, as the pump comes by them."""

from __future__ import annotations

from collections.abc import Callable

from livetask.server.event_reads import EventReads
from livetask.server.events import Emitted
from livetask.server.feed import Follower
from livetask.server.frames import Told
from livetask.server.reels import Reel, limit_of
from livetask.server.tasks import Run

_COUNT = 64


class Reeler:
    """``reads``: where events are read. ``tell``: tells one viewer something, whatever is wrong with it."""

    def __init__(self, reads: EventReads, tell: Callable[[Follower, Told], None]) -> None:
        self._reads = reads
        self._tell = tell

    async def tell_due(self, follower: Follower, at_byte: int | None = None) -> bool:
        """Tell the events that stand before the viewer's cursor; False if it cannot take all of them now.

        ``at_byte``: those before this byte of the cursor's run, in place of its position. Raises RedisUnavailable.
        """
        reel, task, cursor = follower.reel, follower.feed.task, follower.sub.cursor
        if reel is None or task is None or cursor is None:
            return True
        reel.stop = None
        for run in reel.runs(task, cursor):
            limit = limit_of(run, cursor, follower.sub.wish.mode)
            limit = limit if limit is None or at_byte is None else max(limit, at_byte)
            reel.took(run, reel.seq_in(run))
            if not await self._tell_run(follower, reel, run, limit):
                return False
        return True

    async def _tell_run(self, follower: Follower, reel: Reel, run: Run, limit: int | None) -> bool:
        seq, found_count = reel.seq_in(run), _COUNT
        while found_count == _COUNT:
            found = await self._reads.of_run(follower.feed.task_id, run.nonce, seq, _COUNT)
            found_count = len(found)
            for event in found:
                if limit is not None and event.at.byte > limit:
                    reel.stop = event.at
                    return True
                if not follower.sink.drained:
                    return False
                seq = event.seq
                cursor = reel.took(run, seq)
                self._tell(follower, Told(follower.feed.task_id, Emitted(event.name, event.data, cursor)))
        return True
