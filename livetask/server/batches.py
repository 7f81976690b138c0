"""What is read for viewers in one go: the places where they stand, so many that the answer stays small.

Pure: no I/O, no clock. Must never know: how output is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from livetask.position import Cursor
from livetask.server.feed import Follower

_ROUND_BYTES = 2 * 1024 * 1024
_LIVE_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """What is read for all the viewers who stand there."""

    task_id: str
    cursor: Cursor
    max_bytes: int


def batches(places: Mapping[Place, list[Follower]]) -> Iterator[dict[Place, list[Follower]]]:
    """The places in parts, so that what is read at once stays small."""
    part: dict[Place, list[Follower]] = {}
    size = 0
    for place, followers in places.items():
        behind = followers[0].feed.ends.get(place.cursor.run, place.cursor.position).byte - place.cursor.position.byte
        size += min(place.max_bytes, max(_LIVE_BYTES, behind))
        part[place] = followers
        if size >= _ROUND_BYTES:
            yield part
            part, size = {}, 0
    if part:
        yield part
