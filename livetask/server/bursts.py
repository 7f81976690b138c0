"""Who has to be given what a bell told of, and when: of a burst at once, and not of each of its chunks.

Who prints much fills chunks, and each rings: read one by one, the chunks of a burst would be as many reads and as many
frames to each viewer. So where much has come the rest of it is waited for, a few milliseconds, once. Where little has
come, as where somebody prints a line now and then, nothing waits. What a bell tells of may have been read already.

No I/O but a timer of the event loop. Must never know: how output is read, who is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from livetask.server.feed import Feed, Follower

MUCH_BYTES = 8 * 1024
"""More than this beyond what was known is a burst; a full chunk is 16 KiB."""

WAIT_S = 0.003
"""How long the rest of a burst is waited for; it does not grow while more comes."""


class Bursts:
    """See the module's docstring. ``kick``: told for whom there is output to be read."""

    def __init__(self, kick: Callable[[Iterable[Follower]], None]) -> None:
        self._kick = kick
        self._waiting: dict[tuple[Feed, int], int] = {}

    def rang(self, feed: Feed, run: int, end_byte: int | None) -> None:
        """Output of the run has come, up to ``end_byte``; None: it was not said how far."""
        known = feed.ends.get(run)
        if end_byte is None:
            self._kick(feed.followers)
        elif (feed, run) in self._waiting:
            self._waiting[feed, run] = end_byte
        elif known is None or end_byte - known.byte <= MUCH_BYTES:
            self._kick(lacking(feed, run, end_byte))
        else:
            if not self._waiting:
                asyncio.get_running_loop().call_later(WAIT_S, self._over)
            self._waiting[feed, run] = end_byte

    def _over(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for (feed, run), end_byte in waiting.items():
            self._kick(lacking(feed, run, end_byte))


def lacking(feed: Feed, run: int, end_byte: int) -> Collection[Follower]:
    """Those who may stand in the run and before the byte."""
    known = feed.ends.get(run)
    if len(feed.ends) < 2 and (known is None or known.byte < end_byte):
        return feed.followers  # nobody can be further; looking at each would cost more than it saves
    return [
        follower
        for follower in feed.followers
        if (cursor := follower.sub.cursor) is not None and cursor.run == run and cursor.position.byte < end_byte
    ]
