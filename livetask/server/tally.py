"""What the hub has given its viewers, counted: output, and what could not be delivered, by reason.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from livetask.server.events import Output, Piece
from livetask.server.feed import Follower


@dataclass(slots=True)
class Tally:
    """Since the server started. ``gaps``, ``gap_bytes``: by reason; all counted once for each viewer."""

    pieces: int = 0
    output_bytes: int = 0
    gaps: dict[str, int] = field(default_factory=dict)
    gap_bytes: dict[str, int] = field(default_factory=dict)

    def add(self, pieces: Sequence[Piece], viewers: int) -> None:
        """``pieces`` were told to so many viewers."""
        for piece in pieces:
            if isinstance(piece, Output):
                self.pieces += viewers
                self.output_bytes += viewers * piece.size_bytes
            else:
                reason = piece.gap.reason
                self.gaps[reason] = self.gaps.get(reason, 0) + viewers
                self.gap_bytes[reason] = self.gap_bytes.get(reason, 0) + viewers * piece.gap.size_bytes


@dataclass(frozen=True, slots=True)
class Lags:
    """How far viewers are behind what is stored, as far as the server knows. ``full``: whose window is full."""

    behind: int
    most_bytes: int
    sum_bytes: int
    full: int


def lags_of(followers: Iterable[Follower], clogged: int) -> Lags:
    """Over all viewers of all tasks. ``clogged``: how many wait for their transport to hold less."""
    behind = most = total = full = 0
    for follower in followers:
        cursor = follower.sub.cursor
        end = None if cursor is None or not follower.sub.reads else follower.feed.ends.get(cursor.run)
        lag = 0 if cursor is None or end is None else end.byte - cursor.position.byte
        if lag > 0:
            behind, most, total = behind + 1, max(most, lag), total + lag
        full += follower.blocked
    return Lags(behind, most, total, full + clogged)
