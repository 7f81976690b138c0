"""Viewers whose transport holds too much to be given more, and when to look at them again.

One that is quick but was given much is free again after a few milliseconds, and a reader of a long log is that one all
the time; one that has stalled stays for good, and there may be thousands. So who has just come is looked at soon, and
``AT_ONCE`` of the others every ``SELDOM_S``, by turns, however much else there is to do meanwhile: a look at a thousand
takes 2 ms, and everybody else would wait for it.

No I/O; times are given, monotonic, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from livetask.server.feed import Follower

SOON_S = 0.001
SELDOM_S = 0.03
AT_ONCE = 64
LOOKS = 5
"""How often one is looked at soon, in growing pauses, before it counts as one who has stalled."""


class Clogged:
    """See the module's docstring. ``due_s``: when to ask for ``freed`` next, without meaning while there are none."""

    def __init__(self) -> None:
        self._all: dict[Follower, None] = {}  # in the order in which they are looked at
        self._fresh: dict[Follower, int] = {}  # how many looks each has left
        self._pause_s = SELDOM_S
        self._all_due_s = 0.0
        self.due_s = 0.0

    def __len__(self) -> int:
        return len(self._all)

    def add(self, followers: Iterable[Follower], now_s: float) -> None:
        """They were found to hold too much."""
        fresh = set(followers) - self._all.keys()
        if not fresh:
            return
        if not self._all:
            self._all_due_s = now_s + SELDOM_S
        self._all.update(dict.fromkeys(fresh))
        self._fresh.update(dict.fromkeys(fresh, LOOKS))
        self._pause_s = SOON_S
        self.due_s = min(now_s + SOON_S, self._all_due_s)

    def discard(self, follower: Follower) -> None:
        """It follows no more."""
        self._all.pop(follower, None)
        self._fresh.pop(follower, None)

    def freed(self, now_s: float) -> set[Follower]:
        """Those that hold little again; of those who have been here for long, only when it is their time."""
        free = {follower for follower in self._fresh if follower.sink.drained}
        for follower in free:
            del self._all[follower]
        if now_s >= self._all_due_s:
            self._all_due_s = now_s + SELDOM_S
            free |= self._freed_in_turn()
        self._fresh = {one: left - 1 for one, left in self._fresh.items() if left > 1 and one not in free}
        self._pause_s *= 2
        self.due_s = min(now_s + self._pause_s, self._all_due_s) if self._fresh else self._all_due_s
        return free

    def _freed_in_turn(self) -> set[Follower]:
        """Look at those whose turn it is; as long as most of them are free, also at the next ones."""
        free: set[Follower] = set()
        for _ in range(len(self._all) // AT_ONCE + 1):
            some = list(islice(self._all, AT_ONCE))
            found = {follower for follower in some if follower.sink.drained}
            for follower in some:
                del self._all[follower]
                if follower not in found:
                    self._all[follower] = None  # it is its turn again after all others
            free |= found
            if 2 * len(found) < len(some) or not some:
                break
        return free
