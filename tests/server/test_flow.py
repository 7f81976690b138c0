"""Workflows: which tasks they hold, and their logs as one: all of each, once, in order."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from livetask.position import START, Entry, Gap, Position
from livetask.server.flow.merging import Merged, Place, merged
from livetask.server.slices import ReadAt, Slice
from livetask.server.store import Store
from livetask.server.tasks import Task, task_parsed
from tests.server.conftest import Write
from tests.server.serving import redis_of_the_module, served


class Logs:
    """Logs in memory, read as the store reads them."""

    def __init__(self, *logs: list[list[tuple[int, bytes]]]) -> None:
        self.logs = logs
        self.grown = [[len(run) for run in log] for log in logs]

    def task(self, number: int) -> Task:
        fields = {b"format": b"1", b"state": b"SUCCESS", b"open": b"0"}
        for ordinal in range(1, len(self.logs[number]) + 1):
            fields[f"{ordinal}.nonce".encode()] = b"abc"
        found = task_parsed(f"t{number}", fields)
        assert found
        return found

    async def read(self, wanted: Any) -> list[Any]:
        return [self._slice(at) for at in wanted]

    def _slice(self, at: ReadAt) -> Slice:
        number, run = int(at.task_id[1:]), at.cursor.run - 1
        items: list[Entry | Gap] = []
        end = START
        for at_ms, data in self.logs[number][run][: self.grown[number][run]]:
            item = Entry(end, data, at_ms)
            if item.start.byte >= at.cursor.position.byte and len(items) < at.count:
                items.append(item)
            end = item.end
        whole = self.grown[number][run] == len(self.logs[number][run])
        return Slice(at.cursor.position, tuple(items), end, "SUCCESS" if whole else None)


runs = st.lists(st.tuples(st.integers(1, 9), st.binary(min_size=1, max_size=30)), max_size=12)


@given(st.lists(st.lists(runs, min_size=1, max_size=2), min_size=1, max_size=4), st.randoms(use_true_random=False))
async def test_each_log_comes_whole_once_and_in_order_however_it_grows(found: Any, chance: random.Random) -> None:
    logs = Logs(*found)
    tasks = [logs.task(number) for number in range(len(found))]
    for log in logs.grown:
        for run, size in enumerate(log):
            log[run] = chance.randint(0, size)
    told: dict[tuple[str, int], bytes] = defaultdict(bytes)
    places: dict[str, Place] = {}
    for _ in range(40):
        answer = await merged(tasks, places, logs.read)
        for piece in answer.pieces:
            assert isinstance(piece.item, Entry)
            told[piece.task_id, piece.run] += piece.item.data
        times = [piece.at_ms for piece in answer.pieces]
        assert times == sorted(times)
        places = answer.places
        if answer.ended:
            break
        for log, grown in zip(logs.logs, logs.grown, strict=True):
            for number, run in enumerate(log):
                grown[number] = min(len(run), grown[number] + chance.randint(0, 4))
    else:
        logs.grown = [[len(run) for run in log] for log in logs.logs]
        answer = await merged(tasks, places, logs.read)
        for piece in answer.pieces:
            told[piece.task_id, piece.run] += piece.item.data  # type: ignore[union-attr]
    for number, log in enumerate(found):
        for ordinal, run in enumerate(log, 1):
            assert told[f"t{number}", ordinal] == b"".join(data for _, data in run)


async def test_pieces_of_tasks_that_run_side_by_side_stand_by_their_time(store: Store, writer: Write) -> None:
    one, two = writer("side-1"), writer("side-2")
    one.begin()
    two.begin()
    for at_ms in range(10):
        run = two if at_ms % 3 else one
        data = f"{at_ms}\n".encode()
        run._append(run.end, run.end.after(data), ["d", data, "t", 1000 + at_ms])
        run.end = run.end.after(data)
    two.gap(3, 30)
    tasks = list((await store.tasks(["side-1", "side-2"])).values())
    found = await merged(tasks, {}, store.read_many)
    assert [piece.item.data for piece in found.pieces if isinstance(piece.item, Entry)] == [
        b"%d\n" % n for n in range(10)
    ]
    assert isinstance(found.pieces[-2].item, Gap)  # it follows what its own task wrote last
    assert (found.more, found.ended) == (False, False)
    one.write(b"late\n")
    more = await merged(tasks, found.places, store.read_many)
    assert [piece.item.data for piece in more.pieces if isinstance(piece.item, Entry)] == [b"late\n"]
    one.finish()
    two.finish()
    tasks = list((await store.tasks(["side-1", "side-2"])).values())
    last: Merged = await merged(tasks, more.places, store.read_many)
    assert (last.pieces, last.ended) == ((), True)


async def test_a_log_of_which_the_archive_says_nothing_at_once_is_waited_for(store: Store, writer: Write) -> None:
    """It was left out of the merged log, which said that this was all."""
    for name in ("slow-1", "slow-2"):
        run = writer(name)
        run.begin()
        run.write(f"{name}\n".encode())
        run.finish()
    tasks = list((await store.tasks(["slow-1", "slow-2"])).values())

    async def read(wanted: Any) -> list[Any]:
        answers = await store.read_many(wanted)
        return [None if at.task_id == "slow-2" else answer for at, answer in zip(wanted, answers, strict=True)]

    found = await merged(tasks, {}, read)
    assert [piece.task_id for piece in found.pieces] == ["slow-1"]
    assert not found.ended
    rest = await merged(tasks, found.places, store.read_many)
    assert [piece.task_id for piece in rest.pieces] == ["slow-2"]
    assert rest.ended


async def test_a_long_log_comes_in_parts(store: Store, writer: Write) -> None:
    run = writer("long-1")
    run.begin()
    for _ in range(100):
        run.write(b"x" * 9999 + b"\n")
    run.finish()
    tasks = list((await store.tasks(["long-1"])).values())
    places: dict[str, Place] = {}
    size = answers = 0
    while True:
        found = await merged(tasks, places, store.read_many)
        size += sum(len(piece.item.data) for piece in found.pieces if isinstance(piece.item, Entry))
        places, answers = found.places, answers + 1
        if not found.more:
            break
    assert (size, found.ended) == (1_000_000, True)
    assert 3 < answers < 6
    assert places["long-1"] == Place(1, Position(101, 1_000_000))


url = redis_of_the_module


async def test_a_workflow_is_found_from_each_of_its_tasks_and_read_as_one_log(url: Any) -> None:
    from tests.server.serving import Writer

    for at, (task_id, parent) in enumerate((("Root-1", ""), ("kid-1", "Root-1"), ("kid-2", "kid-1"), ("other", ""))):
        run = Writer(url.url, task_id).begin(f"flow.{task_id}").write(f"{task_id}\n".encode())
        root = "" if task_id == "other" else "Root-1"
        with url.client() as client:
            client.hset(run._keys.task(task_id), mapping={"root_id": root, "parent_id": parent, "began_at": 1000 + at})
        run.finish()
    async with served(url.url) as client:
        for task_id in ("Root-1", "kid-2"):
            async with client.get(f"/api/tasks/{task_id}/workflow") as answer:
                found = await answer.json()
            assert (found["root"], found["total"]) == ("Root-1", 3)
            assert [task["id"] for task in found["tasks"]] == ["Root-1", "kid-1", "kid-2"]
        async with client.get("/api/tasks/kid-1/workflow/log") as answer:
            log = await answer.json()
        assert sorted(piece["text"] for piece in log["pieces"]) == ["Root-1\n", "kid-1\n", "kid-2\n"]
        assert (log["more"], log["ended"], log["left_out"]) == (False, True, 0)
        async with client.get("/api/tasks/kid-1/workflow/log", params={"after": log["next"]}) as answer:
            assert (await answer.json())["pieces"] == []
        async with client.get("/api/tasks", params={"q": "root:root-1", "sort": "oldest"}) as answer:
            assert [task["id"] for task in (await answer.json())["tasks"]] == ["Root-1", "kid-1", "kid-2"]
        for wrong in ("x", "W10", "eyJhIjpbMSwyXX0", "e" * 7000, "eyJhIjpbMCwiMS0wIl19"):
            async with client.get("/api/tasks/kid-1/workflow/log", params={"after": wrong}) as answer:
                assert (answer.status, (await answer.json())["field"]) == (400, "after"), wrong
        async with client.get("/api/tasks/never/workflow") as answer:
            assert answer.status == 404


async def test_a_group_that_no_task_has_sent_is_a_workflow_of_its_own(url: Any) -> None:
    from tests.server.serving import Writer

    for task_id, root in (("of-1", "group:7c2a"), ("of-2", "group:7c2a"), ("alone", "")):
        run = Writer(url.url, task_id).begin("flow.group").write(b"x\n")
        with url.client() as client:
            client.hset(run._keys.task(task_id), mapping={"root_id": root})
        run.finish()
    async with served(url.url) as client:
        for task_id, wanted in (("of-1", {"of-1", "of-2"}), ("of-2", {"of-1", "of-2"}), ("alone", {"alone"})):
            async with client.get(f"/api/tasks/{task_id}/workflow") as answer:
                assert {task["id"] for task in (await answer.json())["tasks"]} == wanted
        async with client.get("/api/tasks", params={"q": 'root:"group:7c2a"'}) as answer:
            assert (await answer.json())["total"] == 2
