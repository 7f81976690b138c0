"""A TCP proxy that does on purpose what networks do by chance: delays, cuts, refusals, and silence.

It lives in a thread with an event loop of its own, so that blocking tests and asynchronous ones can use it alike. Every
fault can be switched while connections are open. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

PIECE_BYTES = 64 * 1024


class FaultProxy:
    """Forwards connections from a port of 127.0.0.1 to another; a context manager.

    ``upstream_port``: where to. ``port``: where it listens; 0 takes a free one. ``seed``: of its chance.

    Faults, to be set at any time: ``delay_s``: how long each piece is held, either way. ``black_hole``: True: nothing
    goes through, connections stay open, as with a cable pulled; what was sent arrives when it is False again.
    ``refusing``: True: new connections are closed at once. ``lost_replies``: the chance, 0 to 1, that a connection is
    cut in place of forwarding a piece from upstream. ``halved_requests``: the chance that it is cut in the middle of a
    piece to upstream. ``forbidden``: a connection on which these bytes go upstream is cut before they get
    there. ``others``: more ports to forward to; each connection goes to any of them, whether somebody listens there or
    not, as with a balancer that knows nothing.
    """

    def __init__(self, upstream_port: int, port: int = 0, seed: int = 1) -> None:
        self.upstream_port = upstream_port
        self.others: tuple[int, ...] = ()
        self.delay_s = 0.0
        self.refusing = False
        self.lost_replies = 0.0
        self.halved_requests = 0.0
        self.forbidden = b""
        self.cuts = 0
        self.connections = 0
        self.forwarded_bytes = 0
        self._chance = random.Random(seed)
        self._open: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listening.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._passable = asyncio.Event()
        self._passable.set()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._main(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(60)
        self._loop.close()

    @property
    def open_connections(self) -> int:
        """How many connections go through it now."""
        return len(self._open)

    @property
    def black_hole(self) -> bool:
        return not self._passable.is_set()

    @black_hole.setter
    def black_hole(self, silent: bool) -> None:
        self._called(self._passable.clear if silent else self._passable.set)

    def cut(self) -> int:
        """Reset all connections, in both directions, at once; returns how many there were."""
        return int(self._called(self._cut))

    def _cut(self) -> int:
        count = len(self._open)
        for pair in list(self._open):
            for writer in pair:
                _reset(writer)
        self.cuts += count
        return count

    def _called(self, act: Callable[[], Any]) -> Any:
        """Do it in the proxy's thread and wait for it."""

        async def done() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(60)

    async def _main(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._listening)
        self._ready.set()
        await self._stopping.wait()
        server.close()
        self._passable.set()
        self._cut()
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its opening to its end; a cancellation ends it quietly, asyncio would log it."""
        with contextlib.suppress(asyncio.CancelledError):
            await self._between(reader, writer)

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.refusing:
                raise ConnectionRefusedError
            port = self._chance.choice((self.upstream_port, *self.others))
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            _reset(writer)
            return
        pair = (writer, up_writer)
        self._open.add(pair)
        self.connections += 1
        try:
            there = asyncio.ensure_future(self._forwarded(reader, up_writer, upstream=True))
            back = asyncio.ensure_future(self._forwarded(up_reader, writer, upstream=False))
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        finally:
            self._open.discard(pair)
            for end in pair:
                end.close()

    async def _forwarded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upstream: bool) -> None:
        """Pass on one direction until its end or a fault."""
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._passable.wait()
                if upstream and self.forbidden and self.forbidden in piece:
                    return
                if upstream and self._chance.random() < self.halved_requests:
                    writer.write(piece[: len(piece) // 2])
                    await writer.drain()
                    self.cuts += 1
                    return
                if not upstream and self._chance.random() < self.lost_replies:
                    self.cuts += 1
                    return
                writer.write(piece)
                await writer.drain()
                self.forwarded_bytes += len(piece)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset: what was on its way is lost, as when a machine goes away."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
