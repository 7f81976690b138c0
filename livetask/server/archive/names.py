"""What the objects of the archive are called. A task id never becomes part of a name: its hash does.

| name | holds |
|---|---|
| ``tasks/ab/<hash>/task.json`` | what was stored of the task when it was archived, and what it has on the shelf |
| ``tasks/ab/<hash>/<nonce>/<byte>-<line>-<byte>-<line>-<index>.gz`` | one part of a run: from, to, bytes of its index |
| ``ended/<day>/<ms>-<hash>-<bytes>.json`` | that a task is on the shelf: when it ended, how much it takes, its id |

The names under ``ended`` alone answer what is on the shelf, since when and how much; they sort by time.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from livetask.position import Position

ENDED = "ended"
DAY_MS = 86_400_000

_PART = re.compile(r"([0-9]{16})-([0-9]{16})-([0-9]{16})-([0-9]{16})-([0-9]{1,6})\.gz")
_MARK = re.compile(r"([0-9]{15})-([0-9a-f]{40})-([0-9]{1,16})\.json")
_NONCE = re.compile(r"[a-z0-9]{8,32}")


@dataclass(frozen=True, slots=True)
class PartName:
    """One part of a run, as its name tells. ``size``: of the object in bytes."""

    folder: str
    start: Position
    end: Position
    index_bytes: int
    size: int

    @property
    def path(self) -> str:
        return f"{self.folder}/{part_file(self.start, self.end, self.index_bytes)}"


@dataclass(frozen=True, slots=True)
class Mark:
    """That a task is on the shelf. ``at_ms``: when it ended, or last grew. ``bytes``: what it takes there."""

    at_ms: int
    task_hash: str
    bytes: int

    @property
    def path(self) -> str:
        return f"{ENDED}/{day_of(self.at_ms)}/{self.at_ms:015d}-{self.task_hash}-{self.bytes}.json"


def hash_of(prefix: str, task_id: str) -> str:
    """What stands for a task in names: 40 hexadecimal digits. ``prefix``: tells several livetasks on a shelf apart."""
    return sha256(f"{prefix}\0{task_id}".encode()).hexdigest()[:40]


def task_folder(task_hash: str) -> str:
    return f"tasks/{task_hash[:2]}/{task_hash}"


def task_file(task_hash: str) -> str:
    return f"{task_folder(task_hash)}/task.json"


def run_folder(task_hash: str, nonce: str) -> str:
    """Where the parts of a run lie. Raises ValueError for what is no nonce."""
    if _NONCE.fullmatch(nonce) is None:
        raise ValueError(f"{nonce!r} is no nonce")
    return f"{task_folder(task_hash)}/{nonce}"


def part_file(start: Position, end: Position, index_bytes: int) -> str:
    return f"{start.byte:016d}-{start.line:016d}-{end.byte:016d}-{end.line:016d}-{index_bytes}.gz"


def part_parsed(folder: str, file: str, size: int) -> PartName | None:
    """What a file's name tells; None if it is no part."""
    match = _PART.fullmatch(file)
    if match is None or int(match[2]) < 1 or int(match[4]) < 1 or int(match[5]) > size:
        return None
    start, end = Position(int(match[2]), int(match[1])), Position(int(match[4]), int(match[3]))
    return PartName(folder, start, end, int(match[5]), size) if end.byte > start.byte else None


def mark_parsed(file: str) -> Mark | None:
    match = _MARK.fullmatch(file)
    return Mark(int(match[1]), match[2], int(match[3])) if match else None


def day_of(at_ms: int) -> str:
    """The day's number since 1970, in UTC: names sort by it."""
    return f"{at_ms // DAY_MS:06d}"
