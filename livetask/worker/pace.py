"""How long the shipper rests from one round to the next: what comes thick and fast goes together.

A round costs the shipper and Redis much the same whether it brings one run or fifty, and each of them finds the
processor's caches full of what the tasks did meanwhile. So where hundreds of runs a second begin and end, rounds are
few; but as soon as a run that goes on has printed, they are as quick as ever, for it is being looked at.

Pure: told the time, no I/O.
"""

from __future__ import annotations

_MANY_PER_S = 100
"""So many runs a second are no crowd."""

_CROWD, _MOST = 20, 40
"""So many beyond that are one; it is remembered for as long as the most of them take to leak away: 0.2 s."""

_CROWD_ROUNDS = 5
"""A round in a crowd takes as long as so many ordinary ones: 0.1 s, which takes half of what a run costs at 0.02 s."""


class Pace:
    """The rounds of one shipper. ``round_s``: what an ordinary one takes at least."""

    def __init__(self, round_s: float) -> None:
        self._round_s = round_s
        self._level = 0.0
        self._told_s = 0.0

    def began(self, runs: int, now_s: float) -> None:
        """So many runs were told to Redis for the first time in this round. ``now_s``: monotonic."""
        leaked = (now_s - self._told_s) * _MANY_PER_S
        self._level = min(_MOST, max(0.0, self._level - leaked) + runs)
        self._told_s = now_s

    def round_s(self, *, prints: bool) -> float:
        """How long this round takes at least. ``prints``: whether a run that goes on has printed anything."""
        return self._round_s * _CROWD_ROUNDS if self._level > _CROWD and not prints else self._round_s
