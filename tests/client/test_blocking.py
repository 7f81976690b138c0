"""The client for programs without asyncio."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from livetask.client import CaughtUp, Output, SyncClient, TaskEnded
from livetask.errors import TaskUnknown
from tests.real.fault_proxy import FaultProxy
from tests.server.serving import Writer
from tests.system.apps.lines import text
from tests.system.rig import Dashboard, Running, wait_for


def test_output_comes_while_it_is_written(url: str, begun: Callable[..., Writer]) -> None:
    writer = begun().write(b"early\n")
    with SyncClient(url) as client:
        got = b""
        for item in client.output(writer.task_id):
            got += item.data if isinstance(item, Output) else b""
            if isinstance(item, CaughtUp) and got == b"early\n":
                writer.write(b"late\n").finish()
        assert got == writer.all
        assert item == TaskEnded("SUCCESS")


def test_a_loop_that_is_left_goes_on_later_from_its_cursor(server: Dashboard, begun: Callable[..., Writer]) -> None:
    data = text(8000)
    writer = begun()
    for at in range(0, len(data), 5000):
        writer.write(data[at : at + 5000])
    writer.finish()
    got, cursor, loops = b"", None, 0
    with FaultProxy(server.port) as proxy, SyncClient(f"http://127.0.0.1:{proxy.port}") as client:
        while len(got) < len(data):
            for item in client.output(writer.task_id, cursor):
                if isinstance(item, Output):
                    got, cursor, loops = got + item.data, item.cursor, loops + 1
                    break
    assert got == data
    assert loops > 3


def test_calls_wait_for_their_answers(url: str, worker: Running) -> None:
    with SyncClient(url) as client:
        task_id = client.send("clients.count", kwargs={"lines": 1})
        assert list(client.output(task_id, wait=True))[-1] == TaskEnded("SUCCESS")
        assert client.info(task_id).result == 1
        assert client.task(task_id).name == "clients.count"
        assert task_id in [task.task_id for task in client.tasks()]
        with pytest.raises(TaskUnknown):
            client.revoke("no-such-task")


def test_an_interrupted_loop_leaves_the_client_usable_and_goes_on_from_its_cursor(
    url: str, begun: Callable[..., Writer]
) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    writer, got, cursor = begun().write(b"before\n"), b"", None
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with SyncClient(url) as client:
            items = client.output(writer.task_id)
            for item in items:
                if isinstance(item, Output):
                    got, cursor = got + item.data, item.cursor
                if isinstance(item, CaughtUp):
                    break
            signal.setitimer(signal.ITIMER_REAL, 0.3)  # while it waits for what does not come
            with pytest.raises(Interrupted):
                next(items)
            writer.write(b"after\n").finish()
            got += b"".join(item.data for item in client.output(writer.task_id, cursor) if isinstance(item, Output))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert got == b"before\nafter\n"


def test_nothing_is_left_running_when_it_is_closed(url: str, begun: Callable[..., Writer]) -> None:
    before = threading.active_count()
    writer = begun().write(b"x\n")
    client = SyncClient(url)
    items = client.output(writer.task_id)
    next(items)
    client.close()
    client.close()
    wait_for("its thread has ended", lambda: threading.active_count() <= before)
