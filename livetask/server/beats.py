"""Heartbeats: each viewer is told where the output that it follows ends, so that it notices what it lacks.

Must never know: how a packet travels.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from livetask.server.frames import Packet
from livetask.server.hub import Hub
from livetask.server.viewers import Viewer

_Ends = tuple[tuple[str, str], ...]


def heartbeats(viewers: Iterable[Viewer], hub: Hub) -> Iterator[tuple[Viewer, Packet]]:
    """For each viewer its packet, as things stand when it is asked for; those that are alike are one, encoded once."""
    at_ms = int(time.time() * 1000)
    alike: dict[_Ends, Packet] = {}
    for viewer in viewers:
        shown = _ends(viewer, hub)
        packet = alike.get(shown)
        if packet is None:
            told = {"at_ms": at_ms, "store": hub.store_state, "ends": dict(shown)}
            packet = alike[shown] = Packet("heartbeat", told)
        yield viewer, packet


def _ends(viewer: Viewer, hub: Hub) -> _Ends:
    ends = ((task_id, hub.end_of(follower)) for task_id, follower in viewer.followers.items())
    return tuple((task_id, str(end)) for task_id, end in ends if end is not None)
