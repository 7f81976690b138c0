"""One viewer's interest in one task: a cursor and a window, and what follows from them.

It is asked where to read next and how much, is given pieces and what is known of the task, and answers with what the
viewer has to be told. It holds no output: a viewer that comes back with its cursor goes on where it was.

| state | cursor | leaves it when |
|---|---|---|
| waiting | None | the task has a run |
| reading | before or at the run's end | it stands at the final position of a run that has ended: told ``Ended`` |
| holding | beyond the end, or of a run that is not stored | the worker has sent it again; or after ``hold_s``: Reset |
| done | at the final position, told | another run begins; or the end was LOST and is taken back |

An end other than LOST stays told, also when a store has lost it and the run seems to go on.

Pure: no I/O, no clock; times are given, monotonic, in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from livetask.position import START, Cursor
from livetask.server.events import CaughtUp, Ended, Event, Grown, Output, Piece, Reset
from livetask.server.tasks import Run, Task

MODES = ("all", "screen", "ends", "events")

PIECE_SIZES = (128 * 1024, 64 * 1024, 32 * 1024, 16 * 1024, 4 * 1024)
"""How much is sent at once: few sizes, so that viewers at the same place also share the piece."""

WIDE_SIZES = (512 * 1024, 256 * 1024, 128 * 1024)
"""The same for one who reads a long log and is quick, while few do: each piece costs as much, whatever its size. As
JSON at most six times as much, which is below the 4 MiB that Python's WebSocket clients take."""

UNPROVEN_BYTES = 32 * 1024
"""The largest piece for who has acknowledged nothing: if it never reads, this much stays in the server's memory."""

_STRETCHES = 64


@dataclass(frozen=True, slots=True)
class Wish:
    """What a viewer asks for. ``mode``: one of MODES. ``binary``: output as bytes. ``run``: only that run.

    ``rate``: the most pushes a second and ``lines``: the most lines in one, in mode 'screen'. ``marks``: CaughtUp is
    told after each piece that has nothing after it, and not only when the viewer had been behind.
    """

    mode: str = "all"
    binary: bool = False
    run: int | None = None
    rate: int = 30
    lines: int = 200
    marks: bool = False


