"""The same client for programs without an event loop: every method waits for its answer.

The asynchronous client runs in one thread of its own; each call is handed over to it and waited for. Output is asked
for one item at a time, so that nothing runs ahead of the program.

Must never know: what the calls do.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from livetask.client.client import DEFAULT_URL, Client
from livetask.client.items import Item
from livetask.client.tasks import Stopped, Task, TaskInfo
from livetask.position import Cursor

T = TypeVar("T")

_END_S = 5.0
"""How long an interrupted call may take to end."""


class SyncClient:
    """A livetask server, as a program without asyncio sees it; arguments and errors are those of Client.

    Use it as a context manager, from any thread:

        with SyncClient("http://127.0.0.1:8400") as client:
            for item in client.output(client.send("reports.build"), wait=True):
                if isinstance(item, Output):
                    sys.stdout.buffer.write(item.data)
    """

    def __init__(self, url: str = DEFAULT_URL, token: str | None = None, **options: Any) -> None:
        self._client = Client(url, token, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="livetask-client", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._client.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections and the thread. Nothing can be called afterwards."""
        if self._loop.is_closed():
            return
        self._waited_for(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def send(self, name: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None) -> str:
        """Start a task and return its id; see Client.send."""
        return self._waited_for(self._client.send(name, args, kwargs))

    def revoke(self, task_id: str, terminate: bool = False, grace_s: float = 0.0) -> Stopped:
        """Tell all workers not to begin the task, or to stop it; see Client.revoke."""
        return self._waited_for(self._client.revoke(task_id, terminate, grace_s))

    def rerun(self, task_id: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None) -> str:
        """Run a task again, and return the id of the new one; see Client.rerun."""
        return self._waited_for(self._client.rerun(task_id, args, kwargs))

    def info(self, task_id: str) -> TaskInfo:
        """What Celery's result backend knows of the task; see Client.info."""
        return self._waited_for(self._client.info(task_id))

    def task(self, task_id: str) -> Task:
        """What livetask knows of the task and its runs; see Client.task."""
        return self._waited_for(self._client.task(task_id))

    def tasks(
        self, *, states: Iterable[str] = (), text: str = "", sort: str = "changed", limit: int = 100
    ) -> list[Task]:
        """Tasks by their last change, newest first; see Client.tasks."""
        return self._waited_for(self._client.tasks(states=states, text=text, sort=sort, limit=limit))

    def share(self, task_id: str, hours: float = 24.0) -> str:
        """Make a link to the task's log, and return its address; see Client.share."""
        return self._waited_for(self._client.share(task_id, hours))

    def output(
        self,
        task_id: str,
        cursor: str | Cursor | None = None,
        *,
        run: int | None = None,
        wait: bool = False,
        timeout_s: float | None = None,
    ) -> Generator[Item, None, None]:
        """Follow a task until it has ended; see Client.output. Leaving the loop ends the connection."""
        items = self._client.output(task_id, cursor, run=run, wait=wait, timeout_s=timeout_s)
        try:
            while (item := self._waited_for(_after(items))) is not None:
                yield item
        finally:
            if not self._loop.is_closed():
                self._waited_for(items.aclose())

    def _waited_for(self, call: Coroutine[Any, Any, T]) -> T:
        """Have it done in the client's thread. An interrupt, such as Ctrl-C, ends it there first."""
        over = threading.Event()

        async def done() -> T:
            try:
                return await call
            finally:
                over.set()

        future = asyncio.run_coroutine_threadsafe(done(), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            over.wait(_END_S)
            raise


async def _after(items: AsyncGenerator[Item, None]) -> Item | None:
    """The next item, None after the last."""
    return await anext(items, None)
