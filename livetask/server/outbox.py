"""What waits for the next poll of a client that polls, and what the last one was given.

A browser repeats a request by itself, and tells nobody, when the connection under it was cut before anything came back.
What the first one was given would be lost without a sign, and what it brought would be done twice. Clients give each
request a name of its own, ``t``: so one that comes again is known. A poll that comes again is given the same packets;
one that still waits when another comes is given nothing.

Must never know: what the packets say.
"""

from __future__ import annotations

import asyncio
from collections import deque

from engineio import packet

_NAMES = 32


class Outbox:
    """Packets on their way to one client. None among them: nothing more will come."""

    def __init__(self) -> None:
        self._packets: deque[packet.Packet | None] = deque()
        self._stirred = asyncio.Event()
        self._polls = 0
        self._given: tuple[str, list[packet.Packet]] = ("", [])
        self._brought: deque[str] = deque(maxlen=_NAMES)

    def put_nowait(self, pkt: packet.Packet | None) -> None:
        """Add one; a poll that waits is given it."""
        self._packets.append(pkt)
        self._stirred.set()

    def get_nowait(self) -> packet.Packet | None:
        """Take the first; IndexError if there is none."""
        return self._packets.popleft()

    def empty(self) -> bool:
        """Nothing waits."""
        return not self._packets

    def qsize(self) -> int:
        """How many wait."""
        return len(self._packets)

    async def poll(self, name: str, within_s: float) -> list[packet.Packet]:
        """All that waits; if nothing does, what comes first. ``name``: of the request, '' for none.

        Raises TimeoutError when nothing has come ``within_s`` seconds.
        """
        if name and name == self._given[0]:
            return self._given[1]
        self._polls += 1
        this = self._polls
        self._stirred.set()  # the poll before this one, whose client has given it up
        async with asyncio.timeout(within_s):
            while this == self._polls and not self._packets:
                self._stirred.clear()
                await self._stirred.wait()
        if this != self._polls:
            return [packet.Packet(packet.NOOP)]
        self._given = name, self._taken()
        return self._given[1]

    def _taken(self) -> list[packet.Packet]:
        taken: list[packet.Packet] = []
        while self._packets:
            pkt = self._packets.popleft()
            if pkt is None:
                if taken:
                    self._packets.appendleft(None)
                break
            taken.append(pkt)
        return taken

    def is_new(self, name: str) -> bool:
        """Whether what the request of this name has brought is to be done: it has not come before."""
        if name and name in self._brought:
            return False
        self._brought.append(name)
        return True
