"""The archive of one server, put together: a shelf, the store that reads on in it, and the loop that fills it.

How the application uses it::

    keeping = Keeping(DirectoryShelf(path), prefix="livetask", after_s=60, ...)
    store = keeping.store(url, keep_s=...)
    keeping.listen(live.hub)
    running.start(*keeping.loops())       # ... and await keeping.close() at the end
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any

from livetask.server.archive.archive import Archive
from livetask.server.archive.archiver import Archiver, Terms
from livetask.server.archive.erasing import Eraser
from livetask.server.archive.moving import Mover
from livetask.server.archive.retention import Retention
from livetask.server.archive.shelf import Shelf
from livetask.server.archive.shelving import Shelving
from livetask.server.archive.store import ArchivedStore
from livetask.server.figures import Figure
from livetask.server.hub import Hub
from livetask.server.lane import Lane

_WRITERS = 2
_WRITE_S = 60.0
"""Patience with the writing of one part, which is read back too."""


class Keeping:
    """See the module's docstring. ``terms``: see archiver. One for each store."""

    def __init__(self, shelf: Shelf, *, prefix: str, terms: Terms) -> None:
        self.archive = Archive(shelf, prefix=prefix)
        self._prefix = prefix
        self._terms = terms
        self._lane = Lane("archiver", _WRITERS, _WRITE_S)
        self.mover: Mover | None = None
        self.eraser: Eraser | None = None
        self.retention: Retention | None = None
        self._archiver: Archiver | None = None

    def store(self, url: str, **given: Any) -> ArchivedStore:
        """The store to serve from. ``given``: as for Store."""
        store = ArchivedStore(url, self.archive, prefix=self._prefix, **given)
        shelving = Shelving(store.scripted, self._prefix, self.archive.shelf.kind)
        terms = self._terms
        self.mover = Mover(store, self.archive, shelving, self._lane, run_cap_bytes=terms.run_cap_bytes)
        self.eraser = Eraser(store, self._prefix, shelving, self.archive)
        self.retention = Retention(
            store, self.archive, self.eraser, self._prefix, keep_s=terms.keep_s, cap_bytes=terms.cap_bytes
        )
        self._archiver = Archiver(store, self.mover, self._prefix, self._terms)
        return store

    def listen(self, hub: Hub) -> None:
        """Hear of runs that grow and end."""
        assert self._archiver is not None, "the store comes first"
        hub.on_rung(self._archiver.rung)

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What runs as long as the server does."""
        assert self._archiver is not None, "the store comes first"
        assert self.retention is not None
        return [self._archiver.run(), self.retention.run()]

    async def close(self) -> None:
        """End what is under way."""
        await self.archive.close()
        self._lane.close()

    def brief(self) -> dict[str, float | int | None]:
        """The few figures for ``/readyz``: a server whose archive is away is ready all the same."""
        return {"archive_up": int(self._archiver is None or self._archiver.is_ok)}

    def figures(self) -> Iterable[Figure]:
        """The archive's figures, now."""
        archiver, mover, retention = self._archiver, self.mover, self.retention
        if archiver is None or mover is None or retention is None:
            return
        yield Figure("archive_up", "1 while the archive can be written.", False, {"": float(archiver.is_ok)})
        yield Figure("archive_waiting", "Tasks that are to be archived, now or later.", False, {"": archiver.waiting})
        yield Figure("archive_failures", "How often the archive could not be used.", True, {"": archiver.failures})
        yield Figure("archive_text_bytes", "Output moved to the archive.", True, {"": mover.text_bytes})
        yield Figure("archive_stored_bytes", "What that takes there.", True, {"": mover.stored_bytes})
        yield Figure("archive_damaged", "Objects that were not what was stored.", True, {"": self.archive.damaged})
        text = "Archived tasks that were too old or too much, deleted by this server."
        yield Figure("archive_deleted", text, True, {"": retention.deleted_tasks})
        if retention.held_tasks:
            yield Figure("archive_held_bytes", "What the archive holds.", False, {"": retention.held_bytes})
            yield Figure("archive_held_tasks", "Tasks that the archive holds.", False, {"": retention.held_tasks})
        text = "Runs kept in Redis because the archive has not what their worker wrote."
        yield Figure("archive_refused", text, True, {"": mover.refused})
