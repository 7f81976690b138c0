"""The list of tasks: what the filter lets through, the orders, and a roster that holds what Redis does."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from livetask.errors import ArgumentInvalid
from livetask.keys import BUCKETS, Keys, bucket_of
from livetask.server.listing.asked import Wish, listing_json, wish_of_message, wish_of_query
from livetask.server.listing.roster import Roster
from livetask.server.listing.rows import ORDERS, STATES, Row, row_of, row_read
from livetask.server.listing.wanted import Filter
from livetask.server.store import Store
from tests.real.redis_servers import RealRedis
from tests.server.conftest import Write
from tests.server.living import Serving, Viewer, until


def a_row(task_id: str = "3F2a-1", state: str = "RUNNING", name: str = "app.Train", **more: str) -> Row:
    known = {"state": state, "name": name, "queue": "gpu", "worker": "celery@w1", **more}
    order = ("state", "name", "queue", "worker", "owner", "root_id", "queued_at", "began_at", "ended_at", "changed_at")
    return row_read(task_id, [known.get(field, "") for field in order])


# ---- the filter


@pytest.mark.parametrize(
    "text",
    [
        "", "train", "TRAIN app", "3f2", "gpu", "celery@w1", "name:train", "name:app.*", "name:*", "id:3f2a", "id:3F",
        "queue:gpu", "worker:w1", "state:running", "state:RUN", "state:failed,running", "-state:failed", "-name:mail",
        '"app.train"', 'name:"app.Train"', "name:", "state:", "-", '"', "name:train state:running worker:w1 -queue:cpu",
    ],
)  # fmt: skip
def test_the_filter_lets_a_task_through(text: str) -> None:
    assert Filter.parse(text).holds(a_row())


@pytest.mark.parametrize(
    "text",
    [
        "mail", "train mail", "name:gpu", "name:train*", "id:f2a", "queue:train", "worker:w2", "state:failed",
        "state:done", "-train", "-state:running", '"app train"', "name:rain*",
    ],
)  # fmt: skip
def test_the_filter_keeps_a_task_out(text: str) -> None:
    assert not Filter.parse(text).holds(a_row())


@pytest.mark.parametrize(
    ("text", "said"),
    [("colour:red", "state:"), ("state:happy", "failed"), ("a" * 201, "200"), (7, "filter"), ("-x:1", '"x:..."')],
)
def test_a_filter_that_is_wrong_is_refused_with_what_would_be_right(text: object, said: str) -> None:
    with pytest.raises(ArgumentInvalid) as refused:
        Filter.parse(text)
    assert refused.value.field == "q"
    assert said in str(refused.value)


def test_the_groups_are_the_tabs_of_the_dashboard() -> None:
    states = {word: {one for one in STATES if Filter.parse(f"state:{word}").holds(a_row(state=one))} for word in
              ("failed", "done", "retrying", "cancelled", "r", "success")}  # fmt: skip
    assert states["failed"] == {"FAILURE", "LOST", "REJECTED"}
    assert states["done"] == {"SUCCESS", "REVOKED", "IGNORED"}
    assert states["retrying"] == {"RETRY"}
    assert states["cancelled"] == {"REVOKED"}
    assert states["r"] == {"RUNNING", "RETRY", "REVOKED", "REJECTED"}
    assert states["success"] == {"SUCCESS"}


@given(st.text(max_size=200))
def test_whatever_is_written_is_a_filter_or_refused(text: str) -> None:
    try:
        found = Filter.parse(text)
    except ArgumentInvalid:
        return
    assert found == Filter.parse(text)
    found.holds(a_row())


@given(st.text(st.characters(exclude_characters='"'), min_size=1, max_size=40))
def test_a_text_in_quotes_finds_every_task_that_has_it(text: str) -> None:
    assert Filter.parse(f'"{text}"').holds(a_row(name=f"x{text}y")) or "*" in text


# ---- the orders


@given(
    st.lists(st.tuples(st.sampled_from(STATES), *[st.integers(0, 9)] * 4), max_size=20), st.sampled_from(list(ORDERS))
)
def test_every_order_is_whole_and_its_keys_travel(found: list[tuple[Any, ...]], order: str) -> None:
    rows = [a_row(f"t{n}", state, "abc"[n % 3], queued_at=str(q), began_at=str(b), ended_at=str(e), changed_at=str(c))
            for n, (state, q, b, e, c) in enumerate(found)]  # fmt: skip
    keys = [ORDERS[order].key(row, 100) for row in rows]
    assert len(set(keys)) == len(rows)
    for row, key in zip(rows, keys, strict=True):
        listing = type("Listing", (), {"tasks": (), "counts": {}, "total": 0, "after": key, "now_ms": 100})
        token = listing_json(listing, order)["next"]  # type: ignore[arg-type]
        assert wish_of_query({"sort": order, "after": token})[1:] == (key, 100), row


def test_a_row_is_the_same_read_in_short_and_made_of_the_whole_task() -> None:
    assert a_row().born_ms == 0
    assert a_row(queued_at="7", began_at="5", changed_at="9").born_ms == 5
    assert a_row(began_at="5").took_ms(105) == 100
    assert a_row(began_at="5", ended_at="6", state="SUCCESS").took_ms(105) == 1
    assert a_row(began_at="200").took_ms(105) == 0


def test_a_watchers_wish_is_checked_field_by_field() -> None:
    wish = wish_of_message({"q": "x", "state": "RUNNING", "sort": "name", "limit": 3, "also": ["a"], "newer": 1})
    assert wish == Wish(Filter.parse("x"), frozenset({"RUNNING"}), "name", 3, frozenset({"a"}))
    for wrong in ({"q": 1}, {"state": 1}, {"state": "no"}, {"sort": []}, {"limit": True}, {"limit": 501}, {"also": "a"},
                  {"also": ["a"] * 101}):  # fmt: skip
        with pytest.raises(ArgumentInvalid):
            wish_of_message(wrong)


# ---- the roster


async def held(roster: Roster, **asked: Any) -> list[str]:
    known = {"wanted": Filter(), "states": frozenset[str](), "order": "newest", "limit": 500, "now_ms": 0, **asked}
    return [row.task_id for row in (await roster.select(**known)).rows]


async def test_a_roster_holds_what_redis_does_whatever_happens_to_the_list(store: Store, writer: Write) -> None:
    roster = Roster(store.listed)
    counted: Counter[str] = Counter()

    def count(before: Row | None, after: Row | None) -> None:
        counted.subtract([before.state] if before else [])
        counted.update([after.state] if after else [])

    roster = Roster(store.listed, count)
    chance = random.Random(7)
    runs = [writer(f"task-{number}") for number in range(60)]
    begun: list[Any] = []
    for _ in range(150):
        what = chance.random()
        if what < 0.45 and runs:
            begun.append(runs.pop())
            begun[-1].note("queued", {"name": "n", "queued_at": "5"})
        elif what < 0.7 and begun:
            chance.choice(begun).begin()
        elif what < 0.85 and begun:
            run = chance.choice(begun)
            if run.ordinal:
                run.finish(chance.choice(["SUCCESS", "FAILURE"]))
        elif what < 0.9 and begun:
            run = chance.choice(begun)
            run.client.zrem(run.recent, run.task_id)  # the list was cut
        elif what < 0.93 and begun:
            run = chance.choice(begun)
            run.client.delete(run.task)  # it is no longer kept
            run.client.zadd(run.recent, {run.task_id: int(time.time() * 1000)})
        else:
            await roster.sync()
            await asyncio.sleep(0.011)  # what was read a moment after its change is read once more
        if chance.random() < 0.4:
            await roster.sync()
            await _same(roster, store, begun)
    await roster.sync()
    await _same(roster, store, begun)
    assert +counted == Counter(row.state for row in roster)


async def _same(roster: Roster, store: Store, runs: list[Any]) -> None:
    listed = [run.task_id for run in runs if run.client.zscore(run.recent, run.task_id) is not None]
    tasks = await store.tasks(listed)
    assert {row.task_id: row for row in roster} == {task_id: row_of(task) for task_id, task in tasks.items()}


async def test_a_flushed_list_is_empty_and_begins_again(store: Store, writer: Write) -> None:
    roster = Roster(store.listed)
    run = writer("one")
    run.begin()
    await roster.sync()
    assert len(roster) == 1
    run.client.delete(run.recent)
    await roster.sync()
    assert len(roster) == 0
    writer("two").begin()
    await roster.sync()
    assert await held(roster) == ["two"]


async def test_what_changes_after_redis_clock_was_set_back_is_seen_all_the_same(store: Store, writer: Write) -> None:
    roster = Roster(store.listed)
    run = writer("one")
    run.begin()
    ahead_ms = int(time.time() * 1000) + 3_600_000
    run.client.hset(run.task, "changed_at", ahead_ms)
    run.client.zadd(run.recent, {"one": ahead_ms})
    await roster.sync()
    for how in ("RETRY", "SUCCESS"):
        if how == "SUCCESS":
            run = writer("one")
            run.begin()
        run.finish(how)
        await roster.sync()
        assert [row.state for row in roster] == [how]


@pytest.fixture
def many(valkey: RealRedis, prefix: str) -> Iterator[int]:
    """A list of 10,000 tasks."""
    fill(valkey, prefix, 10_000)
    yield 10_000
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()


def fill(valkey: RealRedis, prefix: str, count: int) -> None:
    keys, now_ms = Keys(prefix), int(time.time() * 1000)
    with redis.Redis.from_url(valkey.url) as client, client.pipeline(transaction=False) as pipe:
        for number in range(count):
            task_id, at = f"t{number:06}", str(now_ms - count + number)
            state = STATES[number % len(STATES)]
            fields = {"format": "1", "state": state, "name": f"app.task{number % 50}", "queue": "celery", "worker": "w"}
            pipe.hset(keys.task(task_id), mapping={**fields, "queued_at": at, "changed_at": at})
            pipe.zadd(keys.recent(bucket_of(task_id)), {task_id: int(at)})
            if number % 1000 == 999:
                pipe.execute()
        pipe.execute()


@pytest.mark.alone
async def test_ten_thousand_tasks_are_listed_within_50_ms_in_any_order(store: Store, many: int) -> None:
    roster = Roster(store.listed)
    await roster.sync()
    assert len(roster) == many
    asyncio.get_running_loop().set_debug(False)
    took: list[float] = []
    for order in ORDERS:
        for text in ("", "task7", "name:app.task4* -state:success"):
            began = time.process_time()  # what others do on this machine does not count
            await _first_hundred(roster, store, order, text)
            took.append(time.process_time() - began)
    assert sorted(took)[len(took) // 2] < 0.05, took


async def test_a_look_at_ten_thousand_tasks_blocks_nobody(
    store: Store, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[float] = []
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()  # what others do on this machine does not count
        run(handle)
        steps.append(time.thread_time() - began)

    roster = Roster(store.listed)
    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    gc.disable()  # what else lives in this process is not the roster's
    try:
        await roster.sync()
        await _first_hundred(roster, store, "newest", "task7")
    finally:
        gc.enable()
    assert len(steps) > 100
    assert max(steps) < 0.04


async def _first_hundred(roster: Roster, store: Store, order: str, text: str) -> None:
    await roster.sync()
    found = await roster.select(Filter.parse(text), frozenset(), order, 100, 0)
    assert len(found.rows) == len(await store.tasks([row.task_id for row in found.rows])) == 100


async def test_pages_of_any_order_hold_every_task_once(store: Store, valkey: RealRedis, prefix: str) -> None:
    fill(valkey, prefix, 700)
    roster = Roster(store.listed)
    await roster.sync()
    for order in ORDERS:
        pages: list[str] = []
        after = None
        while True:
            found = await roster.select(Filter(), frozenset(), order, 90, 10**13, after)
            pages += [row.task_id for row in found.rows]
            after = found.after
            if after is None:
                break
        assert sorted(pages) == sorted(row.task_id for row in roster)
        assert pages == await held(roster, order=order, limit=1000, now_ms=10**13)
    assert BUCKETS == 16


async def test_who_may_not_see_a_task_finds_and_counts_none_of_it(store: Store, writer: Write) -> None:
    for number in range(4):
        writer(f"task-{number}", name="open" if number % 2 else "secret").begin()
    roster = Roster(store.listed)
    await roster.sync()
    found = await roster.select(Filter(), frozenset(), "name", 9, 0, sees=lambda row: row.name == "open")
    assert ([row.name for row in found.rows], found.counts, found.total) == (["open"] * 2, {"RUNNING": 2}, 2)


# ---- the live list


def told(viewer: Viewer, name: str = "task") -> list[Any]:
    return [data for event, data in viewer.others if event == name]


async def test_a_watcher_is_told_of_what_it_wants_and_of_what_it_wanted(serving: Serving, writer: Write) -> None:
    mail, other = writer("mail-1", name="mail.send"), writer("other-1", name="pay")
    mail.begin()
    async with Viewer(serving) as viewer:
        answer = await viewer.ask("watch", {"q": "name:mail", "state": "RUNNING"})
        assert [task["id"] for task in answer["tasks"]] == ["mail-1"]
        assert (answer["counts"], answer["total"], answer["next"]) == ({"RUNNING": 1}, 1, None)
        other.begin()
        other.finish()
        writer("mail-2", name="mail.read").begin()
        await until("the new one is told", lambda: any(data["task"]["id"] == "mail-2" for data in told(viewer)))
        mail.finish()
        await until("the old one leaves", lambda: any(data.get("listed") is False for data in told(viewer)))
        await until(
            "counts are told",
            lambda: told(viewer, "counts") and told(viewer, "counts")[-1]["counts"] == {"RUNNING": 1, "SUCCESS": 1},
        )
        assert {data["task"]["id"] for data in told(viewer)} == {"mail-1", "mail-2"}
        assert [data["task"]["state"] for data in told(viewer) if data.get("listed") is False] == ["SUCCESS"]


async def test_what_a_watcher_names_is_told_whatever_its_filter_says(serving: Serving, writer: Write) -> None:
    run = writer("named-1", name="pay")
    run.begin()
    async with Viewer(serving) as viewer:
        answer = await viewer.ask("watch", {"q": "name:mail", "also": ["named-1"]})
        assert answer["tasks"] == []
        await until("it is told as it is", lambda: told(viewer))
        run.finish("FAILURE")
        await until("its end is told", lambda: told(viewer)[-1]["task"]["state"] == "FAILURE")
        assert [data["listed"] for data in told(viewer)] == [False, False]
        refused = await viewer.ask("watch", {"q": "colour:red"})
        assert (refused["ok"], refused["code"], refused["field"]) == (False, "argument_invalid", "q")


async def test_the_list_over_http_and_the_live_list_agree(serving: Serving, writer: Write) -> None:
    chance = random.Random(3)
    runs = [writer(f"task-{number}", name=f"app.{'ab'[number % 2]}") for number in range(20)]
    async with Viewer(serving) as viewer:
        answer = await viewer.ask("watch", {"q": "name:app.a -state:failed", "state": "RUNNING,SUCCESS"})
        for _ in range(60):
            run = chance.choice(runs)
            if not run.ordinal:
                run.begin()
            else:
                run.finish(chance.choice(["SUCCESS", "FAILURE"]))
            await asyncio.sleep(0.005)  # spread over several rounds of telling, which is what is tested

        def listed() -> dict[str, str]:
            tasks = {task["id"]: task["state"] for task in answer["tasks"]}
            for data in told(viewer):
                tasks[data["task"]["id"]] = data["task"]["state"]
                if data.get("listed") is False:
                    del tasks[data["task"]["id"]]
            return tasks

        wish = wish_of_query({"q": "name:app.a -state:failed", "state": "RUNNING,SUCCESS"})[0]
        found = await serving.live.catalog.listing(wish)
        await until("both are the same", lambda: listed() == {task.task_id: task.state for task in found.tasks})
        await until("so are the counts", lambda: told(viewer, "counts")[-1]["counts"] == found.counts)


async def test_of_two_lists_that_are_asked_for_at_once_the_later_one_counts(serving: Serving, writer: Write) -> None:
    first, second = writer("a-1", name="app.a"), writer("b-1", name="app.b")
    first.begin()
    second.begin()
    async with Viewer(serving) as viewer:
        for _ in range(5):
            await asyncio.gather(*(viewer.ask("watch", {"q": f"name:app.{which}"}) for which in "ab"))
        viewer.others.clear()
        first.finish()
        second.finish()
        await until("the later list is told", lambda: any(data["task"]["id"] == "b-1" for data in told(viewer)))
        assert {data["task"]["id"] for data in told(viewer)} == {"b-1"}
        catalog = serving.live.catalog
        assert len(catalog._watchers) == len(catalog._views) == 1
