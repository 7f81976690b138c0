"""All that is read over HTTP, put together: tasks and their logs, searches, workflows, the archive, and the pages.

Must never know: Settings, how anything is started or stopped, who asks (``Sight`` answers for that).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from livetask.server import pages
from livetask.server.access.sight import Sight
from livetask.server.api import TaskApi
from livetask.server.archive.api import ArchiveApi
from livetask.server.archive.erasing import Eraser
from livetask.server.archive.keeping import Keeping
from livetask.server.archive.shelving import Shelving
from livetask.server.archive.store import ArchivedStore
from livetask.server.flow.api import FlowApi
from livetask.server.live import Live
from livetask.server.log_api import LogApi, LogReader
from livetask.server.opening import Opening
from livetask.server.places import static_dir
from livetask.server.searching.finders import Finders
from livetask.server.searching.search_api import SearchApi
from livetask.server.sse import LiveLog
from livetask.server.store import Store


@dataclass(frozen=True, slots=True)
class Shown:
    """``logs``, ``finders``: what follows logs and searches them, to be ended with the server."""

    tasks: TaskApi
    flow: FlowApi
    logs: LiveLog
    searches: SearchApi
    archived: ArchiveApi
    finders: Finders
    pages: pages.Sources

    def routes(self) -> list[web.RouteDef]:
        """What programs read."""
        return [
            *self.tasks.routes(),
            *self.flow.routes(),
            *self.logs.routes(),
            *self.searches.routes(),
            *self.archived.routes(),
        ]

    def page_routes(self) -> list[web.AbstractRouteDef]:
        """What people read."""
        return pages.routes(self.pages, static_dir())


def shown_by(
    store: Store,
    sight: Sight,
    live: Live,
    keeping: Keeping | None,
    *,
    prefix: str,
    heartbeat_s: float,
    poll_s: float,
    count: Callable[[], None],
) -> Shown:
    """Put it together. ``prefix``: of the keys. ``count``: counts a search, and raises TooFast."""
    reader = LogReader(sight.task, store.read, store.entries)
    zipped = store.zipped if isinstance(store, ArchivedStore) else None
    finders = Finders()
    tasks, opening = TaskApi(sight, live.catalog), Opening(sight.task, store)
    archived = _archive_api(store, sight, prefix, keeping, count)
    return Shown(
        tasks,
        FlowApi(sight.task, live.catalog, store.read_many, archived.relatives),
        LiveLog(live.hub, reader, LogApi(reader, zipped), heartbeat_s, poll_s),
        SearchApi(reader, store.read, finders),
        archived,
        finders,
        pages.Sources(tasks.listed, tasks.one, reader.lines_of, opening.of),
    )


def _archive_api(
    store: Store, sight: Sight, prefix: str, keeping: Keeping | None, count: Callable[[], None]
) -> ArchiveApi:
    if keeping is not None and keeping.eraser is not None:
        return ArchiveApi(sight.glance, keeping.eraser, keeping.archive, count)
    return ArchiveApi(sight.glance, Eraser(store, prefix, Shelving(store.scripted, prefix, ""), None), None, count)
