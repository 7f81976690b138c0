"""Starting, stopping and asking after tasks, with a real worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from celery import Celery
from celery.exceptions import TaskRevokedError

from livetask.client import AddressInvalid, Client, Output, RunEnded, ServerUnreachable, TaskEnded
from livetask.errors import ArgumentInvalid, ArgumentsUnknown, NotFound, StopRefused, TaskNotAllowed, TaskUnknown
from livetask.position import Position
from tests.server.serving import Writer
from tests.system.rig import Redis, Running, free_port


async def test_a_task_is_started_followed_and_asked_after(url: str, worker: Running) -> None:
    async with Client(url) as client, asyncio.timeout(90):
        task_id = await client.send("clients.count", [2], {"word": "żółw"})
        items = [item async for item in client.output(task_id, wait=True)]
        output = b"".join(item.data for item in items if isinstance(item, Output))
        assert output.decode() == "żółw 1\nżółw 2\n"
        assert items[-1] == TaskEnded("SUCCESS")
        info = await client.info(task_id)
        assert (info.state, info.result) == ("SUCCESS", 2)
        task = await client.task(task_id)
        assert (task.name, task.state, task.result, task.has_ended) == ("clients.count", "SUCCESS", "2", True)
        assert task.runs[0].end == Position(3, len(output))
        assert task.as_json()["runs"][0]["lines"] == 2


@pytest.mark.parametrize("args", [5, "word", b"word", {"word": 1}])
async def test_arguments_that_are_no_list_are_refused_before_anything_is_sent(args: Any) -> None:
    async with Client("http://127.0.0.1:1") as client:
        for refused in (client.send("clients.count", args), client.rerun("task", args)):
            with pytest.raises(ArgumentInvalid, match=r"args: expected a list .*, \[5\] for one"):
                await refused
        with pytest.raises(ArgumentInvalid, match="kwargs: expected a mapping"):
            await client.send("clients.count", None, [args])  # type: ignore[arg-type]


async def test_all_runs_of_a_retrying_task_are_given(url: str, worker: Running) -> None:
    async with Client(url) as client, asyncio.timeout(90):
        task_id = await client.send("clients.retry")
        items = [item async for item in client.output(task_id, wait=True)]
    assert b"".join(item.data for item in items if isinstance(item, Output)).count(b"attempt") == 3
    ends = [(item.how, item.verified) for item in items if isinstance(item, RunEnded)]
    assert ends == [("RETRY", True), ("RETRY", True), ("SUCCESS", True)]


async def test_a_running_task_is_terminated(url: str, worker: Running, place: Path) -> None:
    async with Client(url) as client, asyncio.timeout(90):
        task_id = await client.send("clients.wait_for", [str(place / "never")])
        async for item in client.output(task_id, wait=True):
            if isinstance(item, Output) and b"waiting" in item.data:
                await client.revoke(task_id, terminate=True)
        assert isinstance(item, TaskEnded)
        assert item.state == "REVOKED"


async def test_a_task_that_runs_is_given_a_grace_and_then_run_again(url: str, worker: Running, place: Path) -> None:
    async with Client(url) as client, asyncio.timeout(90):
        task_id = await client.send("clients.wait_for", [str(place / "flag")])
        async for item in client.output(task_id, wait=True):
            if isinstance(item, Output) and b"waiting" in item.data:
                stopped = await client.revoke(task_id, terminate=True, grace_s=0.5)
                assert stopped.outcome == "stopping"
                assert (await client.task(task_id)).stopping_by == "127.0.0.1"
        assert isinstance(item, TaskEnded)
        assert item.state == "REVOKED"
        assert (await client.task(task_id)).revoked_by == "127.0.0.1"
        (place / "flag").touch()
        again = await client.rerun(task_id)
        items = [item async for item in client.output(again, wait=True)]
        assert isinstance(items[-1], TaskEnded)
        assert items[-1].state == "SUCCESS"
        new, old = await client.task(again), await client.task(task_id)
        assert (new.rerun_of, old.reruns, new.args) == (task_id, (again,), old.args)


async def test_who_waits_for_a_cancelled_task_by_celery_is_told_that_it_was_revoked(
    url: str, worker: Running, store: Redis
) -> None:
    async with Client(url) as client, asyncio.timeout(90):
        task_id = await client.send("clients.until_cancelled")
        async for item in client.output(task_id, wait=True):
            if isinstance(item, Output):
                assert (await client.revoke(task_id)).outcome == "cancelling"
    app = Celery(backend=store.url, set_as_current=False)
    with pytest.raises(TaskRevokedError, match=r"cancelled by 127\.0\.0\.1"):
        await asyncio.to_thread(app.AsyncResult(task_id).get, timeout=90)


async def test_a_refusal_to_stop_or_to_run_again_has_its_own_error(url: str, begun: Callable[..., Writer]) -> None:
    async with Client(url) as client:
        with pytest.raises(StopRefused, match="did not answer") as caught:
            await client.revoke(begun().task_id, terminate=True)
        assert caught.value.code == "no_answer"
        with pytest.raises(ArgumentsUnknown, match="nobody noted them"):
            await client.rerun(begun().finish().task_id)


async def test_the_list_can_be_narrowed(url: str, begun: Callable[..., Writer]) -> None:
    good, bad = begun().finish(), begun().finish("FAILURE")
    async with Client(url) as client:
        ids = [task.task_id for task in await client.tasks(limit=500)]
        assert ids.index(bad.task_id) < ids.index(good.task_id)
        assert {task.state for task in await client.tasks(states=["FAILURE"])} == {"FAILURE"}
        assert [task.task_id for task in await client.tasks(text=good.task_id)] == [good.task_id]
        assert len(await client.tasks(limit=1)) == 1


async def test_what_may_not_be_done_is_refused_by_name(url: str) -> None:
    async with Client(url) as client:
        with pytest.raises(TaskNotAllowed):
            await client.send("other.task")
        for call in (client.task, client.info, client.revoke):
            with pytest.raises(TaskUnknown):
                await call("no-such-task")


async def test_a_task_that_the_app_does_not_have_is_refused(url: str) -> None:
    async with Client(url) as client:
        with pytest.raises(Exception, match=r"no task 'clients\.nothing'") as caught:
            await client.send("clients.nothing")
        assert getattr(caught.value, "code", "") in (NotFound.code, "not_found")


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async with Client(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(ServerUnreachable):
            await client.tasks()


async def test_something_else_that_answers_is_told_apart_from_livetask() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<h1>hello</h1>")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with Client(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(ServerUnreachable, match="no livetask server"):
                await client.tasks()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("url", ["", "127.0.0.1:8400", "redis://x", "http://"])
def test_an_address_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(AddressInvalid):
        Client(url)
