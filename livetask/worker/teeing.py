"""The old console still gets what tasks write: the output of all runs, without what Celery's handlers wrote there.

A thread of the shipper's with a place of its own in each spool. Nothing is queued: a console that blocks holds this
thread only, and what the spool gives up meanwhile is named by its size.

It shows what the shipper has cleaned of secrets. Where the shipper waits for a Redis that does not answer, it looks for
them itself after a moment, and shows what cannot be part of one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from livetask.masking import REACH_BYTES, Mask
from livetask.worker.capture import MARK
from livetask.worker.spool import RunPaths

_EVERY_S = 0.05
_PIECE_BYTES = 64 * 1024
_PARTIAL_AFTER_TURNS = 5


class _Teed:
    """One run's place on the console."""

    def __init__(self, paths: RunPaths, clean: Callable[[], int] | None, mask: Mask | None) -> None:
        self.paths = paths
        self._clean = clean
        self._mask = mask
        self.fd = os.open(paths.of("out"), os.O_RDONLY | os.O_CLOEXEC)
        self.quiet_fd = -1
        self.at = 0
        self.base = 0
        self.final: int | None = None
        self.turns = 0
        self.in_haste = False
        self._marks_at = 0
        self._announced: list[tuple[int, int]] = []
        self._quiet: list[tuple[int, int]] = []

    def close(self) -> None:
        for fd in (self.fd, self.quiet_fd):
            if fd >= 0:
                os.close(fd)

    @property
    def is_done(self) -> bool:
        return self.final is not None and self.at >= self.final

    def next_piece(self) -> bytes | None:
        """The next bytes for the console, None if there are none now; goes on to their end."""
        size = os.fstat(self.fd).st_size if self.final is None else self.final
        self._read_marks()
        end = min(size, self.at + _PIECE_BYTES)
        clean = self._clean() if self._clean is not None else size
        if self.final is None:
            # A record was announced that may already lie beyond this place, but does not say yet where.
            end = min([end, *(start for start, _ in self._announced)])
        if end <= self.at:
            return None
        data = self._read(min(end, clean) if clean > self.at else end, clean)
        if self.base > self.at:
            left_out, self.at = self.base - self.at, self.base
            return f"[livetask: {left_out} bytes left out here; the console was too slow]\n".encode()
        data = self._whole_lines(data, size)
        piece = self._without_quiet(data)
        self.at += len(data)
        return piece if data else None

    def _read(self, end: int, clean: int) -> bytes:
        """The bytes up to ``end``; of those that are not clean, what is decided, once they have been so for a while."""
        if end <= clean or self._mask is None:
            return os.pread(self.fd, end - self.at, self.at)
        if self.turns <= _PARTIAL_AFTER_TURNS and not self.in_haste:
            return b""
        start = max(self.base, self.at - REACH_BYTES)
        data = os.pread(self.fd, end - start + REACH_BYTES, start)
        decided = len(data) if self.final is not None else self._mask.decided(data)
        return self._mask.hidden(data)[: min(decided, end - start)][self.at - start :]

    def _whole_lines(self, data: bytes, size: int) -> bytes:
        """Lines of several tasks should not mix; a line that does not end is shown after a while."""
        line_end = data.rfind(b"\n") + 1
        self.turns = 0 if line_end else self.turns + 1
        if self.final is not None or len(data) == _PIECE_BYTES or self.turns > _PARTIAL_AFTER_TURNS:
            return data
        return data[:line_end]

    def _without_quiet(self, data: bytes) -> bytes:
        parts, at, end = [], self.at, self.at + len(data)
        for start, size in self._quiet:
            if start >= end:
                break
            parts.append(data[max(0, at - self.at) : max(0, start - self.at)])
            at = max(at, start + size)
        parts.append(data[at - self.at :])
        self._quiet = [(start, size) for start, size in self._quiet if start + size > end]
        return b"".join(parts)

    def _read_marks(self) -> None:
        if self.quiet_fd < 0:
            with suppress(OSError):
                self.quiet_fd = os.open(self.paths.of("quiet"), os.O_RDONLY | os.O_CLOEXEC)
        if self.quiet_fd < 0:
            return
        data = os.pread(self.quiet_fd, 64 * 1024 * MARK.size, self._marks_at)
        data = data[: len(data) // MARK.size * MARK.size]
        self._marks_at += len(data)
        for start, size in MARK.iter_unpack(data):
            if size < 0:
                self._announced.append((start, -size))
                continue
            self._quiet.append((start, size))
            for place, (_, announced) in enumerate(self._announced):
                if announced == size:
                    del self._announced[place]
                    break
        self._quiet.sort()


class Tee:
    """Shows all runs on the console, which is descriptor ``fd`` or a file that is named later."""

    def __init__(self, fd: int = 1) -> None:
        self._path = ""
        self._fd = fd
        self._teed: dict[str, _Teed] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, name="livetask-tee", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def look_for_file(self, named_in: Path) -> None:
        """Append to the file whose path stands in ``named_in``, if there is such a file."""
        if not self._path:
            with suppress(OSError):
                self._path = named_in.read_text()

    def follow(self, paths: RunPaths, clean: Callable[[], int] | None = None, mask: Mask | None = None) -> None:
        """Show that run, from its first byte on. ``clean``: before which byte it holds no secrets by now; None: it has
        none at all. ``mask``: hides those in the rest."""
        with suppress(OSError), self._lock:
            self._teed[paths.nonce] = _Teed(paths, clean, mask)

    def freed(self, nonce: str, base: int) -> None:
        """The spool gives up what stands before the byte ``base``; to be said before it does."""
        teed = self._teed.get(nonce)
        if teed is not None:
            teed.base = base

    def ended(self, nonce: str, final: int) -> None:
        """The run has ended with so many bytes."""
        teed = self._teed.get(nonce)
        if teed is not None:
            teed.final = final

    def finish(self, timeout_s: float) -> None:
        """Show the rest, at most so long."""
        self._stop.set()
        self._thread.join(timeout_s)

    @property
    def finished(self) -> bool:
        """Whether the thread has ended."""
        return not self._thread.is_alive()

    def _show(self) -> None:
        while True:
            stopping = self._stop.wait(_EVERY_S)
            with self._lock:
                teed = list(self._teed.values())
            more = True
            while more:
                more = False
                for one in teed:
                    one.in_haste = stopping
                    more = self._show_piece(one) or more
            for one in teed:
                if one.is_done or stopping:
                    self._teed.pop(one.paths.nonce, None)
                    one.close()
            if stopping:
                return

    def _show_piece(self, teed: _Teed) -> bool:
        try:
            piece = teed.next_piece()
            if piece:
                self._put(piece)
        except OSError:
            # The console is gone: nobody reads it, so nothing is owed to it.
            return False
        return piece is not None

    def _put(self, data: bytes) -> None:
        if not self._path:
            while data:
                data = data[os.write(self._fd, data) :]
            return
        # Opened for each piece, so that a file that was rotated is let go.
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
