"""Heartbeats: each viewer is told where the output that it follows ends, so that it notices what it lacks.

While the ends move, and for some beats after that, a viewer is told at every beat. When they have stood still for so
long that whoever lacks something has noticed, it is told at every third: that shows that the line is alive, and most
of what a viewer who only stands there costs is the sending.

Must never know: how a packet travels.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from livetask.position import Position
from livetask.server.feed import Feed
from livetask.server.frames import Packet
from livetask.server.viewers import Ends, Viewer

_EVERY = 3
_QUIET_S = 15.0
"""At the longest, unless beats themselves are further apart; clients give up a line that is silent for 20 s."""
_AT_FULL_PACE = 3
"""So many beats after the ends have moved; clients act on the third at the latest."""


class Beats:
    """The heartbeats of one server. ``beat_s``: how far apart they are."""

    def __init__(self, beat_s: float) -> None:
        self._every = max(1, min(_EVERY, int(_QUIET_S / beat_s)))

    def due(self, viewers: Iterable[Viewer], store_state: str) -> Iterator[tuple[Viewer, Packet]]:
        """For each viewer who is to be told its packet, as things stand when it is asked for; those that are alike are
        one, encoded once.
        """
        at_ms = int(time.time() * 1000)
        alike: dict[Ends, Packet] = {}
        texts: dict[tuple[Feed, int, Position], str] = {}
        for viewer in viewers:
            shown = _ends(viewer, texts)
            if not self._is_due(viewer, shown):
                continue
            packet = alike.get(shown)
            if packet is None:
                packet = alike[shown] = Packet("heartbeat", {"at_ms": at_ms, "store": store_state, "ends": dict(shown)})
            yield viewer, packet

    def _is_due(self, viewer: Viewer, shown: Ends) -> bool:
        if viewer.beat_ends != shown:
            viewer.beat_ends, viewer.still = shown, 0
        viewer.still += 1
        return viewer.still <= _AT_FULL_PACE or (viewer.still - _AT_FULL_PACE) % self._every == 0


def _ends(viewer: Viewer, texts: dict[tuple[Feed, int, Position], str]) -> Ends:
    """The last known end of the run that each of its followers is in; ``texts``: those written already."""
    found = []
    for task_id, follower in viewer.followers.items():
        cursor = follower.sub.cursor
        if cursor is None or not follower.may_see:
            continue
        end = follower.feed.ends.get(cursor.run, cursor.position)
        key = follower.feed, cursor.run, end
        text = texts.get(key)
        if text is None:
            text = texts[key] = f"{cursor.run}.{cursor.nonce}.{end}"
        found.append((task_id, text))
    return tuple(found)
