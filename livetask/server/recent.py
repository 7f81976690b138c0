"""Output that was read a moment ago, ready to be sent again.

When a thousand viewers come back at once, they pass the same places one after the other. What stands at a place never
changes, so for a moment it is kept as it was sent, and Redis is read once for all of them. Only what lies before the
end of a run with several viewers is kept.

Must never know: how output is read, who it is for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from livetask.position import Cursor
from livetask.server.batches import Place
from livetask.server.events import Event, Output
from livetask.server.frames import Told
from livetask.server.pieces import Pieces, cut
from livetask.server.slices import Slice

MOST_BYTES = 8 * 1024 * 1024
"""Of what was read; what was made of it to be sent is about as much again."""

KEEP_S = 1.0
"""What was erased meanwhile is sent for so long to who has just subscribed."""


class Ready:
    """A slice, and what it is cut into for each form that somebody wanted."""

    __slots__ = ("_forms", "_place", "found")

    def __init__(self, place: Place, found: Slice) -> None:
        self.found = found
        self._place = place
        self._forms: dict[bool, tuple[Pieces, Sequence[Told]]] = {}

    def form(self, binary: bool) -> tuple[Pieces, Sequence[Told]]:
        """Its pieces, and what is told of them."""
        form = self._forms.get(binary)
        if form is None:
            pieces = cut(self.found, self._place.cursor, text=not binary, max_bytes=self._place.max_bytes)
            skipped_bytes = self.found.start.byte - self._place.cursor.position.byte
            told = told_of(self._place.task_id, pieces, skipped_bytes)
            form = self._forms[binary] = pieces, told
        return form

    def reached(self) -> set[Cursor]:
        """Where those go on who were sent it, in whatever form."""
        return {pieces.pieces[-1].cursor for pieces, _ in self._forms.values() if pieces.pieces}


def told_of(task_id: str, pieces: Pieces, skipped_bytes: int = 0) -> list[Told]:
    """What is told of the pieces. ``skipped_bytes``: what a screen is not shown before them."""
    told = [Told(task_id, _skipping(piece, skipped_bytes)) for piece in pieces.pieces[:1]]
    return told + [Told(task_id, piece) for piece in pieces.pieces[1:]]


def _skipping(piece: Event, skipped_bytes: int) -> Event:
    if isinstance(piece, Output) and skipped_bytes:
        return replace(piece, skipped_bytes=skipped_bytes)
    return piece


class Recent:
    """See the module's docstring. ``most_bytes``, ``keep_s``: how much is kept, and for how long at most twice over."""

    def __init__(self, most_bytes: int = MOST_BYTES, keep_s: float = KEEP_S) -> None:
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        self._kept: OrderedDict[Place, Ready] = OrderedDict()
        self._size_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def at(self, place: Place) -> Ready | None:
        """What is to be sent to those who stand there, if it was read a moment ago."""
        return self._kept.get(place) if self._kept else None  # a place's hash is not for nothing

    def keep(self, place: Place, found: Slice, viewers: int) -> Ready:
        """Make it ready, and keep it if it is worth it. ``viewers``: of the task."""
        ready = Ready(place, found)
        if viewers < 2 or found.next.byte >= found.end.byte or place in self._kept:
            return ready
        self._kept[place] = ready
        self._size_bytes += found.read_bytes
        while self._size_bytes > self._most_bytes:
            self._size_bytes -= self._kept.popitem(last=False)[1].found.read_bytes
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._keep_s, self._forget)
        return ready

    def _forget(self) -> None:
        self._timer = None
        self._kept.clear()
        self._size_bytes = 0
