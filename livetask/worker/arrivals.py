"""Which tasks the worker's main process has received and must say of that they are queued.

Most tasks begin at once, and what begins says the rest of it itself. So a request is only put down here, and looked at
when a moment has passed: of one that a pool process has accepted by then nothing is told. Putting it down costs the
main process a microsecond; telling of it costs it 30 to 140, the shipper as much, and Redis a script.

It must never know what is told of a request, nor how.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

HELD_S = 0.3
"""A list of tasks shows a queued one so much later, at most. A worker that takes fifty tasks in advance, of a
millisecond each, has each for 0.05 s before it begins: with that moment half of them were told of."""

MOST_HELD_S = 1.0
"""The same where tasks begin so quickly that all that wait will have begun by then. On a machine that was so busy that
fifty took 0.32 s each was told of, which made it slower still: a task then cost twice as much."""

_MANY_PER_S = 30
"""Of fewer that begin nothing is to be learnt about the next ones."""

_HELD = 1000
"""With so many received in a moment the oldest is not waited for."""


class Arrivals:
    """What has come and is not told of.

    ``tell``: tells of a request that waits, with the wall clock in ms of when it was received. ``later``: calls a
    function after so many seconds, without another thread waiting for it. ``clock``: monotonic, in seconds.
    """

    def __init__(
        self,
        tell: Callable[[Any, int], None],
        later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._later = later
        self._clock = clock
        self._held: deque[tuple[float, int, Any]] = deque()
        self._due_s = 0.0
        self._asked_s = 0.0
        self._patience_s = HELD_S

    def came(self, request: Any, at_ms: int) -> None:
        """A request was received. ``request``: the worker's. ``at_ms``: when, wall clock."""
        now_s = self._clock()
        self._held.append((now_s, at_ms, request))
        if len(self._held) > _HELD:
            self._tell_oldest()
        if now_s > self._due_s:  # it was late, or never came: Celery clears its timer when it loses its broker
            self._ask_for_look(now_s)

    def tell_all(self) -> None:
        """Tell of all that has not begun, without waiting any longer."""
        while self._held:
            self._tell_oldest()

    def look(self) -> None:
        """Tell of what has waited for long enough; called by ``later``, and whenever there is an occasion."""
        now_s = self._clock()
        self._leave_out_begun(now_s - self._asked_s)
        while self._held and self._held[0][0] <= now_s - self._patience_s:
            self._tell_oldest()
        if self._held and now_s >= self._due_s:
            self._ask_for_look(now_s)

    def _leave_out_begun(self, seconds: float) -> None:
        """``seconds``: since it was asked for this look. Who asks for more looks than one does not change the pace."""
        before = len(self._held)
        self._held = deque(one for one in self._held if not _has_begun(one[2]))
        if seconds >= HELD_S / 2:
            begin_per_s = (before - len(self._held)) / seconds
            all_begin_soon = len(self._held) <= begin_per_s * (MOST_HELD_S - HELD_S)
            self._patience_s = MOST_HELD_S if begin_per_s >= _MANY_PER_S and all_begin_soon else HELD_S

    def _ask_for_look(self, now_s: float) -> None:
        self._asked_s, self._due_s = now_s, now_s + HELD_S
        self._later(HELD_S, self.look)

    def _tell_oldest(self) -> None:
        _, at_ms, request = self._held.popleft()
        if not _has_begun(request):
            self._tell(request, at_ms)


def _has_begun(request: Any) -> bool:
    return getattr(request, "time_start", None) is not None  # Celery's, set when a pool process has accepted it
