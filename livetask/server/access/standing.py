"""Those who stay: viewers and requests that go on for long are asked about again while they are here.

Every ``again_s`` seconds each is looked at once more. Who is not recognised any more (its token is revoked, its session
over) or may now do other things is told and put out, and comes back as who it is by then. Where it cannot be found out
because Redis is away, nothing changes until it is back: without Redis there is nothing to be seen either.

Must never know: Redis, Celery, what a connection is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from livetask.errors import LivetaskError, Unavailable
from livetask.server.access.caller import NOBODY, Caller
from livetask.server.access.presented import Presented

AGAIN_S = 20.0

_AT_ONCE = 16
_TOLD_WITHIN_S = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loss:
    """Why somebody has to go. ``code``: login_needed or rights_changed. ``reason``: for people."""

    code: str
    reason: str


OVER = Loss("login_needed", "your login is over")
CHANGED = Loss("rights_changed", "what you may do here has changed")

Tell = Callable[[Loss], Awaitable[None]]


class Recognises(Protocol):
    """What says who somebody is."""

    async def caller_of(self, presented: Presented) -> Caller: ...


@dataclass(eq=False, slots=True)
class Stay:
    """One who stays. ``lost``: tells it that it has to go, and puts it out."""

    presented: Presented
    caller: Caller
    lost: Tell


class Standing:
    """See the module's docstring. ``gate``: see Recognises. ``again_s``: how often everyone is looked at."""

    def __init__(self, gate: Recognises, again_s: float = AGAIN_S) -> None:
        self._gate = gate
        self._again_s = again_s
        self._here: set[Stay] = set()

    @property
    def here(self) -> int:
        """How many stay."""
        return len(self._here)

    def enter(self, presented: Presented, caller: Caller, lost: Tell) -> Stay:
        """From now on this one is looked at, until ``leave``."""
        stay = Stay(presented, caller, lost)
        self._here.add(stay)
        return stay

    def leave(self, stay: Stay) -> None:
        """It has gone."""
        self._here.discard(stay)

    async def run(self) -> None:
        """Look at everyone, for ever."""
        while True:
            await asyncio.sleep(self._again_s)
            await self.look()

    async def look(self) -> None:
        """Look at everyone once. Those who came by the same credential, or with all the same, are one question."""
        groups: dict[object, list[Stay]] = {}
        for stay in self._here:
            groups.setdefault(_question(stay), []).append(stay)
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(stays: list[Stay]) -> None:
            async with room:
                await self._look_at(stays)

        async with asyncio.TaskGroup() as tasks:
            for stays in groups.values():
                tasks.create_task(one(stays))

    async def _look_at(self, stays: list[Stay]) -> None:
        try:
            caller = await self._gate.caller_of(stays[0].presented)
        except Unavailable:
            return
        except LivetaskError:
            caller = NOBODY
        loss = OVER if caller.is_nobody else CHANGED
        changed = [stay for stay in stays if caller != stay.caller and stay in self._here]
        async with asyncio.TaskGroup() as tasks:
            for stay in changed:
                self.leave(stay)
                tasks.create_task(self._put_out(stay, loss))

    async def _put_out(self, stay: Stay, loss: Loss) -> None:
        try:
            async with asyncio.timeout(_TOLD_WITHIN_S):
                await stay.lost(loss)
        except (TimeoutError, ConnectionError):
            log.info("a caller whose %s did not take the news in time", loss.reason)


def _question(stay: Stay) -> object:
    """What is the same for those about whom one question is enough."""
    caller, presented = stay.caller, stay.presented
    if caller.credential:
        return caller.by, caller.credential
    headers = (item for item in presented.headers.items() if not item[0].startswith("sec-websocket-"))
    cookies, auth = presented.cookies.items(), presented.auth.items()
    return caller.by, caller.name, presented.remote, frozenset(headers), frozenset(cookies), frozenset(auth)
