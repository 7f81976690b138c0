"""Which of a crowd are given output now, where giving it to all of them each time would take most of the server's time.

What a viewer costs is a send, however little is sent. A thousand cost 16 ms, and a task that prints all the time has
more every 20. So each time a part of its viewers is given what has come since their own last turn: those who are
furthest behind. Each has half of the pieces, twice as large, and the server the half of the work; while one part is
given, what comes for others waits for that part alone.

A turn comes with the next output; where none comes, after ``LATE_S``. Nobody waits for a turn

- where all can be given it in ``SHARE`` of the time since the last turn began: a line now and then goes to all at once;
- as long as there is more to read than one piece, or when the run is over: waiting would save nothing;
- among viewers whom giving takes less than ``LEAST_S``, which are about 300.

Pure: no I/O, no clock; times are given, monotonic, in seconds. Must never know: how viewers are told.
"""

from __future__ import annotations

from collections import defaultdict
from math import ceil

from livetask.server.batches import Place
from livetask.server.feed import Feed, Follower

SHARE = 0.5
"""Of the time since the last turn began: all are given output as long as that takes no more."""

MOST = 0.85
"""Of the same time: so much may a part of them take. Fewer and larger parts are fewer outputs that one waits for."""

LEAST_S = 0.005
"""What takes less is given to all at once; and what could be given in less is waited for, and is no turn."""

LATE_S = 0.03
"""A turn comes no later than this after the one before began: a worker that prints all the time appends every 20 ms."""


def how_many(viewers: int, each_s: float, since_s: float) -> int:
    """Of so many viewers: how many are given output now. ``each_s``: what giving it to one takes.

    ``since_s``: since the last turn began. The parts are as even as they can be.
    """
    all_s = viewers * each_s
    if all_s <= max(SHARE * since_s, LEAST_S):
        return viewers
    if SHARE * since_s < LEAST_S:
        return 0
    return ceil(viewers / max(2, ceil(all_s / (MOST * since_s))))


def by_turns(places: dict[Place, list[Follower]], now_s: float) -> dict[Feed, list[Follower]]:
    """Take those out of ``places`` who wait for their turn; and who they are. Who is furthest behind comes first."""
    crowds: dict[Feed, list[Place]] = defaultdict(list)
    for place, followers in places.items():
        feed = followers[0].feed
        if feed.each_s and _follows(place, feed):
            crowds[feed].append(place)
    waiting: dict[Feed, list[Follower]] = {}
    for feed, here in crowds.items():
        viewers = sum(len(places[place]) for place in here)
        many = how_many(viewers, feed.each_s, now_s - feed.turn_s)
        if many and viewers * feed.each_s > LEAST_S:
            feed.turn_s = now_s
        if many < viewers:
            waiting[feed] = _parted(places, here, many)
    return waiting


def _parted(places: dict[Place, list[Follower]], here: list[Place], many: int) -> list[Follower]:
    """Leave so many of the viewers who stand ``here`` in ``places``; the others."""
    others: list[Follower] = []
    for place in sorted(here, key=_order):
        followers = places.pop(place)
        if many:
            places[place] = followers[:many]
        others += followers[many:]
        many = max(0, many - len(followers))
    return others


def _follows(place: Place, feed: Feed) -> bool:
    """Who stands there is given all there is at once, and there may be more."""
    end = feed.ends.get(place.cursor.run)
    if end is not None and end.byte - place.cursor.position.byte > place.max_bytes:
        return False
    run = feed.task.run(place.cursor.run) if feed.task is not None else None
    return run is not None and run.how is None


def _order(place: Place) -> tuple[int, int]:
    return place.cursor.run, place.cursor.position.byte
