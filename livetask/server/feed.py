"""What the hub keeps of a task that viewers follow, and of each of these viewers.

No output is kept here: a feed knows the task and where its runs end, a follower has a subscription and a sink.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from livetask.position import Position
from livetask.server.access.sight import Lens
from livetask.server.events import Emitted, Event, RunChanged
from livetask.server.frames import Told
from livetask.server.reels import Reel
from livetask.server.subscription import Subscription
from livetask.server.tasks import Run, Task

_ENTRY_BYTES = 16 * 1024
"""How large entries are, until some were read."""
_MOST_ENTRIES = 64

_FEW = 50
_CROWD_RATE = 30
"""Where more than a few follow a task, their screens change so many times a second at most: twice as many would be
twice the server's work, and a line comes 8 ms sooner in the mean."""
CROWD = 20
"""So many who are given the same: what giving it to one takes can be told from it. Also from small parts of a crowd:
else it would stay parted for good after one dear turn."""


class Gone(Exception):
    """The viewer has gone, or was cut off: an ordinary end."""


class Way(Protocol):
    """A connection that takes finished frames, and never waits."""

    @property
    def holds(self) -> bool:
        """Some of what was written is still in this process."""

    @property
    def over(self) -> bool:
        """Nothing that is written now would arrive, as far as is known."""

    @property
    def write(self) -> Callable[[bytes], object]:
        """Write finished frames."""


class Sink(Protocol):
    """The way to one viewer. It takes what it is told at once, and says when it can take more output."""

    @property
    def way(self) -> Way | None:
        """What an event's frames may be written to in place of telling it, as long as that holds nothing and is not
        over; None where there is no such thing."""

    @property
    def drained(self) -> bool:
        """Little of what it was told is still on its way; output is sent only then."""

    def tell(self, told: Told) -> None:
        """Send it. Never waits. Raises Gone; any other error also ends this viewer and nothing else."""


class Follower:
    """One viewer of one task. ``given_s``: when it was given output last, monotonic; ``due_s``: none is sent before it.
    ``waits``: a timer will wake it.

    ``form``: those who stand at one place and have the same are sent the same: as bytes or not, and how many lines of a
    screen at most, 0 for all.

    ``blocked``: there is output for it, and its window is full. ``reel``: how far it is among the task's events, None
    if it wants none. ``over``: the task has ended, and the viewer was told. ``lens``: what of the task it may see, None
    for all.
    """

    __slots__ = (
        "_judged",
        "blocked",
        "closed",
        "due_s",
        "feed",
        "form",
        "given_s",
        "lens",
        "over",
        "reel",
        "sink",
        "sub",
        "waits",
    )

    def __init__(
        self, feed: Feed, sub: Subscription, sink: Sink, reel: Reel | None = None, lens: Lens | None = None
    ) -> None:
        self.feed = feed
        self.lens = lens
        self._judged: tuple[Task | None, bool] = (None, True)
        self.sub = sub
        self.form = (sub.wish.binary, sub.wish.lines if sub.wish.mode == "screen" else 0)
        self.sink = sink
        self.reel = reel
        self.over = False
        self.due_s = 0.0
        self.given_s = float("-inf")
        self.waits = False
        self.blocked = False
        self.closed = False

    @property
    def task(self) -> Task | None:
        """What is known of the task."""
        return self.feed.task

    @property
    def may_see(self) -> bool:
        """The viewer may see the task, as it is known now; one of which nothing is stored has nothing to hide."""
        task = self.feed.task
        if self.lens is None or task is None:
            return True
        if self._judged[0] is not task:
            self._judged = task, self.lens(task)
        return self._judged[1]

    def wants_run(self, ordinal: int) -> bool:
        """The viewer follows that run, if there is to be one."""
        return self.sub.wish.run is None or self.sub.wish.run == ordinal

    def is_told(self, event: Event) -> bool:
        """Who follows one run is not told of the others, and who wants events only is told nothing else."""
        if self.sub.wish.mode == "events":
            return isinstance(event, Emitted)
        return not isinstance(event, RunChanged) or self.wants_run(event.run.run)

    def wait_for_tick(self, now_s: float) -> None:
        """A screen was shown something: the next comes to all of that rate at once, so that they stand at one place."""
        rate = self.sub.wish.rate
        if rate > _CROWD_RATE and len(self.feed.followers) > _FEW:
            rate = _CROWD_RATE
        self.due_s = (int(now_s * rate) + 1) / rate


class Feed:
    """A task that viewers follow.

    ``task``: as it was seen last. ``followers``: as they came, which is how what is kept of them lies in memory; in the
    order of a set, giving a thousand of them a piece takes a twelfth longer. ``ends``: the last known end of each run.
    ``told_at_s``: when its viewers were told last that it changed, monotonic; ``owes_news``: they will be told soon.
    ``waits``: a timer will have it looked at. ``each_s``: what giving output to one of its crowd takes of the
    processor, 0 as long as there was none; ``turn_s``: when a crowd's last turn began, monotonic (see ``crowding``).
    """

    __slots__ = (
        "_entry_bytes",
        "each_s",
        "ends",
        "followers",
        "owes_news",
        "task",
        "task_id",
        "told_at_s",
        "turn_s",
        "waits",
    )

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self.task: Task | None = None
        self.followers: dict[Follower, None] = {}
        self.ends: dict[int, Position] = {}
        self._entry_bytes = _ENTRY_BYTES
        self.told_at_s = float("-inf")
        self.owes_news = False
        self.waits = False
        self.each_s = 0.0
        self.turn_s = float("-inf")

    def saw(self, task: Task | None) -> list[Run]:
        """Take over what is stored of the task now; which of its runs began, ended or were taken back."""
        before, self.task = self.task, task
        if task is None:
            return []
        self.ends = {run.run: run.end for run in task.runs}
        return list(task.runs) if before is None else changed_runs(before, task)

    def read(self, entries: int, size_bytes: int) -> None:
        """Learn from a read how large entries are."""
        if entries:
            self._entry_bytes = max(size_bytes // entries, 1)

    def gave(self, viewers: int, seconds: float) -> None:
        """Learn what giving output to one of a crowd takes, from the last few times. ``seconds``: of the processor:
        waiting for one that others keep busy is not made shorter by giving less."""
        if viewers >= CROWD:
            each_s = seconds / viewers
            self.each_s += (each_s - self.each_s) / 8 if self.each_s else each_s

    def count(self, max_bytes: int) -> int:
        """How many entries to ask for: enough to fill a piece, few enough to waste nothing."""
        return min(max(max_bytes // self._entry_bytes, 1), _MOST_ENTRIES)


def differs(before: Task | None, task: Task | None) -> bool:
    """Anything but the ends of its runs is different."""
    if before is None or task is None:
        return before is not task
    return _seen(before) != _seen(task)


def _seen(task: Task) -> tuple[object, ...]:
    runs = tuple((run.run, run.nonce, run.how) for run in task.runs)
    return task.state, task.changed_at_ms, task.open, task.progress, task.result, task.name, runs


def changed_runs(before: Task, task: Task) -> list[Run]:
    """Runs that began, ended or were taken back."""
    known = {(run.nonce, run.how) for run in before.runs}
    return [run for run in task.runs if (run.nonce, run.how) not in known]
