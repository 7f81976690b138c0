"""An archive in a directory over a real Valkey, moved by hand, so that a test knows when."""

from __future__ import annotations

import gzip
import threading
import time
from pathlib import Path
from typing import Self

from livetask.archive_errors import ArchiveUnavailable
from livetask.position import START, Cursor, Gap, Position
from livetask.server.archive.archive import Snapshot
from livetask.server.archive.archiver import Terms
from livetask.server.archive.directory import DirectoryShelf
from livetask.server.archive.keeping import Keeping
from livetask.server.archive.leafing import Leafing
from livetask.server.archive.shelf import Shelf
from livetask.server.archive.store import ArchivedStore
from tests.real.writer import RunWriter

TERMS = Terms(after_s=0, step_bytes=64 * 1024, bytes_per_s=1 << 30)


class Archiving:
    """A store with an archive. ``store``: what readers have."""

    def __init__(self, url: str, prefix: str, root: Path, shelf: Shelf | None = None) -> None:
        self.root = root
        self.prefix = prefix
        self.keeping = Keeping(shelf or DirectoryShelf(root), prefix=prefix, terms=TERMS)
        self.store: ArchivedStore = self.keeping.store(url)
        self.archive = self.keeping.archive

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keeping.close()
        await self.store.close()

    async def move(self, task_id: str, *, step_bytes: int = 1) -> None:
        """Archive all that there is of a task."""
        assert self.keeping.mover is not None
        await self.keeping.mover.move(task_id, step_bytes=step_bytes, ended_before_ms=int(time.time() * 1000) + 60_000)

    async def listed(self) -> list[str]:
        """The ids of what is on the shelf, last ended first."""

        async def id_of(snapshot: Snapshot) -> str:
            return snapshot.task_id

        return list((await Leafing(self.archive).part(500, None, id_of)).found)

    def parts(self) -> list[Path]:
        """The objects that hold output, in order."""
        return sorted(self.root.glob("tasks/*/*/*/*.gz"))

    def text(self) -> bytes:
        """What zcat gives of them."""
        return b"".join(gzip.decompress(path.read_bytes()) for path in self.parts())


async def read_all(
    store: ArchivedStore, run: RunWriter, start: Position = START, max_bytes: int = 64 * 1024
) -> tuple[bytes, list[Gap]]:
    """The text from a position to the end and the gaps in it; every item must begin where the last one ended."""
    text, gaps, at = bytearray(), [], start
    while True:
        found = await store.read(run.task_id, Cursor(run.ordinal, run.nonce, at), max_bytes)
        for item in found.items:
            assert item.start == at
            at = item.end
            if isinstance(item, Gap):
                gaps.append(item)
            else:
                text += item.data
        if at == found.end:
            return bytes(text), gaps
        assert found.items, f"nothing is given at {at}, and the end is {found.end}"


async def archived_at(archiving: Archiving, run: RunWriter, at_ms: int) -> None:
    """Archive a task that seems to have ended then."""
    run.begin()
    run.write(b"text\n")
    run.finish()
    run.client.hset(run.task, mapping={"ended_at": at_ms, "changed_at": at_ms})
    await archiving.move(run.task_id)


def lines_written(run: RunWriter, count: int, entry_lines: int = 7) -> None:
    """Numbered lines, some to an entry."""
    for first in range(0, count, entry_lines):
        numbers = range(first, min(count, first + entry_lines))
        run.write(b"".join(b"line %d %s\n" % (number + 1, b"x" * (number % 90)) for number in numbers))


class StuckShelf(DirectoryShelf):
    """A directory on a file system that does not answer until it is let go, or refuses."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.answers = threading.Event()
        self.answers.set()
        self.refuses = False

    def get(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        self.answers.wait(30)
        return super().get(name, start, size)

    def put(self, name: str, data: bytes) -> None:
        if self.refuses:
            raise ArchiveUnavailable("No space left on device")
        super().put(name, data)
