"""A viewer with python-socketio's client: follows one task, keeps its place over every cut, and checks each piece.

It forgives nothing: a piece that does not begin where the one before it ended is a fault, even a mere repetition.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import socketio

from livetask.position import Cursor, Position


@dataclass
class Follower:
    """``acks``: whether it tells what it has taken over. ``binary``: whether it asks for bytes in place of text."""

    url: str
    task_id: str
    acks: bool = True
    binary: bool = True
    transports: tuple[str, ...] = ("websocket",)
    run: int = 0
    cursor: str = "start"
    byte: int = 0
    pieces: list[tuple[int, int, bytes]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    resets: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    connects: int = 0

    def __post_init__(self) -> None:
        self.done = asyncio.Event()
        self.client = socketio.AsyncClient(
            reconnection_delay=0.03, reconnection_delay_max=0.15, logger=False, engineio_logger=False
        )
        for name in ("connect", "output", "gap", "reset", "end"):
            self.client.on(name, getattr(self, f"on_{name}"))

    async def __aenter__(self) -> Follower:
        await self.client.connect(self.url, transports=list(self.transports), wait_timeout=60, retry=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.shutdown()

    @property
    def output(self) -> bytes:
        """All that it got, of all runs, one after another."""
        return b"".join(data for _, _, data in self.pieces)

    def output_of(self, run: int) -> bytes:
        return b"".join(data for of, _, data in self.pieces if of == run)

    async def on_connect(self) -> None:
        self.connects += 1
        await self._subscribe()

    async def _subscribe(self) -> None:
        wanted = {"task_id": self.task_id, "from": self.cursor, "binary": self.binary, "wait": True}
        await self.client.emit("subscribe", wanted, callback=self._answered)

    async def _answered(self, answer: dict[str, Any]) -> None:
        self.answers.append(answer)
        asked = self.connects
        if answer.get("code") == "redis_unavailable":
            await asyncio.sleep(0.2)
            if asked == self.connects:  # a new connection subscribes by itself
                await self._subscribe()

    async def on_output(self, message: dict[str, Any]) -> None:
        data = message["data"] if self.binary else message["text"].encode()
        start, cursor = Position.parse(message["from"]), Cursor.parse(message["cursor"])
        if start.after(data) != cursor.position:
            self.faults.append(f"{len(data)} bytes are not those from {start} to {cursor}")
        self._moved(message, start.byte)
        self.pieces.append((message["run"], start.byte, data))
        await self._acked()

    async def on_gap(self, message: dict[str, Any]) -> None:
        self._moved(message, Position.parse(message["from"]).byte)
        self.gaps.append(message)
        await self._acked()

    async def on_reset(self, message: dict[str, Any]) -> None:
        self.resets.append(message)
        self.pieces = [piece for piece in self.pieces if piece[0] != message["run"]]
        self.cursor, self.run = message["cursor"], message["run"]
        self.byte = Cursor.parse(self.cursor).position.byte

    async def on_end(self, message: dict[str, Any]) -> None:
        if Cursor.parse(message["cursor"]).position.byte != (self.byte if message["run"] == self.run else 0):
            self.faults.append(f"the end {message['cursor']} is not at {self.cursor}")
        self.ends.append(message)
        if message["last"]:
            self.done.set()

    def _moved(self, message: dict[str, Any], from_byte: int) -> None:
        """Take over a new place; what it begins at must be the old one."""
        if message["run"] != self.run:
            self.run, self.byte = message["run"], 0
        if from_byte != self.byte:
            self.faults.append(f"expected byte {self.byte} of run {self.run}, got {from_byte}")
        self.cursor = message["cursor"]
        self.byte = Cursor.parse(self.cursor).position.byte

    async def _acked(self) -> None:
        if self.acks:
            await self.client.emit("ack", {"task_id": self.task_id, "cursor": self.cursor})
