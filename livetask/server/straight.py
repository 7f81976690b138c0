"""Connections to one Redis over which commands are exchanged with little between the socket and the parser.

redis-py opens a connection: it finds the master, speaks TLS, logs in, chooses the database. From then on the bytes go
straight to hiredis, where redis-py has a stream, a task for each sending and a timeout for each answer, which together
cost five times as much; every piece of output that is read passes here. Nothing is tried again: a connection on
which anything goes wrong, an answer given up included, is closed, and whoever asked is told.

Of redis-py it uses the connection's transport and its parser's table of errors; ``test_straight`` says when these have
moved. Must never know: what is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import InvalidResponse, MasterDownError, ReadOnlyError
from redis.exceptions import TimeoutError as TooLate

Command = Sequence[Any]

READ_BYTES = 576 * 1024
"""So much is received at once: the largest piece of output, with the heads of its entries."""
_NO_MASTER = (ReadOnlyError, MasterDownError)
"""Whoever answers with these is a master no more: the next connection goes to the one that is."""


class _Line(asyncio.BufferedProtocol):
    """One open connection, for one exchange after the other. ``buffer``: what is received lies there for a moment."""

    def __init__(self, connection: Any, buffer: bytearray, timeout_s: float) -> None:
        self._connection = connection
        self._buffer = buffer
        self._timeout_s = timeout_s
        self._answers: list[Any] = []
        self._wanted = 0
        self._done: asyncio.Future[list[Any]] | None = None
        self._heard_s = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=connection._parser.parse_error)
        self._transport: asyncio.Transport = connection._writer.transport
        self.lost = self._transport.is_closing()
        self._transport.set_protocol(self)

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together; their answers, errors among them. Gives up after ``timeout_s`` without a byte."""
        self._answers, self._wanted = [], len(commands)
        done = self._done = self._loop.create_future()
        self._heard_s = self._loop.time()
        if self._watch is None:
            self._watch = self._loop.call_at(self._heard_s + self._timeout_s, self._look)
        self._transport.write(b"".join([hiredis.pack_command(tuple(command)) for command in commands]))
        try:
            answers: list[Any] = await done
            return answers
        finally:
            self._done = None

    async def close(self) -> None:
        """Close it at once."""
        self._transport.abort()
        if self._watch is not None:
            self._watch.cancel()
        await self._connection.disconnect(nowait=True)

    # ---- what the transport tells

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._reader.feed(self._buffer, 0, nbytes)  # type: ignore[arg-type]  # its stub knows str and bytes only
            while len(self._answers) < self._wanted:
                answer = self._reader.gets()
                if answer is False:
                    self._heard_s = self._loop.time()  # Redis is there, so the rest has its time again
                    return
                self._answers.append(answer)
        except InvalidResponse as error:
            self._fail(error)
            return
        if self._done is None or self._reader.has_data():
            self._fail(InvalidResponse("Redis said what it was not asked"))
        elif not self._done.done():
            self._done.set_result(self._answers)

    def eof_received(self) -> None:
        self._fail(Unreachable("Redis closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(Unreachable(f"the connection to Redis was lost: {exc or 'closed'}"))

    def _look(self) -> None:
        """Give up what Redis does not go on with. One timer watches many exchanges, and all that comes of each."""
        self._watch = None
        if self._done is None:
            return
        due_s = self._heard_s + self._timeout_s
        if self._loop.time() < due_s:
            self._watch = self._loop.call_at(due_s, self._look)
        else:
            self._fail(TooLate("Redis did not answer in time"))

    def _fail(self, error: Exception) -> None:
        self.lost = True
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
        self._transport.abort()


class Lines:
    """A few connections, of which each exchange takes a free one.

    ``opened``: opens one of redis-py's. ``most``: how many there may be. ``timeout_s``: patience for a free one, and
    for each sign of life in an answer. All methods raise redis-py's errors.
    """

    def __init__(self, opened: Callable[[], Awaitable[Any]], most: int, timeout_s: float) -> None:
        self._opened = opened
        self._timeout_s = timeout_s
        self._free: list[_Line] = []
        self._places = asyncio.Semaphore(most)
        self._buffer = bytearray(READ_BYTES)  # one for all: what is in it is parsed before the next one reads

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together; their answers, and exceptions in their places."""
        if not commands:
            return []
        await self._place()
        try:
            line = await self._line()
            try:
                answers = await line.exchange(commands)
            except BaseException:
                await line.close()
                raise
            if any(isinstance(answer, _NO_MASTER) for answer in answers):
                await line.close()
            else:
                self._free.append(line)
            return answers
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close those that are free; those in use are closed by who uses them, when that is cancelled."""
        while self._free:
            await self._free.pop().close()

    async def _place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._places.acquire()
        except TimeoutError:
            raise Unreachable("all connections to Redis are in use") from None

    async def _line(self) -> _Line:
        while self._free:
            line = self._free.pop()
            if not line.lost:
                return line
            await line.close()
        return _Line(await self._opened(), self._buffer, self._timeout_s)
