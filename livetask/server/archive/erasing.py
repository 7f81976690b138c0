"""Takes away what tasks printed: on request, and from the archive what retention gives up.

| what | in Redis | on the shelf |
|---|---|---|
| a task, on request | its output, events, arguments and result go; that it ran stays, for ``keep_s`` | all of it goes |
| an archived task that is too old or too much | its runs are not archived any more | all of it goes |

Who reads meets a gap, ``deleted``, or 410; when Redis too has forgotten the task, 404. Redis is told first, so that
nobody is led to what is not there; the mark goes last, so that what a crash has left is found again.

Must never know: who may do it, how objects lie on a shelf.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from livetask.archive_errors import ArchiveUnavailable, TaskUnderWay
from livetask.errors import RedisUnavailable, TaskUnknown
from livetask.keys import Keys, bucket_of
from livetask.server.archive import names
from livetask.server.archive.archive import Archive
from livetask.server.archive.names import Mark
from livetask.server.archive.shelf import Shelf
from livetask.server.archive.shelving import LeaseLost, Shelving
from livetask.server.store import Store
from livetask.server.tasks import Task

_PATIENCE_S = 5.0
_AGAIN_S = 0.1


class Eraser:
    """See the module's docstring. ``archive``: None where there is none."""

    def __init__(self, store: Store, prefix: str, shelving: Shelving, archive: Archive | None) -> None:
        self._store = store
        self._keys = Keys(prefix)
        self._shelving = shelving
        self._archive = archive

    async def erase(self, task_id: str, by: str) -> int:
        """Take away what a task printed and was called with; how many bytes of it lay in the archive.

        Raises TaskUnknown, TaskUnderWay, FormatUnknown, RedisUnavailable, ArchiveUnavailable: then ask again.
        """
        archived = await self._archive.snapshot(task_id) if self._archive is not None else None
        async with self._lease(task_id):
            task = await Store.task(self._store, task_id)
            if task is None and archived is None:
                raise TaskUnknown(task_id)
            if task is not None:
                await self._erase_in_redis(task, by)
            if self._archive is None:
                return 0
            task_hash = self._archive.hash_of(task_id)
            size = await self._archive.call(partial(_taken_away, self._archive.shelf, task_hash))
            if archived is not None:
                await self._archive.call(partial(self._archive.shelf.delete, archived.mark.path))
            await self._archive.forget(task_id, [run.nonce for run in task.runs] if task is not None else ())
            return size

    async def expire(self, mark: Mark) -> int:
        """Take an archived task away, unless it is under way; how many bytes that gave."""
        assert self._archive is not None, "there is nothing to expire without an archive"
        shelf = self._archive.shelf
        self._archive.forget_task(mark.task_hash)
        snapshot = await self._archive.snapshot_of(mark.task_hash)
        if snapshot is not None and snapshot.mark != mark:
            await self._archive.call(partial(shelf.delete, mark.path))
            return 0
        if snapshot is not None:
            async with self._lease(snapshot.task_id):
                task = await Store.task(self._store, snapshot.task_id)
                if task is not None and not task.has_ended:
                    return 0
                for run in task.runs if task is not None else ():
                    with suppress(LeaseLost):
                        await self._shelving.forget(snapshot.task_id, run, "deleted")
                size = await self._archive.call(partial(_taken_away, shelf, mark.task_hash))
        else:
            size = await self._archive.call(partial(_taken_away, shelf, mark.task_hash))
        await self._archive.call(partial(shelf.delete, mark.path))
        self._archive.forget_task(mark.task_hash)
        return size

    async def _erase_in_redis(self, task: Task, by: str) -> None:
        task_id = task.task_id
        streams = [self._keys.output(task_id, run.nonce) for run in task.runs]
        streams += [self._keys.events(task_id, run.nonce) for run in task.runs]
        keys = (self._keys.task(task_id), self._keys.bell(bucket_of(task_id)), *streams)
        ((answer, *_),) = await self._store.scripted([("erase", keys, (task_id, by))])
        if bytes(answer) == b"OPEN":
            raise TaskUnderWay(task_id)

    @asynccontextmanager
    async def _lease(self, task_id: str) -> AsyncIterator[None]:
        """The lease of a task: nobody moves it meanwhile."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not await self._shelving.take(task_id):  # noqa: ASYNC110 - other servers set no event of ours
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError as error:
            raise ArchiveUnavailable("another server is at work on this task") from error
        try:
            yield
        finally:
            with suppress(RedisUnavailable):
                await self._shelving.drop(task_id)


def _taken_away(shelf: Shelf, task_hash: str) -> int:
    """Delete the parts of a task and its snapshot; how many bytes they were."""
    folder, size = names.task_folder(task_hash), 0
    for nonce in shelf.folders(folder):
        for file, file_bytes in shelf.names(f"{folder}/{nonce}"):
            shelf.delete(f"{folder}/{nonce}/{file}")
            size += file_bytes
    shelf.delete(names.task_file(task_hash))
    return size
