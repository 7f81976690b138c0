"""A house to break things in: a broker, a store, workers with the journal app, servers, and proxies between them.

Celery's own Redis is another one than livetask's, so that what is broken is livetask's and never Celery's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from celery import Celery

from livetask.client import OutputBroken
from livetask.errors import BadRequest
from tests.oracle.checker import judge
from tests.oracle.journal import Journal, journals_in
from tests.oracle.verdict import NotExact, judging
from tests.oracle.viewers import ALL, Viewer
from tests.real.fault_proxy import FaultProxy
from tests.system.reading import asked
from tests.system.rig import Dashboard, Redis, Rig, Running, free_port, wait_for
from tests.system.sending import sent

Found = TypeVar("Found")


@dataclass
class House:
    """``server_proxy`` stands between viewers and the server, ``ship_proxy`` between worker and store, ``read_proxy``
    between server and store. ``others``: ports of more servers behind the balancer that ``server_proxy`` then is."""

    rig: Rig
    broker: Redis
    store: Redis
    server_proxy: FaultProxy
    ship_proxy: FaultProxy
    read_proxy: FaultProxy
    env: dict[str, str]
    server_env: dict[str, str] = field(default_factory=dict)
    workers: list[Running] = field(default_factory=list)
    dashboard: Dashboard | None = None
    others: tuple[int, ...] = ()

    @property
    def url(self) -> str:
        """Where viewers look."""
        return f"http://127.0.0.1:{self.server_proxy.port}"

    @property
    def straight(self) -> str:
        """The server itself, past the proxy."""
        assert self.dashboard is not None
        return self.dashboard.url

    @property
    def worker(self) -> Running:
        return self.workers[-1]

    def start_worker(self, pool: str = "prefork", concurrency: int = 2, **env: str) -> Running:
        running = self.rig.worker("journal", self.env | env, pool, concurrency)
        self.workers.append(running)
        return running

    def start_server(self) -> Dashboard:
        """Start the server, or start it again at the same place."""
        self.dashboard = self.serve(self.server_proxy.upstream_port)
        return self.dashboard

    def serve(self, port: int) -> Dashboard:
        """A server on the store, at that port."""
        return self.rig.serve(f"redis://127.0.0.1:{self.read_proxy.port}/0", port, self.server_env)

    def send(
        self,
        lines: int,
        a_second: float = 0.0,
        pad: int = 0,
        end: str = "return",
        hold: bool = False,
        **options: Any,
    ) -> str:
        """Send a task that writes a journal, with these options of Celery's; its id."""
        return sent(self.env, "journal.write", lines, a_second, pad, end, hold, **options)

    def tell(self, task_id: str) -> None:
        """Have the task that prints until it is told return, or the one that holds go on."""
        Path(self.env["SYSTEM_JOURNALS"], f"{task_id}.told").touch()

    def revoke(self, task_id: str, signal_name: str, **until: Any) -> None:
        """Have the task terminated by that signal, past livetask, as Celery's own command does.

        ``until``: what that waits for, in Celery's words; for nothing by itself.
        """
        with Celery(broker=self.env["SYSTEM_BROKER_URL"], backend=None, set_as_current=False) as app:
            app.control.revoke(task_id, terminate=True, signal=signal_name, **until)

    def journals(self, task_id: str) -> dict[str, Journal]:
        return journals_in(Path(self.env["SYSTEM_JOURNALS"]) / task_id)

    def task(self, task_id: str) -> dict[str, Any]:
        """The task as the server tells it now, {} when it cannot."""
        with contextlib.suppress(OSError):
            answer = asked(f"{self.straight}/api/tasks/{task_id}")
            return dict(answer.json) if answer.status == 200 else {}
        return {}

    async def in_thread(self, call: Callable[..., Found], *args: Any) -> Found:
        """Do what blocks, and let the viewers go on meanwhile."""
        return await asyncio.to_thread(call, *args)

    async def until(self, what: str, seen: Any, within_s: float = 90) -> Any:
        return await asyncio.to_thread(wait_for, what, seen, within_s)

    async def until_printed(self, task_id: str, lines: int, within_s: float = 90) -> None:
        """Until the task has printed so many lines, whatever anybody knows of it."""

        def seen() -> bool:
            return any(journal.lines >= lines for journal in self.journals(task_id).values())

        await self.until(f"{lines} lines of {task_id} are printed", seen, within_s)

    @contextlib.asynccontextmanager
    async def watched(
        self, task_id: str, kinds: Sequence[type[Viewer]] = ALL, within_s: float = 90
    ) -> AsyncIterator[list[Viewer]]:
        """A viewer of each kind that follows the task. HTTP must know the task before, so that is waited for.

        A task that goes on until it is told is told when nobody watches any more: one whose test has failed would
        keep its place in the pool of those that share the house with it.
        """
        try:
            await self.until(f"{task_id} is known", lambda: self.task(task_id).get("runs"), within_s)
            async with contextlib.AsyncExitStack() as stack:
                yield [await stack.enter_async_context(kind(self.url, task_id)) for kind in kinds]
        finally:
            with contextlib.suppress(FileNotFoundError):
                self.tell(task_id)

    async def all_see(self, viewers: Sequence[Viewer]) -> None:
        """Wait until each of them has been given something, so that it is there when something breaks."""

        def seen() -> bool:
            return all(viewer.record.size_bytes for viewer in viewers)

        await self.until("every viewer is given something", seen)

    async def all_exact(
        self, viewers: Sequence[Viewer], task_id: str, *, healed: bool = True, within_s: float = 90, **how: Any
    ) -> None:
        """Fail unless every viewer comes to the end, and with NotExact unless the checker finds nothing.

        ``healed``: nor is there a gap or a reset.
        """
        ended = await asyncio.gather(*(viewer.ended(within_s) for viewer in viewers), return_exceptions=True)
        if late := [error for error in ended if error]:
            unreadable = any(isinstance(error, OutputBroken | BadRequest) for error in late)
            raise (NotExact if unreadable else AssertionError)(late)
        journals = self.journals(task_id)
        faults = [fault for viewer in viewers for fault in judge(viewer.record, journals, **how)]
        with judging():
            assert not faults, faults
            if healed:
                for viewer in viewers:
                    assert (viewer.record.holes, viewer.record.backs) == ([], []), viewer.name


@contextlib.contextmanager
def house_in(rig: Rig, fsync: str = "everysec", **settings: str) -> Iterator[House]:
    """A house with a broker and a store; no worker and no server yet. ``settings``: LIVETASK_... of both halves."""
    broker, store = rig.redis("no"), rig.redis(fsync)
    with contextlib.ExitStack() as stack:
        server, ship, read = (stack.enter_context(FaultProxy(port)) for port in (free_port(), store.port, store.port))
        env = rig.app_env(broker.url, LIVETASK_REDIS_URL=f"redis://127.0.0.1:{ship.port}/0", **settings)
        env["SYSTEM_JOURNALS"] = os.fspath(rig.place / "journals")
        house = House(rig, broker, store, server, ship, read, env, dict(settings))
        yield house