class Subscription:
    """See the module's docstring.

    ``cursor``: where to begin; None: at the start of the first run there will be. ``window_bytes``: the most that may
    be under way once the viewer acknowledges; ``wide_window_bytes``: the same where ``wide_room`` is asked for.
    ``hold_s``: how long output that has disappeared is waited for.
    """

    __slots__ = (
        "_acked",
        "_base",
        "_behind",
        "_earlier",
        "_flows",
        "_from",
        "_hold_s",
        "_lost_since_s",
        "_told",
        "_window",
        "acks",
        "cursor",
        "wide_window_bytes",
        "wish",
    )

    def __init__(
        self, wish: Wish, cursor: Cursor | None, window_bytes: int, hold_s: float = 60.0, wide_window_bytes: int = 0
    ) -> None:
        self.wish = wish
        self._flows = wish.mode in ("all", "screen")
        self.wide_window_bytes = wide_window_bytes if wish.mode == "all" else 0
        self.cursor = cursor
        self.acks = False
        self._window = window_bytes
        self._hold_s = hold_s
        self._behind = True
        self._lost_since_s: float | None = None
        self._told: str | None = None  # how the cursor's run ended, once the viewer knows
        # What was sent is counted by the cursor itself: all bytes sent are _base and the cursor's byte. That holds from
        # the byte _from on, after which nothing was left out; before it, _earlier knows.
        self._from = 0 if cursor is None else cursor.position.byte
        self._base = -self._from
        self._acked = 0
        self._earlier: tuple[_Stretch, ...] = ()

    @property
    def window_bytes(self) -> int:
        """The most that is under way once the viewer acknowledges."""
        return self._window

    # ---- what to read

    @property
    def reads(self) -> bool:
        """Output is to be read for it, from its cursor on."""
        return self._flows and self._told is None and self.cursor is not None

    @property
    def under_way_bytes(self) -> int:
        """What was sent and not acknowledged; without meaning for a viewer that never acknowledges."""
        return self._sent - self._acked

    @property
    def _sent(self) -> int:
        return self._base if self.cursor is None else self._base + self.cursor.position.byte

    def room(self, drained: bool) -> int:
        """How many bytes may be sent now: one of PIECE_SIZES, or 0. ``drained``: its transport holds little."""
        if not drained:
            return 0
        if not self.acks:
            free = min(self._window, UNPROVEN_BYTES)
        elif self.cursor is None:
            free = self._window
        else:  # without the properties above: this is done for each viewer and each piece
            free = self._window + self._acked - self._base - self.cursor.position.byte
        for size in PIECE_SIZES:
            if size <= free:
                return size
        return 0

    def wide_room(self) -> int:
        """The same for one who is quick while few are behind: the largest of WIDE_SIZES that has room twice, or 0.

        Who reads more slowly than this is sent would else be given a small piece for every small part it acknowledges.
        """
        if not self.acks or self.cursor is None or self.wide_window_bytes <= self._window:
            return 0
        size = next((size for size in WIDE_SIZES if 2 * size <= self.wide_window_bytes), WIDE_SIZES[-1])
        return size if size <= self.wide_window_bytes - self.under_way_bytes else 0

    # ---- what happens

    def took(self, pieces: Sequence[Piece], reached: bool) -> CaughtUp | None:
        """The pieces, which begin at the cursor, are on their way. ``reached``: there is nothing after them yet."""
        for piece in pieces:
            if not isinstance(piece, Output):
                self._leap(piece.cursor)
            elif self.cursor is None or piece.start.byte != self.cursor.position.byte:
                self._leap(replace(piece.cursor, position=piece.start))
            self.cursor = piece.cursor
        return self._came(reached, bool(pieces))

    def went_on(self, cursor: Cursor, reached: bool) -> CaughtUp | None:
        """The same for one piece of output that begins at its cursor and ends at this one."""
        self.cursor = cursor
        return self._came(reached, True)

    def _came(self, reached: bool, some: bool) -> CaughtUp | None:
        if not reached:
            self._behind = True
        elif (self._behind or (self.wish.marks and some)) and self.cursor is not None:
            self._behind = False
            return CaughtUp(self.cursor)
        return None

    def ack(self, cursor: Cursor) -> None:
        """The viewer has taken over everything up to ``cursor``."""
        self.acks = True
        self._acked = max(self._acked, self._sent_at(cursor))
        if self._earlier and self._acked >= self._earlier[-1].sent:
            self._earlier = ()

    def see(self, task: Task | None, now_s: float) -> list[Event]:
        """What is stored of the task now. To be called when anything but output may have changed."""
        events: list[Event] = []
        while (event := self.step(task, now_s)) is not None:
            events.append(event)
        return events

    def refused(self) -> Reset:
        """The cursor turned out not to be one of its run: begin the run again."""
        assert self.cursor is not None
        self._acked = self._sent
        self._leap(Cursor(self.cursor.run, self.cursor.nonce, START))
        self._behind = True
        return Reset(self.cursor.run, self.cursor, "position_unknown")

    def step(self, task: Task | None, now_s: float) -> Event | None:
        """One step of the table in the module's docstring, if one can be made."""
        if self.cursor is None:
            self._go_to(self._first_run(task))
            return self.step(task, now_s) if self.cursor is not None else None
        run = task.run(self.cursor.run) if task is not None else None
        if run is None or task is None or run.nonce != self.cursor.nonce:
            return self._without_run(task, run, now_s)
        if self._told == "LOST" and run.how != "LOST":
            self._told = None  # taken back, or a true end in its place
        if self._told is not None:
            return self.step(task, now_s) if self._go_on(task) else None
        return self._within(task, run, now_s)

    def _within(self, task: Task, run: Run, now_s: float) -> Event | None:
        """Within a run that is stored, whose end the viewer does not know yet."""
        cursor = run.cursor(run.end)
        if self.wish.mode in ("ends", "events") and cursor != self.cursor:
            self.cursor = cursor
            return Grown(cursor)
        assert self.cursor is not None
        beyond = self.cursor.position.byte > run.end.byte
        if run.how is not None and self.cursor == cursor:
            self._told = run.how
            self._lost_since_s = None
            return Ended(run, task.has_ended and task.run_after(run.run) is None)
        if beyond and (run.how not in (None, "LOST") or self._held_long(now_s)):
            return self._reset(run, "position_unknown")
        if not beyond:
            self._lost_since_s = None
        return None

    def _without_run(self, task: Task | None, other: Run | None, now_s: float) -> Event | None:
        """The cursor's run is not stored. ``other``: a run of another nonce that has its ordinal."""
        if self._told is not None:
            return self.step(task, now_s) if task is not None and self._go_on(task) else None
        if other is not None:
            return self._reset(other, "replaced")
        if not self._held_long(now_s):
            return None
        return self._reset(self._first_run(task), "gone")

    def _held_long(self, now_s: float) -> bool:
        if self._lost_since_s is None:
            self._lost_since_s = now_s
        return now_s - self._lost_since_s >= self._hold_s

    def _reset(self, run: Run | None, reason: str) -> Reset:
        assert self.cursor is not None
        lost = self.cursor.run
        self._acked = self._sent
        self._go_to(run)
        return Reset(lost, self.cursor, reason)

    def _first_run(self, task: Task | None) -> Run | None:
        if task is None or not task.runs:
            return None
        return task.runs[0] if self.wish.run is None else task.run(self.wish.run)

    def _go_on(self, task: Task) -> bool:
        """Go on to the next run, if the viewer follows the task and there is one."""
        assert self.cursor is not None
        run = task.run_after(self.cursor.run) if self.wish.run is None else None
        if run is not None:
            self._go_to(run)
        return run is not None

    def _go_to(self, run: Run | None) -> None:
        self._leap(None if run is None else run.cursor(START))
        self._told = None
        self._lost_since_s = None
        self._behind = True

    def _leap(self, cursor: Cursor | None) -> None:
        """Go to where output is sent next; what lies between was not sent."""
        sent, before = self._sent, self.cursor
        if before is not None and sent > self._acked:
            ended = _Stretch(before.run, self._from, self._base, sent)
            self._earlier = (*self._earlier, ended)[-_STRETCHES:]
        self.cursor = cursor
        self._from = 0 if cursor is None else cursor.position.byte
        self._base = sent - self._from

    def _sent_at(self, cursor: Cursor) -> int:
        """How much had been sent when the viewer was given that cursor; all, if that is still to come."""
        run, byte, now = cursor.run, cursor.position.byte, self.cursor
        if now is None or run > now.run:
            return self._sent
        if run == now.run and byte >= self._from:
            return self._base + min(byte, now.position.byte)
        for stretch in reversed(self._earlier):
            if run > stretch.run:
                return stretch.sent
            if run == stretch.run and byte >= stretch.start:
                return min(stretch.base + byte, stretch.sent)
        return 0


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Output of a run that was sent whole, from the byte ``start`` on. ``base``: what was sent before, less ``start``.

    ``sent``: all that had been sent at its end.
    """

    run: int
    start: int
    base: int
    sent: int
