"""The finder processes: few, started when they are needed, killed when a pattern takes too long.

Must never know: tasks, Redis, HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from livetask.search_errors import PatternInvalid, PatternTooSlow, SearchBusy

_PIECE_S = 2.0
"""Patience with one piece of a quarter of a MiB: what takes longer is a pattern that never ends."""
_TURN_S = 5.0
_ANSWER_BYTES = 8 * 1024 * 1024


class Finder:
    """One process, begun for one scan after another."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.broken = False

    async def begin(self, what: str, line: int, wanted: Mapping[str, Any] | None = None) -> None:
        """Begin a scan at the beginning of a line. Raises PatternInvalid."""
        answer = await self._asked({"do": what, "line": line, **(wanted or {})})
        if "error" in answer:
            raise PatternInvalid(answer["error"])

    async def feed(self, data: bytes) -> dict[str, Any]:
        """What is found in the lines that ``data`` makes whole. Raises PatternTooSlow."""
        return await self._asked({"do": "feed", "size": len(data)}, data)

    async def rest(self) -> dict[str, Any]:
        """What is found in the unfinished line. Raises PatternTooSlow."""
        return await self._asked({"do": "rest"})

    async def jump(self, line: int) -> None:
        """What is fed next begins a line of this number."""
        await self._asked({"do": "jump", "line": line})

    async def _asked(self, message: dict[str, Any], data: bytes = b"") -> dict[str, Any]:
        """Ask and wait for the answer; whoever is cut short in it leaves a process that no one may ask again."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self.broken, text = True, b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_PIECE_S + len(data) / 2**20):
                stdin.write(json.dumps(message).encode() + b"\n")
                if data:
                    stdin.write(data)
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
            finder = self._idle.pop() if self._idle else Finder(await _started())
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


async def _started() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "livetask.server.searching.finder",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_ANSWER_BYTES,
    )
