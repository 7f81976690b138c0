"""What is counted, for whom, and what is answered when it was too much: over HTTP and Socket.IO alike.

Counted are starts of tasks, subscriptions (reading a log live or whole is one), searches and logins, for the caller if
it is known and else for the address.

Must never know: what becomes of what is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from livetask.access_errors import TooFast
from livetask.server.armour.rates import Rates, place_of
from livetask.server.asker import asked_by
from livetask.server.edge import Handler

START, SUBSCRIPTION, SEARCH, LOGIN = "starts", "subscriptions", "searches", "logins"

EVENTS = {
    "subscribe": SUBSCRIPTION,
    "watch": SUBSCRIPTION,
    "join": SUBSCRIPTION,
    "send_task": START,
    "rerun_task": START,
    "rerun_tasks": START,
}
"""Which Socket.IO events count as what."""

_BULK, _CHAIN = "task_ids", "chain"


class Meter:
    """``per_minute``: how many of each kind one caller may ask for in a minute; 0 for any number."""

    def __init__(self, per_minute: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self._rates = Rates(per_minute)
        self._per_minute = dict(per_minute)
        self._clock = clock

    def count(self, kind: str, cost: int = 1) -> None:
        """Count a deed of whoever asks for what is being done. Raises TooFast."""
        wait_s = self._rates.take(kind, place_of(asked_by()), self._clock(), cost)
        if wait_s > 0:
            raise TooFast(kind, self._per_minute[kind], wait_s)

    def event(self, name: str, message: object = None) -> None:
        """Count a Socket.IO event; one for many tasks, or with a chain, counts as many. Raises TooFast."""
        kind = EVENTS.get(name)
        if kind is not None:
            self.count(kind, _tasks_in(message))

    def body(self, message: object) -> None:
        """Count what is chained onto the task as which the request was counted before it was read. Raises TooFast."""
        chained = _tasks_in(message) - 1
        if chained:
            self.count(START, chained)

    @property
    def middleware(self) -> Any:
        """What every request passes, after it is known who asks."""

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            kind = _kind_of(request)
            if kind is not None:
                self.count(kind)
            return await handler(request)

        return count


def _tasks_in(message: object) -> int:
    """How many tasks a message is about; nothing else of it has been looked at yet."""
    if not isinstance(message, dict):
        return 1
    many, chain = message.get(_BULK), message.get(_CHAIN)
    if isinstance(many, list):
        return max(1, len(many))
    return 1 + (len(chain) if isinstance(chain, list) else 0)


def _kind_of(request: web.Request) -> str | None:
    """As what a request counts; by its path, so that it is counted before anything of it is looked at."""
    path = request.path.rstrip("/")
    last = path.rpartition("/")[2]
    if request.method == "POST":
        return START if path == "/task" or last == "rerun" else LOGIN if path == "/login" else None
    if last in ("search", "marks"):
        return SEARCH
    if last in ("log.txt", "log.gz") or (last == "log" and "live" in request.query):
        return SUBSCRIPTION
    return None
