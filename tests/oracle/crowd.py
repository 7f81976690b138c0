"""Many viewers in one process: bare WebSockets that speak as much Socket.IO as it takes to follow one task.

They come back as clients do: after as long as the server asked for, by chance up to half as long again, and then with
growing pauses. Each counts its bytes, and that none is missing or doubled.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from livetask.position import Cursor, Position


@dataclass
class Member:
    """One viewer. Times are monotonic. ``byte``: where it stands."""

    cursor: str = "start"
    byte: int = 0
    connects: int = 0
    back_s: float = 0.0
    byes: int = 0
    retry_ms: int = 0
    asked_ms: int = 0
    faults: list[str] = field(default_factory=list)


class Crowd:
    """``size`` viewers of one task at one server."""

    def __init__(self, url: str, task_id: str, size: int) -> None:
        self.url = url
        self.task_id = task_id
        self.members = [Member() for _ in range(size)]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crowd:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._tasks = [asyncio.create_task(self._follow(member)) for member in self.members]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _follow(self, member: Member) -> None:
        wait_s = 0.1
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                if await self._once(member):
                    wait_s = 0.1
            asked_s, member.retry_ms = member.retry_ms / 1000, 0
            await asyncio.sleep(max(asked_s * (1 + random.random() / 2), wait_s * (0.5 + random.random() / 2)))
            wait_s = min(1.0, wait_s * 1.5)

    async def _once(self, member: Member) -> bool:
        """One connection; whether it was subscribed."""
        subscribed = False
        address = f"{self.url}/socket.io/?EIO=4&transport=websocket"
        async with self._session.ws_connect(address, timeout=aiohttp.ClientWSTimeout(ws_close=1.0)) as socket:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                words = message.data
                if words.startswith("0"):
                    await socket.send_str("40")
                elif words == "2":
                    await socket.send_str("3")
                elif words.startswith("40"):
                    wish = {"task_id": self.task_id, "from": member.cursor, "wait": True}
                    await socket.send_str("421" + json.dumps(["subscribe", wish]))
                elif words.startswith("431") and json.loads(words[3:])[0].get("ok"):
                    subscribed = True
                    member.connects += 1
                    member.back_s = time.monotonic()
                elif words.startswith("42"):
                    self._took(member, *json.loads(words[2:]))
        return subscribed

    def _took(self, member: Member, event: str, wire: dict[str, Any]) -> None:
        if event == "bye":
            member.byes += 1
            member.retry_ms = member.asked_ms = int(wire["retry_ms"])
        elif event == "output":
            start = Position.parse(wire["from"]).byte
            if start != member.byte:
                member.faults.append(f"expected byte {member.byte}, got {start}")
            member.cursor = wire["cursor"]
            member.byte = Cursor.parse(member.cursor).position.byte
        elif event in ("gap", "reset"):
            member.faults.append(event)
