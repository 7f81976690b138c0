"""Following one run's spool: what of it Redis has, what comes next, and what the spool still holds.

It reads bytes once, in order, and can go back to any place that the spool still holds; so whatever Redis says it has,
the next entry begins exactly there. It must never know Redis, Celery or a clock: it is told what was answered.

    bytes of the run    0 ........ base ........ scan ........ decided ........ size
                        freed      held,         held,         held,
                                   sent          may be sent   may be part of a secret

Before anything is sent, secrets in it are overwritten where they lie, up to ``clean``, which is at most a line before
``decided``, but for a private key. What has been is as it is sent: reading it again looks for nothing.

When Redis has less than ``base``, what lies between is an explicit gap.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from livetask.masking import LOOK_BACK_BYTES, REACH_BYTES, Mask
from livetask.position import START, Position
from livetask.worker.room import RESERVED_BYTES, give_back, reserve
from livetask.worker.scanning import Scan, cut
from livetask.worker.small_files import read_json, write_whole
from livetask.worker.spool import RunPaths
from livetask.worker.stderr import ErrPlaces

_READ_BYTES = 1024 * 1024
_MARK_EVERY_BYTES = 64 * 1024
_MARKS = 1024
_BLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Piece:
    """What the next entry holds: ``data``, or, if that is empty, a gap. ``sgr``: the colours at its first byte.

    ``err``: which of its lines were written to stderr (``livetask.turns``).
    """

    start: Position
    end: Position
    data: bytes
    sgr: bytes
    err: bytes = b""


class Following:
    """The output of one run. ``base``: the scan where the oldest held byte stands. ``scan``: where the next entry
    begins. ``size``: bytes written so far, as seen last. ``final``: how many there will be, once that is known.
    ``decided``: how many of them may be sent, since what follows cannot make a secret of them. ``clean``: before which
    byte the file itself holds no secret any more. ``last``: the newest bytes read, for whoever looks for signs.
    """

    def __init__(self, paths: RunPaths, mask: Mask | None = None, final: int | None = None) -> None:
        """Open the output. ``mask``: hides secrets in it, None for nothing to hide. ``final``: how many bytes there
        are, if it is known; see ``nothing`` for none. Raises OSError."""
        self._paths = paths
        self._mask = mask
        self.final = final
        self._fd = -1
        self.open()
        self._err = ErrPlaces(paths)
        self.base = _read_base(paths)
        self.scan = self.base
        self.gap_from: Position | None = START if self.base.at != START else None
        self._marks: list[Scan] = [self.base]
        self._mark_every_bytes = _MARK_EVERY_BYTES
        self.size = 0
        self.decided = self.clean = self._readable
        self._tail = b""
        self._lags = False
        self._reserved = RESERVED_BYTES
        self._has_base_file = False
        self.last = b""
        self.look()

    def close(self) -> None:
        self._err.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def open(self) -> None:
        """Open it, again after ``close``. Raises OSError."""
        if self._fd < 0 and self.final != 0:
            self._fd = os.open(self._paths.of("out"), os.O_RDWR | os.O_CLOEXEC)

    def look(self) -> int:
        """See how much has been written by now, and clean what has come, a part of it if it is much."""
        if self._fd < 0:
            return self.size
        size = os.fstat(self._fd).st_size
        if size != self.size or self._lags:
            self.size = size
            self._clean_on()
        return size

    def end_at(self, final: int) -> None:
        """No more than ``final`` bytes belong to the run: nothing follows that could be part of a secret."""
        if final != self.final:
            self.final, self._lags = final, True
            self.look()

    def _clean_on(self) -> None:
        """Overwrite the secrets in what follows; what is not clean yet is kept as it is shown."""
        wanted = self.size if self.final is None else min(self.size, self.final)
        if self._mask is None:
            self.decided = self.clean = wanted
            return
        if wanted <= self.clean:
            self._tail, self.decided, self._lags = b"", self.clean, False
            return
        start, end = max(self._readable, self.clean - LOOK_BACK_BYTES), min(wanted, self.clean + _READ_BYTES)
        data = os.pread(self._fd, end - start, start)
        found = self._mask.cleaned(data, self.clean - start, is_all=end == self.final)
        if found.text is not data and not self._overwrite(data, found.text, start, found.clean):
            return
        self.decided, self.clean = start + found.decided, start + found.clean
        self._tail = found.text[found.clean :]
        self._lags = end < wanted

    def _overwrite(self, old: bytes, new: bytes, start: int, size: int) -> bool:
        """Write the first ``size`` bytes of ``new`` in the place of ``old``; False if the disk does not take them.

        A file system that never writes to the same place twice may have no room: then nothing is sent until it has.
        """
        written_ns = os.fstat(self._fd).st_mtime_ns
        try:
            for first in range(0, size, _BLOCK_BYTES):
                block = new[first : min(size, first + _BLOCK_BYTES)]
                if block != old[first : first + len(block)]:
                    os.pwrite(self._fd, block, start + first)
        except OSError:
            self._lags = True
            return False
        with suppress(OSError):
            os.utime(self._fd, ns=(written_ns, written_ns))  # when the task wrote last is how its end is dated
        return True

    @property
    def _readable(self) -> int:
        """The oldest byte that lies in the file; a little before ``base``, so that a secret across it is known."""
        return self.base.at.byte if self._mask is None else max(0, self.base.at.byte - REACH_BYTES - _BLOCK_BYTES)

    @property
    def held_bytes(self) -> int:
        return self.size - self.base.at.byte

    def has_more(self, until: int) -> bool:
        """Whether there is something to send before the byte ``until``."""
        return self.gap_from is not None or self.scan.at.byte < until

    def pieces(self, until: int, chunk_bytes: int, most: int) -> Iterator[Piece]:
        """The next entries, at most ``most``, of what stands before the byte ``until``; goes on to their end."""
        if self.gap_from is not None:
            yield Piece(self.gap_from, self.base.at, b"", b"")
            self.gap_from = None
            most -= 1
        if most <= 0 or self.scan.at.byte >= until:
            return
        rest = self._read(self.scan.at.byte, min(until - self.scan.at.byte, most * chunk_bytes + 1))
        at = 0
        self._err.look()
        while most > 0 and at < len(rest):
            end = cut(rest, chunk_bytes, at)
            data, at = rest[at:end], end
            before = self.scan
            self._go_to(before.fed(data))
            self.last = data
            yield Piece(before.at, self.scan.at, data, before.sgr_parameters, self._err.turns(before.at.byte, data))
            most -= 1

    def place(self) -> tuple[Scan, Position | None]:
        """Where it stands, for ``back_to``."""
        return self.scan, self.gap_from

    def back_to(self, place: tuple[Scan, Position | None]) -> None:
        """Go back to where it stood: what was sent since may not have arrived."""
        self.scan, self.gap_from = place
        if self.scan.at.byte < self.base.at.byte:
            self.gap_from, self.scan = self.gap_from or self.scan.at, self.base

    def go_to(self, end: Position) -> None:
        """Go to where the output in Redis ends. Raises ValueError if the run has no such position."""
        if end.byte < self.base.at.byte:
            self.gap_from, self.scan = end, self.base
            return
        if end.byte > self.look():
            raise ValueError(f"{end} is beyond the {self.size} bytes that the spool has")
        while self.decided < end.byte and self._lags:
            before = self.clean
            self._clean_on()
            if self.clean == before:
                break
        found = self._scan_at(end.byte)
        if found.at != end:
            raise ValueError(f"{end} is not a position of this run: the byte stands at {found.at}")
        self.gap_from, self.scan = None, found

    def position_of(self, byte: int) -> Position:
        """The position of a byte that has been written; that of the oldest one held, if it stands before that."""
        return self._scan_at(max(byte, self.base.at.byte)).at

    def begin_again(self) -> Position:
        """Go to the oldest byte that is held; returns its position."""
        self.gap_from, self.scan = None, self.base
        return self.base.at

    def keep_room(self) -> bool:
        """Reserve more room before what was reserved is used up; False if the disk is full."""
        if self.size > RESERVED_BYTES and not self._has_base_file:
            self._has_base_file = True
            with suppress(OSError):
                _write_base(self._paths, self.base)  # so that giving something up needs no more room
        if self.size + RESERVED_BYTES // 2 < self._reserved:
            return True
        if not reserve(self._fd, self.size, RESERVED_BYTES):
            return False
        self._reserved = self.size + RESERVED_BYTES
        return True

    def give_room_back(self) -> None:
        """Nothing more will be written."""
        if self._fd < 0:
            return
        give_back(self._fd, self.look(), 2 * RESERVED_BYTES)

    def freeable(self, held_bytes: int) -> int:
        """Before which byte to free so that about ``held_bytes`` stay."""
        return max(self.base.at.byte, (self.size - held_bytes) // _BLOCK_BYTES * _BLOCK_BYTES)

    def free(self, start: int) -> int:
        """Give up what stands before the byte ``start``; how much of it had not been sent.

        Its lines are counted before it goes, so that the gap it leaves is exact. Raises OSError, and gives up nothing,
        if it cannot be written down.
        """
        if start <= self.base.at.byte:
            return 0
        unsent = max(0, start - self.scan.at.byte)
        base = self._scan_at(start, as_sent=not unsent)
        self._note_base(base)
        if unsent:
            self.gap_from = self.gap_from or self.scan.at
            self.scan = base
        self.base = base
        if start > self.clean:
            self.clean, self.decided = max(self.clean, self._readable), start
            self._tail, self._lags = b"", True
        self._marks = [base, *(mark for mark in self._marks if mark.at.byte > start)]
        give_back(self._fd, 0, self._readable // _BLOCK_BYTES * _BLOCK_BYTES)
        return unsent

    def _note_base(self, base: Scan) -> None:
        """Write down what is about to be given up, also where the disk is full: what is reserved makes room for it."""
        try:
            _write_base(self._paths, base)
        except OSError:
            give_back(self._fd, self.look(), RESERVED_BYTES)
            self._reserved = self.size
            _write_base(self._paths, base)

    def _scan_at(self, byte: int, *, as_sent: bool = True) -> Scan:
        """The scan at any held byte, from the nearest mark before it.

        ``as_sent``: False for bytes that nobody will see. Looking for secrets in them takes twelve times as long as
        counting their lines, and a task that prints faster than they are counted would fill the disk.
        """
        near = [mark for mark in (*self._marks, self.scan) if mark.at.byte <= byte]
        scan = max(near, key=lambda mark: mark.at.byte)
        while scan.at.byte < byte:
            size = min(_READ_BYTES, byte - scan.at.byte)
            data = self._read(scan.at.byte, size) if as_sent else os.pread(self._fd, size, scan.at.byte)
            if not data:
                break
            scan = scan.fed(data)
        return scan

    def _go_to(self, scan: Scan) -> None:
        self.scan = scan
        if scan.at.byte - self._marks[-1].at.byte >= self._mark_every_bytes:
            self._marks.append(scan)
        if len(self._marks) > _MARKS:
            del self._marks[1::2]
            self._mark_every_bytes *= 2

    def _read(self, start: int, size: int) -> bytes:
        """Bytes as they are sent: those that are not clean yet as they will be."""
        end = start + size
        data = os.pread(self._fd, min(end, self.clean) - start, start) if start < self.clean else b""
        if end > self.clean and self._tail:
            data += self._tail[max(0, start - self.clean) : end - self.clean]
        return data


@cache
def nothing() -> Following:
    """The output of runs that have ended without a byte: one for all of them, since nothing in it ever changes.

    No file is open in it, for another run may have that by now.
    """
    return Following(RunPaths(Path(), ""), final=0)


def _read_base(paths: RunPaths) -> Scan:
    found = read_json(paths.of("base")) if paths.nonce else None
    if found is None:
        return Scan()
    sgr = tuple((str(what), str(parameters)) for what, parameters in found["sgr"])
    return Scan(Position.parse(found["at"]), int(found["crc"]), sgr, bytes.fromhex(found["unfinished"]))


def _write_base(paths: RunPaths, base: Scan) -> None:
    """Write down from where the output is held: in the room that the file has, if it has it, for the disk may be full.

    It fits into one block, which another process sees as a whole or not at all.
    """
    found = {"at": str(base.at), "crc": base.crc, "sgr": base.sgr, "unfinished": base.unfinished.hex()}
    data = json.dumps(found).encode().ljust(_BLOCK_BYTES)
    path = Path(paths.of("base"))
    if not path.exists() or path.stat().st_size != len(data):
        write_whole(str(path), data)
        return
    with path.open("r+b", buffering=0) as file:
        file.write(data)
