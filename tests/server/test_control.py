"""Starting, stopping and asking after tasks, with a real broker, a real worker, and brokers that are away or hang."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from livetask.errors import (
    ArgumentInvalid,
    BrokerUnavailable,
    LivetaskError,
    NotFound,
    RedisUnavailable,
    TaskIdInvalid,
    TaskNotAllowed,
    TooLarge,
)
from livetask.server.calls import Sender
from livetask.server.control import Control, TaskFate
from livetask.signature import TaskForm, form_of
from tests.server import small_app
from tests.server.serving import a_silent_broker, redis_of_the_module, slow_callbacks, until
from tests.system.rig import Redis, Running, free_port

Noted = list[tuple[str, str, Mapping[str, str]]]


store = redis_of_the_module


@pytest.fixture(scope="module")
def module_app(store: Redis) -> Iterator[Celery]:
    app = small_app.make(store.url)
    yield app
    app.pool.force_close_all()


@pytest.fixture
def app(module_app: Celery, store: Redis) -> Iterator[Celery]:
    """The small app, with an empty queue after each test."""
    yield module_app
    with store.client() as client:
        client.delete(small_app.QUEUE)


@pytest.fixture
def worker(store: Redis, tmp_path: Path) -> Iterator[Running]:
    words = [sys.executable, "-m", "celery", "-A", "tests.server.small_app", "worker", "-P", "threads", "-c", "1"]
    words += ["--without-mingle", "--without-gossip", "--without-heartbeat", "-l", "INFO"]
    running = Running.start(words, tmp_path / "log", {"LIVETASK_TEST_SMALL_APP_URL": store.url})
    running.wait_for_log("ready.")
    yield running
    running.stop()


async def nothing_published(name: str) -> tuple[TaskForm, ...]:
    return ()


def control_of(app: Celery | None, *available: str, noted: Noted | None = None, **more: Any) -> Control:
    async def note(task_id: str, what: str, fields: Mapping[str, str]) -> None:
        if noted is not None:
            noted.append((task_id, what, fields))

    given: dict[str, Any] = {
        "redis_url": "redis://127.0.0.1:1/0",
        "available_tasks": available,
        "timeout_s": 5,
        "limit_bytes": 4096,
        "show_arguments": True,
        "note": note,
        "forms_of": nothing_published,
    }
    control = Control(app, **(given | more))
    _opened.append(control)
    return control


_opened: list[Control] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


def waiting(app: Celery) -> int:
    with app.connection_for_read() as connection:
        return int(connection.default_channel.client.llen(small_app.QUEUE))


async def test_a_sent_task_is_run_by_a_worker_and_its_result_can_be_asked_for(app: Celery, worker: Running) -> None:
    noted: Noted = []
    control = control_of(app, "add", "fails", noted=noted)
    task_id = await control.send({"task_name": "add", "args": [2], "kwargs": {"y": 3}})
    failing = await control.send({"task_name": "fails"})

    async def fate(asked: str, state: str) -> TaskFate | None:
        found = await control.info(asked)
        return found if found.state == state else None

    assert (await until("a result", lambda: fate(task_id, "SUCCESS"))).result == 5
    assert (await until("a failure", lambda: fate(failing, "FAILURE"))).result == "ValueError: not today"
    assert [(what, fields["name"]) for _, what, fields in noted] == [("queued", "add"), ("queued", "fails")]
    assert (noted[0][0], noted[0][2]["args"], noted[0][2]["kwargs"]) == (task_id, "(2,)", "{'y': 3}")


async def test_a_revoked_task_that_waits_is_never_run(app: Celery, worker: Running) -> None:
    control = control_of(app, "add")
    task = app.tasks["add"].apply_async((1,), countdown=3600)
    await until("the worker holds it", lambda: asyncio.to_thread(_scheduled, app))
    await control.revoke([task.id])

    async def is_revoked() -> bool:
        return (await control.info(task.id)).state == "REVOKED"

    await until("the worker has obeyed", is_revoked)


def _scheduled(app: Celery) -> bool:
    return any((app.control.inspect(timeout=0.5).scheduled() or {}).values())


async def test_without_an_app_any_allowed_name_is_sent(store: Redis) -> None:
    control = control_of(None, "far.*", redis_url=store.url)
    task_id = await control.send({"task_name": "far.away"})
    assert (await control.info(task_id)).state == "PENDING"
    assert await control.startable() == []
    assert [task.name for task in await control_of(None, "b", "a", "c.*").startable()] == ["a", "b"]


async def test_only_listed_tasks_are_sent_and_an_empty_list_allows_none(app: Celery) -> None:
    for available, name in [((), "add"), (("fail*",), "add"), (("add?",), "add"), (("ADD",), "add")]:
        with pytest.raises(TaskNotAllowed):
            await control_of(app, *available).send({"task_name": name})
    assert waiting(app) == 0


async def test_a_name_that_the_app_does_not_have_is_refused(app: Celery) -> None:
    with pytest.raises(NotFound, match="no task 'nowhere'"):
        await control_of(app, "*").send({"task_name": "nowhere"})
    assert waiting(app) == 0


async def test_startable_names_the_allowed_tasks_of_the_app_with_their_forms(app: Celery) -> None:
    # shared tasks of other test modules come to every app of this process
    found = [task for task in await control_of(app, "*").startable() if "." not in task.name]
    doc = "Adds two numbers.\n\nAnd says no more."
    assert [(task.name, task.doc) for task in found] == [("add", doc), ("fails", ""), ("hidden", ""), ("say", "")]
    assert [(one.name, one.hint, one.required) for one in found[0].parameters or ()] == [
        ("x", "int", True),
        ("y", "int", False),
    ]
    assert {task.queue for task in found} == {small_app.QUEUE}
    assert [task.name for task in await control_of(app, "a*", "f*").startable()] == ["add", "fails"]
    assert await control_of(app).startable() == []


@pytest.mark.parametrize(
    "message",
    [
        None,
        7,
        "add",
        [],
        {},
        {"task_name": None},
        {"task_name": ""},
        {"task_name": 5},
        {"task_name": "a" * 256},
        {"task_name": "add", "args": "12"},
        {"task_name": "add", "args": {"0": 1}},
        {"task_name": "add", "kwargs": []},
        {"task_name": "add", "kwargs": {1: 2}},
        {"task_name": "add", "arg": [1]},
        {"task_name": "add", "chain": {"task_name": "add"}},
        {"task_name": "add", "chain": ["add"]},
        {"task_name": "add", "chain": [{"task_name": "add", "chain": [{"task_name": "add"}]}]},
        {"task_name": "add", "chain": [{"task_name": "add"}] * 101},
        {"task_name": "add", "chain": [{"task_name": "add", "args": "1"}]},
        {"task_name": "add", "room": 5},
        {"task_name": "add", "room": "x" * 201},
        {"task_name": "add", "args": [{1, 2}]},
    ],
)
async def test_a_malformed_message_is_refused_and_nothing_is_sent(app: Celery, message: object) -> None:
    with pytest.raises(ArgumentInvalid):
        await control_of(app, "*").send(message)
    assert waiting(app) == 0


async def test_a_chain_is_refused_whole_if_one_of_its_calls_cannot_succeed(app: Celery) -> None:
    published = (form_of(app, app.tasks["add"]),)

    async def forms_of(name: str) -> tuple[TaskForm, ...]:
        return published

    for control in (control_of(app, "add"), control_of(app, "add", forms_of=forms_of)):
        for args in ([1, 2], ["1"]):  # the result of the task before comes first
            with pytest.raises(ArgumentInvalid):
                await control.send({"task_name": "add", "args": [1], "chain": [{"task_name": "add", "args": args}]})
        assert waiting(app) == 0
        for chained in ({"args": [2]}, {"args": []}, {"kwargs": {"y": 3}}):
            await control.send({"task_name": "add", "args": [1], "chain": [{"task_name": "add", **chained}]})
        assert waiting(app) == 3
        app.control.purge()


async def test_what_a_header_gives_need_not_be_given(app: Celery) -> None:
    control = control_of(app, "say", header_task_map=[("say", "x-user", "text")])
    await control.start({"task_name": "say"}, Sender(headers={"x-user": "ann"}))
    with pytest.raises(ArgumentInvalid):
        await control.start({"task_name": "say"}, Sender())
    assert waiting(app) == 1


async def test_a_chain_with_a_task_that_is_not_allowed_or_not_there_is_refused_whole(app: Celery) -> None:
    with pytest.raises(TaskNotAllowed):
        await control_of(app, "add").send({"task_name": "add", "args": [1], "chain": [{"task_name": "fails"}]})
    with pytest.raises(NotFound):
        await control_of(app, "*").send({"task_name": "add", "args": [1], "chain": [{"task_name": "nowhere"}]})
    assert waiting(app) == 0


async def test_arguments_beyond_the_limit_are_refused(app: Celery) -> None:
    with pytest.raises(TooLarge):
        await control_of(app, "*").send({"task_name": "add", "args": ["x" * 5000]})
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ArgumentInvalid):
        await control_of(app, "*").send({"task_name": "add", "args": deep})
    assert waiting(app) == 0
    while deep:  # taken apart by hand: the interpreter would recurse
        deep = deep[0]


@pytest.mark.parametrize("task_id", [None, 5, "", "a b", "x" * 201, {"task_id": "a"}, "../x"])
async def test_a_strange_task_id_is_refused(app: Celery, task_id: object) -> None:
    control = control_of(app, "*")
    with pytest.raises(TaskIdInvalid):
        await control.revoke([task_id])
    with pytest.raises(TaskIdInvalid):
        await control.info(task_id)


@pytest.mark.alone
async def test_a_broker_that_is_away_is_told_at_once() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    noted: Noted = []
    control = control_of(None, "*", redis_url=url, noted=noted)
    for call in (lambda: control.send({"task_name": "x"}), lambda: control.revoke(["x"]), lambda: control.info("x")):
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable) as caught:
            await call()
        assert "secret" not in str(caught.value)
        assert time.monotonic() - began < 4
    assert noted == []


@pytest.mark.alone
async def test_a_broker_that_hangs_neither_blocks_the_loop_nor_is_waited_for_too_long() -> None:
    async with a_silent_broker() as url:
        control = control_of(None, "*", redis_url=url, timeout_s=1)
        with slow_callbacks() as slow:
            began = time.monotonic()
            asked: list[Any] = [control.send({"task_name": "x"}) for _ in range(6)]
            asked += [control.revoke(["x"]), control.info("x")]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            took_s = time.monotonic() - began
        assert all(isinstance(answer, BrokerUnavailable) for answer in answers), answers
        assert took_s < 2.5
        assert slow == []


async def test_a_call_that_nobody_waits_for_any_more_is_not_published(app: Celery) -> None:
    control = control_of(app, "*", timeout_s=0.2)
    connected = threading.Event()
    given_up = threading.Event()
    original = control._connection

    def slow(celery_app: Celery, wanted: Any) -> Any:
        given_up.wait(90)
        connected.set()
        return original(celery_app, wanted)

    control._connection = slow  # type: ignore[method-assign]  # a network that takes its time
    with pytest.raises(BrokerUnavailable):
        await control.send({"task_name": "add", "args": [1]})
    given_up.set()
    assert await asyncio.to_thread(connected.wait, 90)
    control.close()

    async def ended() -> bool:
        return not any(thread.name.startswith("livetask-publish") for thread in threading.enumerate())

    await until("the threads have ended", ended)
    assert waiting(app) == 0


async def test_a_store_that_is_away_does_not_undo_what_was_sent(app: Celery) -> None:
    async def away(*_: object) -> None:
        raise RedisUnavailable("refused")

    control = control_of(app, "*", note=away)
    task_id = await control.send({"task_name": "add", "args": [1]})
    assert waiting(app) == 1
    assert task_id


async def test_sending_leaves_no_subscription_to_the_result(app: Celery, store: Redis) -> None:
    control = control_of(app, "*")
    for _ in range(3):
        await control.send({"task_name": "add", "args": [1]})
    with store.client() as client:
        assert client.pubsub_channels("celery-task-meta-*") == []


async def test_arguments_are_not_noted_when_they_are_not_to_be_shown(app: Celery) -> None:
    noted: Noted = []
    await control_of(app, "*", noted=noted, show_arguments=False).send({"task_name": "add", "args": [1]})
    assert set(noted[0][2]) == {"name", "queued_at"}


def test_every_refusal_belongs_to_the_tree_of_errors() -> None:
    assert all(issubclass(kind, LivetaskError) for kind in (ArgumentInvalid, BrokerUnavailable, TaskNotAllowed))


def test_the_results_switch_of_celery_is_put_back(tmp_path: Path) -> None:
    from celery._state import task_join_will_block

    from livetask.server.control import _results_unclaimed

    with _results_unclaimed, _results_unclaimed:
        assert task_join_will_block()
    assert not task_join_will_block()
