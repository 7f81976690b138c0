"""Who is given output next, and from where: viewers who stand at the same place are one read and one encoding.

This is the pump's only step that is taken for each viewer before anything is sent, so it says little and allocates
less. No I/O; the time is given.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from livetask.server.batches import Place
from livetask.server.feed import Feed, Follower

FEW = 4
"""As long as no more follow the task, and wait in one round, the quick ones are given much at once."""

QUICK_S = 0.1
"""Who has room for a piece again after this is quick: more is read for it than it is given now."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """``places``: where to read, and for whom. ``early``: those whose next push is not due yet. ``clogged``: those
    whose transport holds too much. ``ending``: tasks of viewers who are only told ends, which have more output."""

    places: dict[Place, list[Follower]] = field(default_factory=dict)
    early: list[Follower] = field(default_factory=list)
    clogged: list[Follower] = field(default_factory=list)
    ending: set[Feed] = field(default_factory=set)


def gathered(followers: Collection[Follower], now_s: float, wide: bool = False) -> Gathered:
    """Sort viewers; one that cannot be given anything because its window is full is marked as ``blocked``.

    ``wide``: if they are few, those who are quick have their wide window.
    """
    found = Gathered()
    wide = wide and len(followers) <= FEW
    alike: dict[tuple[Feed, int, int], list[Follower]] = {}  # by the cursor's identity: comparing the values costs more
    for follower in followers:
        sub = follower.sub
        cursor = sub.cursor
        if follower.closed or cursor is None:
            continue
        if not sub.reads:
            if sub.wish.mode == "ends":
                found.ending.add(follower.feed)
            continue
        if follower.lens is not None and not follower.may_see:
            continue
        if follower.due_s > now_s:
            found.early.append(follower)
            continue
        way = follower.sink.way
        if (way is None or way.holds) and not follower.sink.drained:
            found.clogged.append(follower)
            continue
        room = (_wide_room(follower, now_s) if wide else 0) or sub.room(True)
        if not room:
            follower.blocked = True
            continue
        key = (follower.feed, id(cursor), room)
        some = alike.get(key)
        if some is None:
            alike[key] = [follower]
        else:
            some.append(follower)
    for (feed, _, room), some in alike.items():
        cursor = some[0].sub.cursor
        assert cursor is not None
        found.places.setdefault(Place(feed.task_id, cursor, room), []).extend(some)
    return found


def is_quick(follower: Follower, now_s: float) -> bool:
    """It was given a piece a moment ago, and has room again."""
    return now_s - follower.given_s < QUICK_S


def _wide_room(follower: Follower, now_s: float) -> int:
    few = len(follower.feed.followers) <= FEW  # of a crowd that comes back few may have room: they go on sharing reads
    return follower.sub.wide_room() if few and is_quick(follower, now_s) else 0
