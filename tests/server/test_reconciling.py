"""Tasks that nobody tells of any more do not stay under way for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import pytest
import redis
from celery import Celery

from livetask.errors import BrokerUnavailable
from livetask.keys import Keys
from livetask.server.control import Control, TaskFate
from livetask.server.listing.roster import Roster
from livetask.server.listing.rows import Row
from livetask.server.reconciling import Asks, Reconciler
from livetask.server.store import Store
from tests.real.writer import RunWriter

KEYS = Keys()


@dataclass
class Case:
    """A store, its list, and a result backend. ``at_s``: the monotonic clock."""

    store: Store
    client: redis.Redis
    fates: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_away: bool = False
    at_s: float = 0.0

    def __post_init__(self) -> None:
        self.roster = Roster(self.store.listed)
        asks = Asks(self.rows, self.store.task, self.fate, self.store.note, self.store.commands)
        self.reconciler = Reconciler(asks, KEYS, patience_s=30, lease_ms=0)

    async def rows(self) -> Iterable[Row]:
        await self.roster.sync()
        return self.roster

    async def fate(self, task_id: str) -> TaskFate:
        self.asked.append(task_id)
        if self.is_away:
            raise BrokerUnavailable("away")
        return TaskFate(self.fates.get(task_id, "PENDING"), None)

    async def after(self, seconds: float) -> None:
        self.at_s += seconds
        await self.reconciler.round(self.at_s)

    async def state(self, task_id: str) -> str:
        task = await self.store.task(task_id)
        assert task is not None
        return task.state


@pytest.fixture
async def case(redis_url: str) -> AsyncIterator[Case]:
    with redis.Redis.from_url(redis_url) as client:
        async with Store(redis_url) as store:
            yield Case(store, client)


async def test_a_task_that_a_worker_without_livetask_ran_ends_as_the_result_backend_says(case: Case) -> None:
    await case.store.note("t-1", "queued", {"name": "a.task"})
    case.fates["t-1"] = "SUCCESS"
    await case.after(0)
    assert case.asked == [], "it may only wait for its turn"
    await case.after(31)
    assert await case.state("t-1") == "SUCCESS"


async def test_a_task_that_waits_is_left_waiting_and_asked_after_again_much_later(case: Case) -> None:
    await case.store.note("t-1", "queued", {"name": "a.task"})
    for seconds in (0, 31, 31, 31):
        await case.after(seconds)
    assert (await case.state("t-1"), case.asked) == ("QUEUED", ["t-1"])
    await case.after(60)
    assert case.asked == ["t-1", "t-1"]


async def test_a_task_whose_retry_ran_elsewhere_ends(case: Case) -> None:
    run = RunWriter(case.client, "t-1")
    run.begin()
    run.finish("RETRY")
    case.fates["t-1"] = "FAILURE"
    await case.after(0)
    await case.after(31)
    assert await case.state("t-1") == "FAILURE"


async def test_a_lost_task_of_which_the_result_backend_knows_the_end_has_ended_so(case: Case) -> None:
    run = RunWriter(case.client, "t-1", lease_ms=0)
    run.begin()
    assert await case.store.finish_lost("t-1", 1, run.nonce, "not heard of")
    await case.after(0)
    await case.after(31)
    assert await case.state("t-1") == "LOST"
    case.fates["t-1"] = "SUCCESS"
    await case.after(121)
    assert await case.state("t-1") == "SUCCESS"


async def test_a_run_that_goes_on_is_not_ended_by_what_the_result_backend_says_of_an_earlier_one(case: Case) -> None:
    RunWriter(case.client, "t-1").begin()
    case.fates["t-1"] = "SUCCESS"
    for seconds in (0, 31, 121):
        await case.after(seconds)
    assert (await case.state("t-1"), case.asked) == ("RUNNING", [])


async def test_a_run_without_a_lease_is_given_one_so_that_it_can_be_lost(case: Case) -> None:
    run = RunWriter(case.client, "t-1", lease_ms=60_000)
    run.begin()
    case.client.delete(run.alive)
    assert await case.store.expired() == []
    await case.after(0)
    await case.after(31)
    assert await case.store.expired() == [("t-1", 1, run.nonce)]
    assert await case.store.finish_lost("t-1", 1, run.nonce, "not heard of")
    assert await case.state("t-1") == "LOST"


async def test_a_lease_that_is_there_is_not_shortened(case: Case) -> None:
    run = RunWriter(case.client, "t-1", lease_ms=60_000)
    run.begin()
    before = case.client.zrange(run.alive, 0, -1, withscores=True)
    await case.after(0)
    await case.after(31)
    assert case.client.zrange(run.alive, 0, -1, withscores=True) == before


async def test_a_lease_from_before_redis_clock_was_set_back_is_shortened(case: Case) -> None:
    run = RunWriter(case.client, "t-1", lease_ms=3_600_000)
    run.begin()
    await case.after(0)
    await case.after(31)
    ((_, until_ms),) = case.client.zrange(run.alive, 0, -1, withscores=True)
    assert until_ms < await case.store.clock_ms() + 121_000


async def test_a_task_whose_run_redis_has_forgotten_is_lost_if_nobody_sends_it_again(case: Case) -> None:
    run = RunWriter(case.client, "t-1")
    run.begin()
    run.write(b"a line\n")
    case.client.delete(run.output)
    assert run.renew() == ["NORUN"]
    await case.after(0)
    assert await case.state("t-1") == "RUNNING"
    await case.after(31)
    assert await case.state("t-1") == "LOST"


async def test_a_backend_that_is_away_is_asked_again_later(case: Case) -> None:
    await case.store.note("t-1", "queued", {"name": "a.task"})
    case.fates["t-1"], case.is_away = "SUCCESS", True
    await case.after(0)
    with pytest.raises(BrokerUnavailable):
        await case.after(31)
    case.is_away = False
    await case.after(121)
    assert await case.state("t-1") == "SUCCESS"


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # by Celery's backend
async def test_celerys_own_result_backend_is_understood(case: Case, redis_url: str) -> None:
    app = Celery("t", broker=redis_url, backend=redis_url, set_as_current=False)
    app.backend.store_result("t-1", None, "SUCCESS")
    given = {"timeout_s": 5, "limit_bytes": 4096, "show_arguments": True, "note": None, "forms_of": None}
    control = Control(app, redis_url=redis_url, available_tasks=(), **given)
    await case.store.note("t-1", "queued", {"name": "a.task"})
    try:
        asks = Asks(case.rows, case.store.task, control.info, case.store.note, case.store.commands)
        reconciler = Reconciler(asks, KEYS, patience_s=1)
        await reconciler.round(0)
        await reconciler.round(2)
    finally:
        control.close()
        app.pool.force_close_all()
    assert await case.state("t-1") == "SUCCESS"
