"""One connection, as the live half of the server knows it: what it follows, what it sent, and how to tell it.

It must never know: Celery, Redis, what output looks like.
"""

from __future__ import annotations

import time

from livetask.errors import TooMany
from livetask.server.access.caller import Caller
from livetask.server.access.presented import Presented
from livetask.server.access.sight import Lens
from livetask.server.access.standing import Stay
from livetask.server.catalog import Watcher
from livetask.server.feed import Follower
from livetask.server.frames import Told
from livetask.server.transport import Transport

Ends = tuple[tuple[str, str], ...]
"""(task id, the last known end of the run that is followed, as a cursor)."""


class Viewer:
    """One connection. ``inbound_per_s``: how many messages a second it may send. ``presented``: what it came with.
    ``caller``: who it is. ``stay``: has it looked at again while it is here; None where nobody is asked.

    ``followers``: what it subscribed to. ``sent``: the tasks it has sent and not subscribed to, whose
    events it is told. ``beat_ends``: the ends at the last heartbeat; ``still``: for how many they have been those.
    """

    __slots__ = (
        "_allowance", "_counted_at_s", "_limit", "_presented", "beat_ends", "caller", "followers", "sent", "sid",
        "stay", "still", "transport", "watcher", "watches",
    )  # fmt: skip

    way = None  # the list, and what comes by rooms, is told as packets

    def __init__(
        self, sid: str, transport: Transport, inbound_per_s: int, presented: Presented, caller: Caller
    ) -> None:
        self.sid = sid
        self.transport = transport
        self._presented = presented
        self.caller = caller
        self.stay: Stay | None = None
        self.followers: dict[str, Follower] = {}
        self.sent: dict[str, Follower] = {}
        self.watcher: Watcher | None = None
        self.watches = 0
        self.beat_ends: Ends | None = None
        self.still = 0
        self._limit = inbound_per_s
        self._allowance = float(inbound_per_s)
        self._counted_at_s = time.monotonic()

    @property
    def headers(self) -> dict[str, str]:
        """Those that it came with, names in lower case."""
        return {name: ",".join(values) for name, values in self._presented.headers.items()}

    @property
    def drained(self) -> bool:
        """As a sink for the list of tasks, and as a member of rooms."""
        return self.transport.drained

    def tell(self, told: Told) -> None:
        """As a sink for the list of tasks, and as a member of rooms."""
        self.transport.send(told.packet(False))

    @property
    def lens(self) -> Lens:
        """As a member of rooms."""
        return Lens(self.caller)

    def hears_of(self, task_id: str) -> bool:
        """As a member of rooms."""
        follower = self.sent.get(task_id) or self.followers.get(task_id)
        return follower is not None and follower.reel is not None

    def count(self, cost: float) -> None:
        """Count a message against the limit; raises TooMany."""
        now_s = time.monotonic()
        self._allowance = min(self._limit, self._allowance + (now_s - self._counted_at_s) * self._limit)
        self._counted_at_s = now_s
        if self._allowance < cost:
            raise TooMany("messages a second", self._limit)
        self._allowance -= cost
