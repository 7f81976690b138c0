"""The finder processes: few, started when they are needed, killed when a pattern takes too long.

What they look at is put into memory that both sides have: through a pipe it went in parts of what that holds, and each
part was a turn of both processes.

Must never know: tasks, Redis, HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from typing import Any

from livetask.search_errors import PatternInvalid, PatternTooSlow, SearchBusy

ROOM_BYTES = 1280 * 1024
"""How much a finder is given to look at at once."""

_PIECE_S = 2.0
"""Patience with one look: what takes longer is a pattern that never ends. Who is slow is given little (``walking``)."""
_TURN_S = 5.0
_ANSWER_BYTES = 8 * 1024 * 1024


class Finder:
    """One process, begun for one scan after another."""

    def __init__(self, process: asyncio.subprocess.Process, room: mmap.mmap) -> None:
        self._process = process
        self._room = room
        self._size = 0
        self.broken = False

    async def begin(self, what: str, line: int, wanted: Mapping[str, Any] | None = None) -> None:
        """Begin a scan at the beginning of a line. Raises PatternInvalid."""
        self._size = 0
        answer = await self._asked({"do": what, "line": line, **(wanted or {})})
        if "error" in answer:
            raise PatternInvalid(answer["error"])

    def put(self, data: bytes) -> int:
        """Put as much of it as there is room for behind what was put before; how much that is."""
        begin, self._size = self._size, min(self._size + len(data), len(self._room))
        size = self._size - begin
        self._room[begin : self._size] = data if size == len(data) else data[:size]
        return size

    async def feed(self) -> dict[str, Any]:
        """What is found in the lines that become whole with what was put. Raises PatternTooSlow."""
        size, self._size = self._size, 0
        return await self._asked({"do": "feed", "size": size})

    async def rest(self) -> dict[str, Any]:
        """What is found in the unfinished line. Raises PatternTooSlow."""
        return await self._asked({"do": "rest"})

    async def jump(self, line: int) -> None:
        """What is fed next begins a line of this number."""
        await self._asked({"do": "jump", "line": line})

    async def _asked(self, message: dict[str, Any]) -> dict[str, Any]:
        """Ask and wait for the answer; whoever is cut short in it leaves a process that no one may ask again."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self.broken, text = True, b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_PIECE_S):
                stdin.write(json.dumps(message).encode() + b"\n")
                await stdin.drain()
                text = await stdout.readline()
        if not text:
            raise PatternTooSlow(_PIECE_S)
        self.broken = False
        found: dict[str, Any] = json.loads(text)
        return found

    async def end(self) -> None:
        """Kill it and take its pipes down."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()
        self._room.close()


class Finders:
    """``limit``: processes at most, and searches at once; who comes beyond waits a moment, then hears SearchBusy."""

    def __init__(self, limit: int = 2) -> None:
        self._limit = limit
        self._turns = asyncio.Semaphore(limit)
        self._idle: list[Finder] = []

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[Finder]:
        """A finder for the time of the block. Raises SearchBusy."""
        try:
            async with asyncio.timeout(_TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            raise SearchBusy(self._limit) from None
        try:
            finder = self._idle.pop() if self._idle else await _started()
            try:
                yield finder
            finally:
                if finder.broken:
                    await finder.end()
                else:
                    self._idle.append(finder)
        finally:
            self._turns.release()

    async def close(self) -> None:
        """End the processes."""
        while self._idle:
            await self._idle.pop().end()


async def _started() -> Finder:
    descriptor = _memory(ROOM_BYTES)
    try:
        room = mmap.mmap(descriptor, ROOM_BYTES)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "livetask.server.searching.finder",
            str(descriptor),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[descriptor],
            limit=_ANSWER_BYTES,
        )
    finally:
        os.close(descriptor)
    return Finder(process, room)


def _memory(size: int) -> int:
    """A descriptor of memory that a child process can be given; where the system has none, of a file without a name."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("livetask-finder")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
